//! Namespaces of networks and mounts: which is ours, and those of containers inside the guest.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::thread;

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use rustix::fs::{RawDir, readlinkat_raw};
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

/// Kinds of namespaces (namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What is mounted where.
    Mount,
    /// Addresses, routes and sockets.
    Network,
}

impl Kind {
    /// The way to it from a process's folder in `/proc`.
    fn link(self) -> &'static str {
        match self {
            Self::Mount => "/ns/mnt",
            Self::Network => "/ns/net",
        }
    }
}

/// Bytes of `/proc` per system call: some 1,300 processes.
const BUFFER: usize = 32 << 10;
/// Longest text of a link: a word of three letters, and a number of 32 bits in brackets.
const TEXT: usize = 32;

/// Hands the folder in `/proc` of a process in each namespace to `visit`, but for the caller's namespace. Where it fails,
/// the process may have ended, and the next one of the same namespace is handed over.
///
/// Programs may stand still meanwhile, and each process of the machine is looked at: nothing is allocated for it. The
/// links are read and not followed, which costs the kernel twice as much (as do a pidfd's own calls, three times).
///
/// # Errors
/// When `/proc` is not mounted. Processes that end meanwhile are left out.
pub fn each_other(kind: Kind, mut visit: impl FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut known =
        vec![fs::read_link(Path::new("/proc/thread-self").join(&kind.link()[1..]))?.into_os_string().into_vec()];
    let proc = File::open("/proc")?;
    let (mut buffer, mut text) = ([MaybeUninit::uninit(); BUFFER], [MaybeUninit::uninit(); TEXT]);
    let mut entries = RawDir::new(&proc, &mut buffer);
    let mut link = Vec::new();
    while let Some(Ok(entry)) = entries.next() {
        let process = entry.file_name().to_bytes();
        if !process.first().is_some_and(u8::is_ascii_digit) {
            continue;
        }
        link.clear();
        link.extend_from_slice(process);
        link.extend_from_slice(kind.link().as_bytes());
        let Ok((name, _)) = readlinkat_raw(&proc, &link[..], &mut text) else { continue };
        let is_known = known.iter().any(|known| known == name);
        if !is_known && visit(&Path::new("/proc").join(OsStr::from_bytes(process))).is_ok() {
            known.push(name.to_vec());
        }
    }
    Ok(())
}

/// Opens each network namespace that a process runs in, but for the caller's.
///
/// # Errors
/// As [`each_other`].
pub fn other_networks() -> io::Result<Vec<File>> {
    let mut found = Vec::new();
    each_other(Kind::Network, |process| {
        found.push(File::open(process.join("ns/net"))?);
        Ok(())
    })?;
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
    fn each_namespace_is_visited_once_and_by_another_process_if_the_first_one_has_gone() {
        // From namespaces of its own, a thread finds those of this process and of its children.
        let mut children = [(); 3].map(|()| std::process::Command::new("sleep").arg("1000").spawn().unwrap());
        for kind in [Kind::Mount, Kind::Network] {
            let shared = fs::read_link(Path::new("/proc/self").join(&kind.link()[1..])).unwrap();
            let visits = |failures: usize| {
                let (mut tries, mut met) = (0, 0);
                apart(|| {
                    each_other(kind, |process| {
                        if fs::read_link(process.join(&kind.link()[1..]))? != shared {
                            return Ok(());
                        }
                        tries += 1;
                        if tries <= failures {
                            return Err(io::ErrorKind::NotFound.into());
                        }
                        met += 1;
                        Ok(())
                    })
                    .unwrap();
                });
                (tries, met)
            };
            assert_eq!(visits(0), (1, 1), "{kind:?}");
            assert_eq!(visits(3), (4, 1), "{kind:?}");
        }
        children.iter_mut().for_each(|child| child.kill().and_then(|()| child.wait()).map(drop).unwrap());
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
