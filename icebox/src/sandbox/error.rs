//! What can go wrong with a sandbox.

use std::error::Error;
use std::io;
use std::iter::successors;

use super::SandboxId;

/// Why a sandbox could not be had. Each has one status in the API (in brackets) and one text.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// \[404\] Unknown, killed or expired.
    #[error("sandbox {0} was not found")]
    NotFound(SandboxId),
    /// \[404\] No template or snapshot of this name.
    #[error("template {0} was not found")]
    NoTemplate(String),
    /// \[409\] A pause of what is paused.
    #[error("sandbox {0} is already paused")]
    AlreadyPaused(SandboxId),
    /// \[409\] A resume of what runs.
    #[error("sandbox {0} is already running")]
    AlreadyRunning(SandboxId),
    /// \[404\] A deadline for what is paused, which has none.
    #[error("sandbox {0} is paused")]
    Paused(SandboxId),
    /// \[400\] The request makes no sense; the text says why.
    #[error("{0}")]
    Invalid(String),
    /// \[503\] Asked for a pause only if the guest is healthy, and it is not.
    #[error("the guest of sandbox {0} does not answer")]
    Unhealthy(SandboxId),
    /// \[429\] As many sandboxes run as may.
    #[error("{0} sandboxes run already: pause or kill one, or start icebox with a higher --max-running")]
    Full(usize),
    /// \[507\] No room on the disk; the sandbox goes on as before.
    #[error("no space left on the disk of the host, where sandbox {0} was to be saved; it goes on")]
    NoSpace(SandboxId),
    /// \[503\] icebox is on its way down.
    #[error("the host is shutting down")]
    Stopping,
    /// \[500\] Something of the host failed; what, in words.
    #[error("{what} failed: {why}")]
    Host {
        /// What was tried.
        what: &'static str,
        /// The chain of causes.
        why: String,
    },
}

impl SandboxError {
    /// Wraps what went wrong on the host, with all its causes.
    pub(super) fn host<E: Error + 'static>(what: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Host { what, why: chain(&error) }
    }

    /// Wraps what went wrong when this sandbox was to be saved.
    pub(super) fn saving<E: Error + 'static>(id: &SandboxId, error: &E) -> Self {
        if is_full_disk(error) {
            return Self::NoSpace(id.clone());
        }
        Self::Host { what: "saving the sandbox", why: chain(error) }
    }
}

/// Writes an error with its causes.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in successors(error.source(), |&error| error.source()) {
        text += &format!(": {cause}");
    }
    text
}

/// Whether a full disk is at the bottom of it, or a quota, or the words of a tool about them.
fn is_full_disk(error: &(dyn Error + 'static)) -> bool {
    let full = |kind| matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let mut causes = successors(Some(error), |&error| error.source());
    causes.any(|error| error.downcast_ref::<io::Error>().is_some_and(|error| full(error.kind())))
        || chain(error).contains(NO_SPACE)
}

/// The kernel's words for a full disk, which `qemu-img` repeats.
const NO_SPACE: &str = "No space left on device";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::DiskError;
    use crate::snapshot::{PauseError, SnapshotError};

    #[test]
    fn a_full_disk_is_known_however_deep_it_is() {
        let id = SandboxId::parse("ione").unwrap();
        let said = format!("qemu-img: {NO_SPACE}");
        for source in [
            SnapshotError::File { doing: "writing", path: "/x".into(), source: io::ErrorKind::StorageFull.into() },
            SnapshotError::Disk(DiskError::Failed { command: "qemu-img".into(), said }),
        ] {
            let error = PauseError { goes_on: true, source };
            assert!(matches!(SandboxError::saving(&id, &error), SandboxError::NoSpace(_)), "{}", chain(&error));
        }
        let source = SnapshotError::File { doing: "x", path: "/x".into(), source: io::ErrorKind::NotFound.into() };
        let error = SandboxError::saving(&id, &PauseError { goes_on: true, source });
        assert!(matches!(error, SandboxError::Host { .. }), "{error}");
    }
}
