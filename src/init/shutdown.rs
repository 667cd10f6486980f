//! The way down: everybody ends, everything is written, the machine stops.

use std::path::Path;
use std::thread::sleep;
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

/// How long the agent may take: it ends its programs and connections in 4 s at most.
pub(super) const AGENT_WINDOW: Duration = Duration::from_secs(6);
/// How long everybody else may take after SIGTERM: hosts wait 10 s for the whole.
const TERM_WINDOW: Duration = Duration::from_secs(2);
/// How long the kernel may take to end what was killed.
const KILL_WINDOW: Duration = Duration::from_secs(1);
/// Between two looks at who is left. Nothing else is to be done then.
const LOOK: Duration = Duration::from_millis(5);
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
    sync();
    release(report);
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
