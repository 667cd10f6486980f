//! New sandboxes.

use std::sync::{Arc, Weak};

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::care::Care;
use super::error::SandboxError;
use super::face::{Face, now_ms};
use super::ground::{BASE, Taken};
use super::keeper::{Body, Keeper, Reply};
use super::record::Record;
use super::sandboxes::{Handle, Inner};
use super::{Create, PauseMode, SandboxId, State, View, rules};
use crate::folder::random_digits;
use crate::snapshot::Snapshot;

/// Commands on their way to a keeper; callers wait when there are more.
const QUEUE: usize = 64;
/// Bytes of a token; as hexadecimal digits, 48.
const TOKEN: usize = 24;
/// Before a template has told its version.
const UNKNOWN: &str = "";

/// What a sandbox is made from.
#[derive(Debug)]
pub(super) struct Origin {
    snapshot: Snapshot,
    mode: PauseMode,
    /// What its agent answers to.
    token: Option<String>,
    /// `None` for the template that is made of the image.
    version: Option<String>,
    template: String,
    alias: Option<String>,
}

impl Inner {
    /// Finds what sandboxes can be made from, by a name or an id.
    pub(super) fn origin(&self, name: &str) -> Result<Origin, SandboxError> {
        if name == BASE || name == self.ground.image.flavour {
            return Ok(Origin {
                snapshot: self.ground.base.clone(),
                mode: PauseMode::Full,
                token: None,
                version: None,
                template: name.into(),
                alias: Some(name.into()),
            });
        }
        let taken = self.taken(name).ok_or_else(|| SandboxError::NoTemplate(name.into()))?;
        let snapshot = Snapshot::open(&self.ground.snapshot(&taken.listed.id));
        let snapshot = snapshot.map_err(SandboxError::host("opening the snapshot"))?;
        Ok(Origin::of(taken, snapshot))
    }
}

impl Origin {
    pub(super) fn of(taken: Taken, snapshot: Snapshot) -> Self {
        let Taken { listed, token, mode, envd_version } = taken;
        let (template, alias) = (listed.id, listed.names.into_iter().next());
        Self { snapshot, mode, token, version: Some(envd_version), template, alias }
    }
}

/// Makes a sandbox. It is made to its end when the caller goes away.
pub(super) async fn create(inner: &Arc<Inner>, wish: Create, origin: Origin) -> Result<View, SandboxError> {
    let place = inner.ground.place()?;
    let record = record(wish, &origin)?;
    let (created, outcome) = oneshot::channel();
    let keeper = keeper(inner, record, State::Creating);
    let face = Arc::clone(&keeper.face);
    tokio::spawn(end(Arc::downgrade(inner), face, make(keeper, origin, place, created)));
    outcome.await.unwrap_or(Err(SandboxError::Stopping))
}

/// Makes a keeper and the way to it.
pub(super) fn keeper(inner: &Arc<Inner>, record: Record, state: State) -> Keeper {
    let (commands, received) = mpsc::channel(QUEUE);
    let face = Arc::new(Face::new(record.view(state)));
    let own = commands.downgrade();
    inner.add(record.id.clone(), Handle { face: Arc::clone(&face), commands });
    Keeper::new(Arc::clone(&inner.ground), record, face, received, own)
}

/// Keeps a sandbox that is there already, paused.
pub(super) fn keep(inner: &Arc<Inner>, record: Record, snapshot: Snapshot, mode: PauseMode) {
    let mut keeper = keeper(inner, record, State::Paused(mode));
    keeper.body = Body::Paused(Box::new(snapshot), mode);
    keeper.written = true;
    let face = Arc::clone(&keeper.face);
    tokio::spawn(end(Arc::downgrade(inner), face, keeper.run()));
}

/// Takes a sandbox out when its keeper has ended.
async fn end(inner: Weak<Inner>, face: Arc<Face>, work: impl Future<Output = ()> + Send + 'static) {
    // In a task of its own: a panic there must not leave what nobody keeps.
    if let Err(error) = tokio::spawn(work).await {
        tracing::error!(id = %face.id(), %error, "the keeper of a sandbox failed");
    }
    face.shut();
    if let Some(inner) = inner.upgrade() {
        inner.take_out(&face.id());
    }
    face.done.cancel();
}

async fn make(mut keeper: Keeper, origin: Origin, place: OwnedSemaphorePermit, created: Reply<View>) {
    let face = Arc::clone(&keeper.face);
    let (kill, stop) = (face.kill.clone(), face.stop.clone());
    let made = async { kill.run_until_cancelled(start(&mut keeper, &origin, place)).await };
    let made = stop.run_until_cancelled(made).await.flatten().unwrap_or(Err(SandboxError::Stopping));
    // The snapshot of a fork may go now.
    drop(origin);
    match made {
        Ok(view) => {
            drop(created.send(Ok(view)));
            keeper.run().await;
        }
        Err(error) => {
            keeper.remove().await;
            face.kill.cancel();
            drop(created.send(Err(error)));
        }
    }
}

async fn start(keeper: &mut Keeper, origin: &Origin, place: OwnedSemaphorePermit) -> Result<View, SandboxError> {
    let ground = Arc::clone(&keeper.ground);
    let care = match origin.mode {
        PauseMode::Full => Care::of_copy(&keeper.record, origin.token.clone()),
        PauseMode::Filesystem => Care::of_copied_disk(&keeper.record),
    };
    let started = ground.start(&keeper.record, &origin.snapshot, origin.mode, &care).await?;
    if origin.version.is_none() {
        keeper.record.envd_version = ground.base_version(&started.vm, &keeper.record).await?;
    }
    keeper.record.last_resume = started.phases;
    // Its time begins now.
    let timeout = std::time::Duration::from_secs(keeper.record.timeout_s);
    keeper.record.end_ms = rules::deadline(now_ms(), None, timeout, false);
    keeper.run_vm(started.vm, place);
    Ok(keeper.record.view(State::Running))
}

fn record(wish: Create, origin: &Origin) -> Result<Record, SandboxError> {
    let id = SandboxId::new().map_err(SandboxError::host("naming a sandbox"))?;
    let timeout = rules::sane(wish.timeout);
    let now = now_ms();
    let hardware = origin.snapshot.hardware();
    // An agent that has a token cannot be without one again.
    let secure = wish.secure || origin.token.is_some();
    Ok(Record {
        id,
        template: origin.template.clone(),
        alias: origin.alias.clone(),
        started_ms: now,
        end_ms: rules::deadline(now, None, timeout, false),
        timeout_s: timeout.as_secs(),
        metadata: wish.metadata,
        env_vars: wish.env_vars,
        lifecycle: wish.lifecycle,
        token: if secure { Some(token()?) } else { None },
        traffic_token: if wish.allow_public_traffic { None } else { Some(token()?) },
        allow_internet: wish.allow_internet,
        network: wish.network,
        mask_request_host: wish.mask_request_host,
        cpus: hardware.cpus,
        memory_mib: hardware.memory_mib,
        disk_mib: origin.snapshot.disk_size() >> 20,
        envd_version: origin.version.clone().unwrap_or_else(|| UNKNOWN.into()),
        active_ms: now,
        last_pause: Vec::new(),
        last_resume: Vec::new(),
        kept: None,
        pausing: None,
        runs: true,
        left_ms: None,
        trouble: None,
    })
}

/// Draws a token.
fn token() -> Result<String, SandboxError> {
    random_digits::<TOKEN>().map_err(SandboxError::host("drawing a token"))
}
