//! What can go wrong with a sandbox.

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
    /// \[409\] Asked for a pause only if the guest is healthy, and it is not.
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
