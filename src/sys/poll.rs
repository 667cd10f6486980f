//! Registering descriptors with the runtime's epoll.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Marks types that own one descriptor for as long as they live.
pub trait Owner: AsRawFd + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
}

macro_rules! owners {
    ($($owner:ty),*) => { $(impl sealed::Sealed for $owner {} impl Owner for $owner {})* };
}
owners!(OwnedFd, Arc<OwnedFd>, File);

/// Registers a descriptor with the runtime that the caller runs on.
///
/// # Errors
/// EPERM for files that cannot be polled, ENOMEM, ENOSPC (`fs.epoll.max_user_watches`).
pub fn register<T: Owner>(file: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    #[expect(unsafe_code, reason = "tokio asks callers to promise what the sealed trait guarantees")]
    // SAFETY: an `Owner` owns its descriptor, gives the same number each time, and keeps it open until it is dropped;
    // the AsyncFd owns the `Owner` and deregisters before it drops it.
    let registered = unsafe { AsyncFd::register_with_interest(file, interest) };
    registered.map_err(|error| error.into_parts().1)
}
