//! Snapshots and copies of sandboxes.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;

use super::create::{Origin, create};
use super::error::SandboxError;
use super::face::now_ms;
use super::ground::{BASE, Taken};
use super::keeper::{Command, Shared};
use super::pausing::remove;
use super::sandboxes::Inner;
use super::{Create, Fork, ListedSnapshot, SandboxId};
use crate::snapshot::Snapshot;
use crate::store::Shelf;

/// Longest name of a snapshot, in bytes.
pub const LONGEST_NAME: usize = 256;
/// Most copies that can be asked for at once.
pub const MOST_COPIES: usize = 100;

impl Inner {
    /// Finds a snapshot by its id, or the newest one of this name.
    pub(super) fn taken(&self, name: &str) -> Option<Taken> {
        let all = self.taken.read().unwrap_or_else(PoisonError::into_inner);
        let named = all.values().filter(|taken| taken.listed.names.iter().any(|other| other == name));
        all.get(name).or_else(|| named.max_by_key(|taken| taken.listed.created_ms)).cloned()
    }

    pub(super) fn snapshots(&self) -> Vec<ListedSnapshot> {
        let all = self.taken.read().unwrap_or_else(PoisonError::into_inner);
        let mut listed: Vec<_> = all.values().map(|taken| taken.listed.clone()).collect();
        listed.sort_by_key(|listed| std::cmp::Reverse(listed.created_ms));
        listed
    }

    pub(super) async fn snapshot(
        self: &Arc<Self>,
        of: &SandboxId,
        name: Option<String>,
    ) -> Result<ListedSnapshot, SandboxError> {
        let is_ours = |name: &str| name == BASE || name == self.ground.image.flavour;
        if name.as_ref().is_some_and(|name| name.is_empty() || name.len() > LONGEST_NAME || is_ours(name)) {
            return Err(SandboxError::Invalid(
                "the name of a snapshot has 1 to 256 bytes, and is no template's".into(),
            ));
        }
        let (inner, of) = (Arc::clone(self), of.clone());
        // To its end, whoever waits for it.
        let taking = tokio::spawn(async move { inner.take(&of, name).await });
        taking.await.unwrap_or_else(|error| Err(SandboxError::host("taking a snapshot")(error)))
    }

    async fn take(&self, of: &SandboxId, name: Option<String>) -> Result<ListedSnapshot, SandboxError> {
        let (id, shared) = self.share(of).await?;
        let names = name.into_iter().collect();
        let listed = ListedSnapshot { id: id.clone(), names, of: of.clone(), created_ms: now_ms() };
        let taken = Taken::new(listed.clone(), &shared);
        if let Err(error) = self.ground.store.put(Shelf::Snapshots, &id, &taken).await {
            remove(&self.ground.snapshot(&id)).await;
            return Err(SandboxError::saving(of, &error));
        }
        self.taken.write().unwrap_or_else(PoisonError::into_inner).insert(id, taken);
        self.ground.changed();
        Ok(listed)
    }

    /// Has the files of a sandbox under a new name among the snapshots; nobody's, until the store knows them.
    async fn share(&self, of: &SandboxId) -> Result<(String, Shared), SandboxError> {
        let id = SandboxId::new().map_err(SandboxError::host("naming a snapshot"))?.to_string();
        let to = self.ground.snapshot(&id);
        let shared = self.ask(of, |reply| Command::Share { to, reply }).await?;
        Ok((id, shared))
    }

    pub(super) async fn delete_snapshot(&self, name: &str) -> Result<(), SandboxError> {
        let taken = self.taken(name).ok_or_else(|| SandboxError::NoTemplate(name.into()))?;
        let id = taken.listed.id;
        self.taken.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
        let forgotten = self.ground.store.remove(Shelf::Snapshots, &id).await;
        remove(&self.ground.snapshot(&id)).await;
        if let Err(error) = forgotten {
            // Without its folder it is forgotten at the next start.
            tracing::warn!(id, %error, "the record of a snapshot could not be removed");
        }
        self.ground.changed();
        Ok(())
    }
}

impl Taken {
    fn new(listed: ListedSnapshot, shared: &Shared) -> Self {
        let Shared { record, mode } = shared;
        Self { listed, token: record.token.clone(), mode: *mode, envd_version: record.envd_version.clone() }
    }
}

/// Makes copies, each of which is what the original was.
pub(super) async fn fork(
    inner: &Arc<Inner>,
    of: &SandboxId,
    timeout: Duration,
    count: usize,
) -> Result<Vec<Fork>, SandboxError> {
    if count == 0 || count > MOST_COPIES {
        return Err(SandboxError::Invalid(format!("the number of copies is 1 to {MOST_COPIES}")));
    }
    let (inner, of) = (Arc::clone(inner), of.clone());
    // To its end, whoever waits for it: the files must go.
    let forking = tokio::spawn(async move {
        let (id, shared) = inner.share(&of).await?;
        let folder = inner.ground.snapshot(&id);
        let copies = match Snapshot::open(&folder) {
            Ok(snapshot) => join_all((0..count).map(|_| copy(&inner, &shared, snapshot.clone(), timeout))).await,
            Err(error) => vec![Err(SandboxError::host("opening the snapshot")(error))],
        };
        remove(&folder).await;
        Ok(copies)
    });
    forking.await.unwrap_or_else(|error| Err(SandboxError::host("forking a sandbox")(error)))
}

async fn copy(inner: &Arc<Inner>, shared: &Shared, snapshot: Snapshot, timeout: Duration) -> Fork {
    let record = &shared.record;
    let names = record.alias.clone().into_iter().collect();
    let listed = ListedSnapshot { id: record.template.clone(), names, of: record.id.clone(), created_ms: now_ms() };
    let origin = Origin::of(Taken::new(listed, shared), snapshot);
    let wish = Create {
        template: record.template.clone(),
        timeout,
        metadata: record.metadata.clone(),
        env_vars: record.env_vars.clone(),
        lifecycle: record.lifecycle,
        secure: record.token.is_some(),
        allow_internet: record.allow_internet,
        allow_public_traffic: record.traffic_token.is_none(),
        network: record.network.clone(),
        mask_request_host: record.mask_request_host.clone(),
    };
    create(inner, wish, origin).await
}
