//! Taking up what an earlier icebox left.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use super::create::keep;
use super::error::SandboxError;
use super::ground::{Ground, PAUSED, SNAPSHOTS, Taken};
use super::keeper::Command;
use super::pausing::remove;
use super::record::Record;
use super::recover::{Plan, plan, plan_snapshots};
use super::sandboxes::Inner;
use super::{SandboxId, Settings};
use crate::snapshot::Snapshot;
use crate::store::{Shelf, Store, StoreError};

/// Where records are kept, in the data folder.
const STORE: &str = "store.redb";

/// Nobody else reads the memory of guests, nor their tokens.
const PRIVATE: u32 = 0o700;

/// Opens the data folder.
pub(super) async fn open(settings: Settings) -> Result<Arc<Inner>, SandboxError> {
    let make = |name: &&str| fs::DirBuilder::new().recursive(true).mode(PRIVATE).create(settings.data.join(name));
    [PAUSED, SNAPSHOTS].iter().try_for_each(make).map_err(SandboxError::host("making the data folder"))?;
    // First: it is also the lock of all the rest.
    let store = Store::open(&settings.data.join(STORE)).await.map_err(SandboxError::host("opening the store"))?;
    let taken = recover_snapshots(&settings.data, &store).await?;
    let plan = recover(&settings.data, &store).await?;
    let ground = Arc::new(Ground::lay(settings, store).await?);
    let inner = Arc::new(Inner::new(ground, taken));
    for record in plan.again {
        again(&inner, record);
    }
    Ok(inner)
}

/// Takes a sandbox up; wakes it if it was suspended.
fn again(inner: &Arc<Inner>, record: Record) {
    let Some(kept) = record.kept.clone() else { return };
    let id = record.id.clone();
    match Snapshot::open(&inner.ground.paused(&kept.folder)) {
        Ok(snapshot) => {
            let is_suspended = record.left_ms.is_some_and(|left| left > 0);
            keep(inner, record, snapshot, kept.mode);
            if is_suspended {
                wake(inner, &id);
            }
        }
        Err(error) => tracing::warn!(%id, %error, "a paused sandbox cannot be opened any more"),
    }
}

fn wake(inner: &Inner, id: &SandboxId) {
    if let Some(handle) = inner.handle(id) {
        // It is the first one in the queue.
        drop(handle.commands.try_send(Command::Wake));
    }
}

async fn recover(data: &Path, store: &Store) -> Result<Plan, SandboxError> {
    let records = store.all::<Record>(Shelf::Sandboxes).await.map_err(reading)?;
    let parent = data.join(PAUSED);
    let plan = plan(records, &folders(&parent)?);
    for name in &plan.forget {
        tracing::warn!(id = name, "a sandbox of an earlier icebox is gone");
        forget(store, Shelf::Sandboxes, name).await;
    }
    for name in &plan.remove {
        remove(&parent.join(name)).await;
    }
    Ok(plan)
}

async fn recover_snapshots(data: &Path, store: &Store) -> Result<BTreeMap<String, Taken>, SandboxError> {
    let taken = store.all::<Taken>(Shelf::Snapshots).await.map_err(reading)?;
    let parent = data.join(SNAPSHOTS);
    let (again, gone, nobodys) = plan_snapshots(taken, &folders(&parent)?);
    for name in &gone {
        forget(store, Shelf::Snapshots, name).await;
    }
    for name in &nobodys {
        remove(&parent.join(name)).await;
    }
    Ok(again)
}

fn reading(error: StoreError) -> SandboxError {
    SandboxError::host("reading the store")(error)
}

async fn forget(store: &Store, shelf: Shelf, name: &str) {
    if let Err(error) = store.remove(shelf, name).await {
        tracing::warn!(name, %error, "a record could not be removed");
    }
}

/// Folders in `parent`, and whether each is a whole snapshot.
fn folders(parent: &Path) -> Result<BTreeMap<String, bool>, SandboxError> {
    let listed = || -> io::Result<BTreeMap<String, bool>> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(parent)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_whole = !name.starts_with('.') && Snapshot::open(&entry.path()).is_ok();
            found.insert(name, is_whole);
        }
        Ok(found)
    };
    listed().map_err(SandboxError::host("looking for paused sandboxes"))
}
