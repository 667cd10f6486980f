//! Clocks that tell the true time without the host's help: that of the hypervisor, and the real-time clock.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use rustix::time::{DynamicClockId, clock_gettime_dynamic};

/// Names of clocks that tell the host's UTC; others, of network cards say, may count anything
/// (drivers/ptp/ptp_kvm_common.c, drivers/ptp/ptp_vmclock.c, drivers/hv/hv_util.c).
const TRUE_CLOCKS: [&str; 3] = ["KVM virtual PTP", "vmclock", "hyperv"];

/// Opens the hypervisor's clock behind `/dev/ptp*`; `None` where there is none.
#[must_use]
pub fn open_ptp() -> Option<File> {
    fs::read_dir("/sys/class/ptp").ok()?.flatten().find_map(|entry| {
        let name = fs::read_to_string(entry.path().join("clock_name")).ok()?;
        let is_true = TRUE_CLOCKS.iter().any(|known| name.trim().starts_with(known));
        let file = is_true.then(|| File::open(Path::new("/dev").join(entry.file_name())).ok())??;
        // A vmclock without a time refuses.
        ptp(&file).is_ok().then_some(file)
    })
}

/// Reads a clock that [`open_ptp`] found, as the time since the epoch.
///
/// # Errors
/// Those of the driver.
pub fn ptp(clock: &File) -> io::Result<Duration> {
    let now = clock_gettime_dynamic(DynamicClockId::Dynamic(clock.as_fd()))?;
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    match (seconds, nanoseconds) {
        (Ok(seconds), Ok(nanoseconds)) => Ok(Duration::new(seconds, nanoseconds)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Opens the real-time clock; `None` where there is none.
///
/// Through sysfs, since `/dev/rtc0` admits only one at a time: a descriptor that we keep would keep out hwclock.
#[must_use]
pub fn open_rtc() -> Option<File> {
    let file = |name: std::ffi::OsString| File::open(Path::new("/sys/class/rtc").join(name).join("since_epoch")).ok();
    let works = |file: &File| rtc(file).is_ok();
    fs::read_dir("/sys/class/rtc").ok()?.flatten().filter_map(|entry| file(entry.file_name())).find(works)
}

/// Reads a clock that [`open_rtc`] found: whole seconds since the epoch.
///
/// # Errors
/// Those of the driver; EINVAL when it was never set.
pub fn rtc(clock: &File) -> io::Result<Duration> {
    let mut text = [0; 24];
    // Reading at 0 asks the device again.
    let length = rustix::io::pread(clock, &mut text[..], 0)?;
    let text = std::str::from_utf8(&text[..length]).unwrap_or("").trim();
    text.parse().map(Duration::from_secs).or(Err(io::ErrorKind::InvalidData.into()))
}
