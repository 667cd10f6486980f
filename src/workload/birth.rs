//! The two ends of a program's cgroup: a birth into it, and its removal.

use std::io;

use nix::libc;
use tokio::io::Interest;

use super::Leaf;
use crate::sys::poll;
use crate::sys::spawn::{Image, Spawned, spawn};

/// Starts a program in its leaf; where the kernel allows no birth there (a threaded or busy parent, a cgroup that is
/// not ours), in our own cgroup, and the leaf is removed.
///
/// # Errors
/// Those of the fork.
pub fn start(image: &Image<'_>, leaf: Option<Leaf>) -> io::Result<(Spawned, Option<Leaf>)> {
    let Some(leaf) = leaf else { return Ok((spawn(image, None)?, None)) };
    let spawned = match spawn(image, Some(leaf.fd())) {
        Ok(spawned) if spawned.placed => return Ok((spawned, Some(leaf))),
        spawned => spawned,
    };
    let _ = leaf.remove();
    match spawned {
        Ok(spawned) => Ok((spawned, None)),
        // These say that the machine is full, wherever the program is born.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE)) => Err(error),
        Err(error) => {
            tracing::warn!(%error, "a program cannot be started in its cgroup");
            Ok((spawn(image, None)?, None))
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
