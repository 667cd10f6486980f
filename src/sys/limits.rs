//! What the agent inherits from whoever started it, brought to known values.

use std::sync::OnceLock;

use nix::libc::{self, c_int};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, signal};

static ORIGINAL_FILES: OnceLock<(rlim_t, rlim_t)> = OnceLock::new();
static IGNORED: OnceLock<Vec<c_int>> = OnceLock::new();

/// What Rust (the first), `nohup` and a shell's `&` make us ignore. Those that the agent handles itself are reset by
/// exec.
const PERHAPS_IGNORED: [c_int; 3] = [libc::SIGPIPE, libc::SIGHUP, libc::SIGQUIT];

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
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok()
    {
        let _ = ORIGINAL_FILES.set((soft, hard));
    }
}

/// Gives the signals that we ignore and programs should not: exec hands that on. Nobody changes it while we run.
pub(super) fn ignored() -> &'static [c_int] {
    IGNORED.get_or_init(|| PERHAPS_IGNORED.into_iter().filter(|&signal| is_ignored(signal)).collect())
}

fn is_ignored(signal: c_int) -> bool {
    let mut now = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    #[expect(unsafe_code, reason = "no wrapper asks without changing")]
    // SAFETY: a null action changes nothing; the kernel fills the struct, for which zeros are valid too.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), now.as_mut_ptr());
        now.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Gives the limit of open files that programs should have; `None` when it was never changed.
pub(super) fn original_files() -> Option<(rlim_t, rlim_t)> {
    ORIGINAL_FILES.get().copied()
}
