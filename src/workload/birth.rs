//! The two ends of a program's cgroup: a birth into it, and its removal.

use std::io;

use tokio::io::Interest;

use super::Leaf;
use crate::base::Tasks;
use crate::sys::poll;
use crate::sys::spawn::{Image, Spawned, spawn};

/// Starts a program in its leaf, and returns when it runs or is known not to; where the kernel allows no birth there (a
/// threaded or busy parent, a cgroup that is not ours), in our own cgroup, and the leaf is removed. Cancelling kills the
/// program, and one of `tasks` removes the leaf.
///
/// # Errors
/// Those of the clone; the leaf is removed.
pub async fn start(image: Image, leaf: Option<Leaf>, tasks: &Tasks) -> io::Result<(Spawned, Option<Leaf>)> {
    let Some(leaf) = leaf else { return Ok((spawn(image, None).await?, None)) };
    let mut empty = Empty { leaf: Some(leaf), tasks };
    let door = empty.leaf.as_ref().map(Leaf::open).transpose()?;
    let spawned = spawn(image, door).await?;
    let leaf = if spawned.placed { empty.leaf.take() } else { None };
    if leaf.is_none() {
        tracing::warn!(pid = spawned.pid, "a program cannot be started in its cgroup");
    }
    Ok((spawned, leaf))
}

/// Removes a leaf that no program lives in, or none should.
struct Empty<'a> {
    leaf: Option<Leaf>,
    tasks: &'a Tasks,
}

impl Drop for Empty<'_> {
    fn drop(&mut self) {
        let Some(leaf) = self.leaf.take() else { return };
        // Without a runtime, the agent itself is going down.
        if leaf.remove().is_err() && tokio::runtime::Handle::try_current().is_ok() {
            let _ = leaf.kill();
            self.tasks.spawn(async move { leaf.removed().await });
        }
    }
}

impl Leaf {
    /// Removes it once the last descendant has left; wakes for that event only. Cancel-safe: it then stays.
    pub async fn removed(&self) {
        if self.remove().is_ok() {
            return;
        }
        let Ok(events) = self.events().and_then(|file| poll::register(file, Interest::PRIORITY)) else { return };
        while let Err(error) = self.remove() {
            if error.kind() != io::ErrorKind::ResourceBusy {
                tracing::warn!(%error, "cannot remove the cgroup of a program");
                return;
            }
            let Ok(mut ready) = events.ready(Interest::PRIORITY).await else { return };
            ready.clear_ready();
        }
    }
}
