//! Network namespaces: which is ours, and those of containers inside the guest.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::thread;

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// `SO_NETNS_COOKIE` (asm-generic/socket.h).
const NETNS_COOKIE: libc::c_int = 71;

/// Tells the number by which the kernel knows the network namespace of the caller, and never another one
/// (`SO_NETNS_COOKIE`, Linux 5.14).
///
/// # Errors
/// ENOPROTOOPT on older kernels.
pub fn network_cookie() -> io::Result<u64> {
    let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut cookie = 0_u64;
    let mut length = libc::socklen_t::try_from(size_of::<u64>()).unwrap_or_default();
    #[expect(unsafe_code, reason = "no wrapper knows this option")]
    // SAFETY: the kernel stores at most `length` bytes at `cookie`, which has as many; both outlive the call.
    let result = unsafe {
        let value = (&raw mut cookie).cast();
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, NETNS_COOKIE, value, &raw mut length)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(cookie) }
}

/// Opens each network namespace that a process runs in, but for the caller's.
///
/// # Errors
/// When `/proc` is not mounted. Processes that end meanwhile are left out.
pub fn other_networks() -> io::Result<Vec<File>> {
    // The name has the number in it; following the link costs the kernel twice as much, for each process.
    let mut known = vec![fs::read_link("/proc/thread-self/ns/net")?];
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        if !entry.file_name().as_bytes().first().is_some_and(u8::is_ascii_digit) {
            continue;
        }
        let path = entry.path().join("ns/net");
        let Ok(name) = fs::read_link(&path) else {
            continue;
        };
        if known.contains(&name) {
            continue;
        }
        known.push(name);
        found.extend(File::open(&path));
    }
    Ok(found)
}

/// Does `work` in each of the namespaces, on one thread made for it: a thread that could not come back would be lost.
///
/// # Errors
/// When the thread cannot be made. A namespace that cannot be entered (EPERM) is left out.
pub fn within<T: Send>(networks: &[File], work: impl Fn() -> T + Send) -> io::Result<Vec<T>> {
    if networks.is_empty() {
        return Ok(Vec::new());
    }
    let visit = move || networks.iter().filter(|network| enter(network).is_ok()).map(|_| work()).collect();
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("network".into()).spawn_scoped(scope, visit)?;
        thread.join().map_err(|_| io::Error::other("the visitor of a namespace panicked"))
    })
}

fn enter(network: &File) -> io::Result<()> {
    Ok(move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?)
}

/// Does `work` on a thread with its own network, mounts and host name, so that tests change nothing of the machine's.
#[cfg(test)]
pub(crate) fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    use rustix::mount::MountPropagationFlags as Propagation;
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    let alone = || {
        let flags = UnshareFlags::NEWNET | UnshareFlags::NEWNS | UnshareFlags::NEWUTS;
        #[expect(unsafe_code, reason = "descriptors could be unshared")]
        // SAFETY: descriptors stay shared.
        unsafe { unshare_unsafe(flags) }.unwrap();
        rustix::mount::mount_change("/", Propagation::REC | Propagation::PRIVATE).unwrap();
        work()
    };
    thread::scope(|scope| match scope.spawn(alone).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn own() -> u64 {
        fs::metadata("/proc/thread-self/ns/net").unwrap().ino()
    }

    #[test]
    fn a_visit_comes_to_each_network_and_leaves_the_caller_where_it_is() {
        let here = own();
        let there = apart(|| File::open("/proc/thread-self/ns/net").unwrap());
        let number = there.metadata().unwrap().ino();
        assert_ne!(number, here);
        assert_eq!(within(&[there], own).unwrap(), [number]);
        assert_eq!(own(), here);
        assert!(within(&[], own).unwrap().is_empty());
    }

    #[test]
    fn the_network_of_another_process_is_found_once() {
        // From a network of its own, a thread finds that of this process.
        let here = own();
        let found = apart(|| other_networks().unwrap());
        assert_eq!(found.iter().filter(|found| found.metadata().unwrap().ino() == here).count(), 1);
        assert!(other_networks().unwrap().iter().all(|found| found.metadata().unwrap().ino() != here));
    }
}
