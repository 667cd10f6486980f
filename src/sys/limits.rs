//! What the agent inherits from whoever started it, brought to known values.

use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, signal};

static ORIGINAL_FILES: OnceLock<(rlim_t, rlim_t)> = OnceLock::new();

/// Unblocks all signals, restores the defaults of those that a shell's `&` or `nohup` ignores, and lifts the soft
/// limit of open files to the hard one. Programs would inherit all of it; they get the original file limit back
/// (`original_files`), since a high one breaks `select` users. Call it once, before any thread starts.
pub fn normalise() {
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    for ignored in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGCHLD] {
        #[expect(unsafe_code, reason = "sigaction is unsafe for handlers that are functions")]
        // SAFETY: SIG_DFL is no function, and no other thread runs yet.
        let _ = unsafe { signal(ignored, SigHandler::SigDfl) };
    }
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = ORIGINAL_FILES.set((soft, hard));
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Gives the limit of open files that programs should have; `None` when it was never changed.
pub(super) fn original_files() -> Option<(rlim_t, rlim_t)> {
    ORIGINAL_FILES.get().copied()
}
