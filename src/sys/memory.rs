//! How much memory the machine has.

/// Gives `MemTotal` in bytes (sysinfo(2), which cannot fail with a valid pointer).
#[must_use]
pub fn total() -> u64 {
    let info = rustix::system::sysinfo();
    #[allow(clippy::useless_conversion, reason = "the field's width differs by architecture")]
    let units = u64::from(info.totalram);
    units * u64::from(info.mem_unit)
}
