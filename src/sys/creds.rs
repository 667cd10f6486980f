//! The identity under which one thread touches files.
//!
//! Linux keeps credentials per thread; the C library's wrappers for most of them change the whole process, so the
//! raw calls are used. Only the *filesystem* ids change (credentials(7)): while the filesystem uid is not 0 the
//! kernel takes the file capabilities (`CAP_DAC_OVERRIDE`, `CAP_CHOWN`, …) out of the effective set, and gives them
//! back when it becomes 0 again (capabilities(7), "Effect of user ID changes on capabilities"). The ability to
//! change back is never lost, because `CAP_SETUID` and `CAP_SETGID` are not file capabilities.

use std::io;
use std::marker::PhantomData;
use std::sync::OnceLock;

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use rustix::process::{Gid as Group, getgroups};
use rustix::thread::{CapabilitySet, set_thread_groups};

/// Holds this thread in another filesystem identity; dropping it, also by a panic, restores the former one.
#[derive(Debug)]
#[must_use = "the identity ends when this is dropped"]
pub struct Assumed {
    uid: Uid,
    gid: Gid,
    groups: Vec<Group>,
    /// Credentials belong to the thread that changed them: not `Send`.
    thread: PhantomData<*const ()>,
}

/// Gives this thread the filesystem uid and gid and exactly the supplementary `groups`.
///
/// # Errors
/// `EPERM` when this process may not take that identity; the thread is then as it was.
pub fn assume(uid: u32, gid: u32, groups: &[u32]) -> io::Result<Assumed> {
    let former = getgroups()?;
    let groups: Vec<Group> = groups.iter().map(|&gid| Group::from_raw(gid)).collect();
    set_thread_groups(&groups)?;
    // From here the guard restores, whatever fails.
    let assumed = Assumed {
        gid: setfsgid(Gid::from_raw(gid)),
        uid: setfsuid(Uid::from_raw(uid)),
        groups: former,
        thread: PhantomData,
    };
    // Neither call reports failure: ask with an id that cannot be, which changes nothing (setfsuid(2)).
    let now = (setfsuid(Uid::from_raw(u32::MAX)).as_raw(), setfsgid(Gid::from_raw(u32::MAX)).as_raw());
    if now == (uid, gid) { Ok(assumed) } else { Err(io::Error::from_raw_os_error(nix::libc::EPERM)) }
}

impl Drop for Assumed {
    fn drop(&mut self) {
        setfsuid(self.uid);
        setfsgid(self.gid);
        // Succeeded before with the same capability, which this thread cannot have lost in between.
        let _ = set_thread_groups(&self.groups);
    }
}

/// Names under which ids this process runs.
#[derive(Debug)]
pub struct Own {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// Gives the ids of this process, which nothing here ever changes: [`assume`] does it for one thread and its files.
/// Ask first on a thread that has assumed nothing.
#[must_use]
pub fn own() -> &'static Own {
    static OWN: OnceLock<Own> = OnceLock::new();
    OWN.get_or_init(|| Own {
        uid: nix::unistd::geteuid().as_raw(),
        gid: nix::unistd::getegid().as_raw(),
        groups: getgroups().unwrap_or_default().into_iter().map(Group::as_raw).collect(),
    })
}

/// Says whether the calling thread may administer the system (CAP_SYS_ADMIN): freeze filesystems, add entropy.
#[must_use]
pub fn is_admin() -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assumed_identity_loses_roots_rights_and_ends_with_its_guard() {
        let shadow = std::path::Path::new("/etc/shadow");
        assert!(std::fs::read(shadow).is_ok(), "this test runs as root");
        let assumed = assume(65_534, 65_534, &[65_534]).unwrap();
        assert_eq!(std::fs::read(shadow).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        drop(assumed);
        assert!(std::fs::read(shadow).is_ok());
    }

    #[test]
    fn an_assumed_identity_is_the_threads_alone() {
        let (ask, asked) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || asked.recv().map(|()| std::fs::read("/etc/shadow").is_ok()));
        let _assumed = assume(65_534, 65_534, &[]).unwrap();
        ask.send(()).unwrap();
        assert!(other.join().unwrap().unwrap());
    }

    #[test]
    fn a_panic_ends_an_assumed_identity() {
        let before = getgroups().unwrap();
        let result = std::panic::catch_unwind(|| {
            let _assumed = assume(1, 1, &[1, 2, 3]).unwrap();
            panic!("as intended by the test");
        });
        assert!(result.is_err());
        assert!(std::fs::read("/etc/shadow").is_ok());
        assert_eq!(getgroups().unwrap(), before);
    }
}
