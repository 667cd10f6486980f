//! Which filesystem a directory is on, by its magic number (statfs(2)).

use std::io;
use std::os::fd::BorrowedFd;

/// Reads the magic number of the filesystem that an open file is on.
///
/// # Errors
/// Those of fstatfs(2).
pub fn magic(file: BorrowedFd<'_>) -> io::Result<u32> {
    let found = rustix::fs::fstatfs(file)?;
    // The numbers have 32 bits; the field's width and sign depend on the machine.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the magic is the low 32 bits")]
    Ok(found.f_type as u32)
}
