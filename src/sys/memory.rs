//! How much memory the machine has.

use std::io;

/// Gives `MemTotal` in bytes (sysinfo(2)).
///
/// # Errors
/// None that a valid call can have.
pub fn total() -> io::Result<u64> {
    let info = rustix::system::sysinfo();
    #[allow(clippy::useless_conversion, reason = "the field's width differs by architecture")]
    Ok(u64::from(info.totalram) * u64::from(info.mem_unit))
}
