//! The way down: everybody ends, everything is written, the machine stops.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, sync};

use super::mounts;
use super::report::Report;
use super::supervisor::reaped;
use crate::sys::mountinfo::needs_server;

/// How long the agent may take: it ends its programs and connections in 4 s at most.
pub(super) const AGENT_WINDOW: Duration = Duration::from_secs(6);
/// How long everybody else may take after SIGTERM: hosts wait 10 s for the whole.
const TERM_WINDOW: Duration = Duration::from_secs(2);
/// How long the kernel may take to end what was killed.
const KILL_WINDOW: Duration = Duration::from_secs(1);
/// Between two looks at who is left. Nothing else is to be done then.
const LOOK: Duration = Duration::from_millis(5);
/// How long servers may take to let go of their filesystems, all together; and once more, when they are forced to.
const NETWORK_WINDOW: Duration = Duration::from_secs(2);
/// How long the disks may take to write: hosts do not wait longer for the whole.
const DISK_WINDOW: Duration = Duration::from_secs(10);
/// How long the last writing may take where a dead server's filesystem is in its way.
const LEFT_WINDOW: Duration = Duration::from_millis(500);
/// What the kernel itself is behind: no disk, so nothing to unmount.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Says what comes after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Down {
    /// No power.
    PowerOff,
    /// The same machine again.
    Restart,
}

/// Ends all processes, writes everything, and stops the machine.
pub(super) fn finish(down: Down, report: Report) -> ! {
    end(Signal::SIGTERM, TERM_WINDOW);
    end(Signal::SIGKILL, KILL_WINDOW);
    write_out(report);
    let mode = match down {
        Down::PowerOff => RebootMode::RB_POWER_OFF,
        Down::Restart => RebootMode::RB_AUTOBOOT,
    };
    let Err(error) = reboot(mode);
    report.failed("stop the machine", &error);
    // Ending now would be a panic of the kernel, after everything was done right.
    loop {
        nix::unistd::pause();
    }
}

/// Reaps until this child, or every child, is gone; `false` when time ran out first.
pub(super) fn gone(child: Option<Pid>, window: Duration) -> bool {
    let since = Instant::now();
    loop {
        if reaped().any(|(pid, _)| Some(pid) == child) {
            return true;
        }
        // Stopped or frozen children are still there, and asking changes nothing.
        if matches!(waitpid(child, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)), Err(Errno::ECHILD)) {
            return true;
        }
        if since.elapsed() > window {
            return false;
        }
        sleep(LOOK);
    }
}

/// Signals everybody but us and the kernel's threads, and waits for them: who loses its parent becomes our child.
fn end(signal: Signal, window: Duration) {
    if kill(Pid::from_raw(-1), signal) != Err(Errno::ESRCH) {
        gone(None, window);
    }
}

/// Writes everything, as far as that comes to an end: on a dead server's filesystem each call can wait for ever, so
/// those go first, and no call is made by this thread.
fn write_out(report: Report) {
    let table = mounts::table();
    let networks = mounts::mounted(&table).rev().filter(|mounted| needs_server(&mounted.kind));
    let paths: Vec<_> = networks.map(|mounted| mounted.path).collect();
    let left = unmount(paths, MntFlags::UMOUNT_NOFOLLOW, NETWORK_WINDOW);
    // Forced ones lose what they had to write, and are out of the way even if their end does not come.
    let left = unmount(left, MntFlags::MNT_FORCE | MntFlags::MNT_DETACH, LEFT_WINDOW);
    for path in &left {
        report.wrong(&format!("the server of {} is not waited for", path.display()));
    }
    if !apart(move || release(report)).ended(DISK_WINDOW) {
        report.wrong("the disks are not waited for");
    }
    apart(sync).ended(if left.is_empty() { DISK_WINDOW } else { LEFT_WINDOW });
}

/// Unmounts these at the same time, and gives back what did not go in time.
fn unmount(paths: Vec<PathBuf>, flags: MntFlags, window: Duration) -> Vec<PathBuf> {
    let by = Instant::now() + window;
    let begin = |path: PathBuf| {
        let place = path.clone();
        (path, apart(move || umount2(&place, flags).is_ok()))
    };
    let begun: Vec<_> = paths.into_iter().map(begin).collect();
    let is_left = |task: &Apart<bool>| task.wait(by.saturating_duration_since(Instant::now())) != Some(true);
    begun.into_iter().filter(|(_, task)| is_left(task)).map(|(path, _)| path).collect()
}

/// A thread that nobody has to wait for: one that the kernel holds does not keep a machine from being stopped.
struct Apart<T>(Receiver<T>);

/// Does something in a thread of its own.
fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Apart<T> {
    let (tell, told) = mpsc::channel();
    // Without a thread it is as if it had not ended: everybody else has, so there is room for one.
    let _ = thread::Builder::new().spawn(move || tell.send(work()));
    Apart(told)
}

impl<T> Apart<T> {
    /// Gives what it said, unless time ran out first.
    fn wait(&self, window: Duration) -> Option<T> {
        self.0.recv_timeout(window).ok()
    }

    fn ended(&self, window: Duration) -> bool {
        self.wait(window).is_some()
    }
}

/// Unmounts what can be, last mounted first; the root, and what is still used, becomes read-only, which writes it out.
fn release(report: Report) {
    for point in mounts::mounted(&mounts::table()).rev().map(|mounted| mounted.path) {
        if KERNEL.iter().any(|kernel| point.starts_with(kernel)) {
            continue;
        }
        if point == Path::new("/") || umount2(&point, MntFlags::UMOUNT_NOFOLLOW).is_err() {
            let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            let result = mount(None::<&str>, &point, None::<&str>, flags, None::<&str>);
            // An initramfs cannot be, and need not.
            if result != Err(Errno::EINVAL) {
                report.step(&format!("write {} out", point.display()), result);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ends_is_left_behind() {
        let (_never, told) = mpsc::channel::<()>();
        let since = Instant::now();
        assert_eq!(apart(move || told.recv().is_ok()).wait(Duration::from_millis(20)), None);
        assert!(since.elapsed() < LEFT_WINDOW + DISK_WINDOW);
        assert!(apart(|| ()).ended(DISK_WINDOW));
    }

    #[test]
    fn what_could_not_be_unmounted_is_told() {
        let paths = ["/no/such/place", "/no/such/other"].map(PathBuf::from).to_vec();
        assert_eq!(unmount(paths.clone(), MntFlags::UMOUNT_NOFOLLOW, NETWORK_WINDOW), paths);
    }
}
