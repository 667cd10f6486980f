//! Extended attributes, with the buffers that the calls want.

use std::ffi::{CStr, CString};
use std::io;
use std::path::Path;

use rustix::fs;
use rustix::io::Errno;

/// The most that a list of names or one value can take (XATTR_LIST_MAX, XATTR_SIZE_MAX, limits.h).
const MOST: usize = 65_536;

/// Names a file whose attributes are meant.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// By path; a symbolic link means what it points to.
    Path(&'a Path),
    /// An open file, which need not have a name.
    Open(std::os::fd::BorrowedFd<'a>),
}

/// Lists the attribute names of a file; most files have none, which costs one call and no memory.
///
/// # Errors
/// Those of listxattr(2); `ENOTSUP` where the filesystem has no attributes.
pub fn names(target: Target<'_>) -> io::Result<Vec<CString>> {
    let mut short = [0_u8; 512];
    let list = match list(target, &mut short) {
        Ok(length) => short[..length].to_vec(),
        Err(Errno::RANGE) => {
            let mut long = vec![0_u8; MOST];
            let length = list(target, &mut long)?;
            long.truncate(length);
            long
        }
        Err(error) => return Err(error.into()),
    };
    Ok(list
        .split_inclusive(|&byte| byte == 0)
        .filter_map(|name| Some(CStr::from_bytes_with_nul(name).ok()?.into()))
        .collect())
}

/// Reads one attribute.
///
/// # Errors
/// Those of getxattr(2); `ENODATA` when the file has no such attribute.
pub fn get(target: Target<'_>, name: &CStr) -> io::Result<Vec<u8>> {
    let mut short = [0_u8; 512];
    match value(target, name, &mut short) {
        Ok(length) => Ok(short[..length].to_vec()),
        Err(Errno::RANGE) => {
            let mut long = vec![0_u8; MOST];
            let length = value(target, name, &mut long)?;
            long.truncate(length);
            Ok(long)
        }
        Err(error) => Err(error.into()),
    }
}

/// Writes one attribute, whether or not it is there.
///
/// # Errors
/// Those of setxattr(2).
pub fn set(target: Target<'_>, name: &CStr, value: &[u8]) -> io::Result<()> {
    let flags = fs::XattrFlags::empty();
    match target {
        Target::Path(path) => fs::setxattr(path, name, value, flags)?,
        Target::Open(file) => fs::fsetxattr(file, name, value, flags)?,
    }
    Ok(())
}

/// Removes one attribute.
///
/// # Errors
/// Those of removexattr(2).
pub fn remove(target: Target<'_>, name: &CStr) -> io::Result<()> {
    match target {
        Target::Path(path) => fs::removexattr(path, name)?,
        Target::Open(file) => fs::fremovexattr(file, name)?,
    }
    Ok(())
}

fn list(target: Target<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    match target {
        Target::Path(path) => fs::listxattr(path, buffer),
        Target::Open(file) => fs::flistxattr(file, buffer),
    }
}

fn value(target: Target<'_>, name: &CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
    match target {
        Target::Path(path) => fs::getxattr(path, name, buffer),
        Target::Open(file) => fs::fgetxattr(file, name, buffer),
    }
}
