//! The page in which a hypervisor says that the machine was copied (include/uapi/linux/vmclock-abi.h).

use std::fs::File;
use std::io;

/// Where the driver shows the page.
pub const DEVICE: &str = "/dev/vmclock0";
/// `VMCL`, little-endian.
pub const MAGIC: u32 = 0x4b4c_4356;
/// Length of the structure with the generation counter.
pub const LENGTH: usize = 112;
/// Offset of the count that is odd while the page is being changed.
pub const SEQUENCE: usize = 12;
/// Offset of the marker that changes whenever the clock is disrupted.
pub const DISRUPTION: usize = 16;
/// Offset of the flags.
pub const FLAGS: usize = 24;
/// Offset of the counter that grows with each copy of the machine that is started.
pub const GENERATION: usize = 104;
/// The page has a generation counter.
pub const HAS_GENERATION: u64 = 1 << 8;
/// The driver wakes pollers when the page has changed; without it a poll always answers.
pub const HAS_NOTIFICATION: u64 = 1 << 9;
/// Tries to read a page that nobody is changing.
const TRIES: u32 = 16;

/// What the page says about copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Grows with each copy that is started; `None` where the hypervisor does not count.
    pub generation: Option<u64>,
    /// Changes with copies and live migrations.
    pub disruption: u64,
    /// Whether a poll tells of changes.
    pub notifies: bool,
}

/// Reads the page whole. A read also takes note for the descriptor: a poll tells of later changes only.
///
/// # Errors
/// InvalidData when it is no such page, WouldBlock when it kept changing.
pub fn read(device: &File) -> io::Result<Page> {
    let mut last = None;
    for _ in 0..TRIES {
        let mut bytes = [0; LENGTH];
        let length = rustix::io::pread(device, &mut bytes[..], 0)?;
        if length < LENGTH || number(&bytes, 0) & u64::from(u32::MAX) != u64::from(MAGIC) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // The driver reads under the sequence lock; a page in a plain file must look the same twice.
        let is_settled = bytes[SEQUENCE] & 1 == 0;
        if is_settled && last == Some(bytes) {
            let flags = number(&bytes, FLAGS);
            return Ok(Page {
                generation: (flags & HAS_GENERATION != 0).then(|| number(&bytes, GENERATION)),
                disruption: number(&bytes, DISRUPTION),
                notifies: flags & HAS_NOTIFICATION != 0,
            });
        }
        last = Some(bytes);
    }
    Err(io::ErrorKind::WouldBlock.into())
}

fn number(bytes: &[u8; LENGTH], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
