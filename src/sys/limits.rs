//! What the agent inherits from whoever started it, brought to known values.

use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, signal};

static ORIGINAL_FILES: OnceLock<(rlim_t, rlim_t)> = OnceLock::new();

/// Takes our name, unblocks all signals, makes children wait to be reaped, and lifts the soft limit of open files to the hard one.
/// Programs would inherit it; they get the original file limit back (`original_files`), since a high one breaks
/// `select` users. Call it once, before any thread starts.
pub fn normalise() {
    // Process 1 starts us by a path that ends in `exe`.
    let _ = nix::sys::prctl::set_name(c"thawd");
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    #[expect(unsafe_code, reason = "sigaction is unsafe for handlers that are functions")]
    // SAFETY: SIG_DFL is no function, and no other thread runs yet.
    let _ = unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) };
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = ORIGINAL_FILES.set((soft, hard));
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Gives the limit of open files that programs should have; `None` when it was never changed.
pub(super) fn original_files() -> Option<(rlim_t, rlim_t)> {
    ORIGINAL_FILES.get().copied()
}
