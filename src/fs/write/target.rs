//! What stands where an upload is to go.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;

use super::WriteError;
use crate::fs::FsError;
use crate::sys::file;

/// Symbolic links that are followed at the end of a path, as the kernel does (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// File systems whose files are doors into the kernel: each write acts at once, and nothing can be kept back.
const VIRTUAL: [u64; 14] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x6367_7270, // cgroup2
    0x0027_e0eb, // cgroup
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0x6265_6570, // configfs
    0xcafe_4a11, // bpf
    0xde5e_81e4, // efivarfs
    0x4249_4e4d, // binfmt_misc
    0x6573_5543, // fusectl
    0x0765_5821, // resctrl
    0xf97c_ff8c, // selinuxfs
];

/// Sorts what is there; the last symbolic link is followed.
#[derive(Debug)]
pub(super) enum Target {
    /// Nothing; the path is the one asked for, or where a dangling link of that name leads.
    Missing(PathBuf),
    /// A regular file, open for writing and not truncated.
    Regular(File, Metadata),
    /// A pipe, a device or a file of a virtual file system, open for writing.
    Straight(File),
}

/// Opens what stands at `path` for writing without changing it, and without waiting for a pipe's reader.
///
/// `follow` asks where a dangling link leads when nothing is there; most often nothing means nothing.
pub(super) fn open(path: &Path, follow: bool) -> Result<Target, WriteError> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    match OpenOptions::new().write(true).custom_flags(flags).open(path) {
        Ok(file) => sort(path, file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if follow {
                followed(path).map(Target::Missing)
            } else {
                Ok(Target::Missing(path.to_owned()))
            }
        }
        Err(error) if error.raw_os_error() == Some(libc::ENOTDIR) => {
            Err(FsError::NotDirectory(path.parent().unwrap_or(path).to_owned()).into())
        }
        Err(error) => Err(WriteError::io("open", path)(error)),
    }
}

fn sort(path: &Path, file: File) -> Result<Target, WriteError> {
    let found = file.metadata().map_err(WriteError::io("stat", path))?;
    let kind = found.file_type();
    if kind.is_fifo() || kind.is_char_device() || kind.is_block_device() {
        return Ok(Target::Straight(file));
    }
    let space = file::space(&file).map_err(WriteError::io("stat", path))?;
    if VIRTUAL.contains(&space.magic) { Ok(Target::Straight(file)) } else { Ok(Target::Regular(file, found)) }
}

/// Finds where the name that a dangling link stands for is to be made.
fn followed(path: &Path) -> Result<PathBuf, WriteError> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(FsError::Loop(path).into())
}
