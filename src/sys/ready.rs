//! Waiting for a descriptor without a thread.

use std::fs::File;
use std::io;

use tokio::io::unix::AsyncFd;

/// Registers a file with the runtime's epoll instance; call it inside the runtime.
///
/// # Errors
/// `EPERM` for files that are always ready (epoll_ctl(2)): regular ones and some devices. The file comes back.
pub fn register(file: File) -> Result<AsyncFd<File>, (File, io::Error)> {
    // SAFETY: a `File` owns its descriptor, names the same one for as long as it lives, and closes it only when it is
    // dropped, which is after the registration ends.
    #[expect(unsafe_code, reason = "tokio's safe constructors are deprecated: they trust any AsRawFd")]
    let registered = unsafe { AsyncFd::register(file) };
    registered.map_err(tokio::io::unix::AsyncFdRegisterError::into_parts)
}
