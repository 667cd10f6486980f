//! The wall clock.

use std::io;
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime, clock_settime};

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
