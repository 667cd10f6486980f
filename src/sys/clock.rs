//! The wall clock, and those that only go on.

use std::io;
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime, clock_settime};
use rustix::thread::CapabilitySet;
use rustix::time::ClockId as Clock;

/// Reads CLOCK_REALTIME as the time since the epoch.
///
/// # Errors
/// None that a valid call can have.
pub fn realtime() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_REALTIME)?.into())
}

/// Steps CLOCK_REALTIME; timers that asked for it are told (TFD_TIMER_CANCEL_ON_SET).
///
/// # Errors
/// EPERM without CAP_SYS_TIME, EINVAL for a time before the machine's start.
pub fn set_realtime(since_epoch: Duration) -> io::Result<()> {
    Ok(clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::from_duration(since_epoch))?)
}

/// Reads CLOCK_MONOTONIC_RAW: how long this machine has run, by its bare counter. It is never stepped nor slewed, and
/// does not count while a virtual machine is stopped from outside (measured: QEMU 10, and Firecracker without its
/// option to the contrary).
///
/// # Errors
/// None that a valid call can have.
pub fn running() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC_RAW)?.into())
}

/// Reads CLOCK_MONOTONIC.
#[must_use]
pub fn monotonic() -> Duration {
    gettime(Clock::Monotonic)
}

/// Reads CLOCK_MONOTONIC as it was at the last tick of the kernel, up to 10 ms ago. It is a read of memory whatever the
/// clock of the machine is; in guests without a usable TSC the exact one is a system call and an exit to the host.
#[must_use]
pub fn coarse() -> Duration {
    gettime(Clock::MonotonicCoarse)
}

/// Reads a clock that always exists.
fn gettime(clock: Clock) -> Duration {
    let time = rustix::time::clock_gettime(clock);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Says whether this thread may set the wall clock (CAP_SYS_TIME). There is no call that would fail harmlessly.
#[must_use]
pub fn may_set() -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_TIME))
}
