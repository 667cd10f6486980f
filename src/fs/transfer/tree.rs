//! What is copied, and in which order.

use std::ffi::OsString;
use std::fs::{self, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::vec::IntoIter;

use nix::libc;

use super::file::{attributes, copy_one};
use crate::fs::{FsError, remove};

/// Moves `source` to `destination` on another filesystem, replacing what rename(2) would replace.
///
/// # Errors
/// [`FsError::IsDirectory`], [`FsError::NotDirectory`], a busy source (a mount point, or one inside), or what the
/// system said. When only removing the source failed, both are there.
pub fn tree(source: &Path, destination: &Path) -> Result<(), FsError> {
    let failed = |verb, path| FsError::io(verb, path);
    let found = fs::symlink_metadata(source).map_err(failed("move", source))?;
    let above = source.parent().map(fs::metadata).transpose().map_err(failed("move", source))?;
    if above.is_none_or(|above| above.dev() != found.dev()) {
        return Err(failed("move", source)(busy()));
    }
    make_room(&found, destination)?;
    if let Err(error) = copy(source, &found, destination) {
        if found.is_dir() {
            // Only what was made here: the name was free.
            let _ = remove::remove(destination);
        }
        return Err(failed("move to another filesystem", source)(error));
    }
    remove::remove(source)
}

/// Makes the error for a directory that cannot be replaced because it has content.
pub(in crate::fs) fn not_empty(path: &Path) -> FsError {
    FsError::io("replace", path)(io::Error::from_raw_os_error(libc::ENOTEMPTY))
}

fn busy() -> io::Error {
    io::Error::from_raw_os_error(libc::EBUSY)
}

/// Frees the name of an empty directory that a directory replaces; checks what a file replaces.
fn make_room(found: &Metadata, destination: &Path) -> Result<(), FsError> {
    let there = match fs::symlink_metadata(destination) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(FsError::io("replace", destination))?,
    };
    match (found.is_dir(), there.is_dir()) {
        (true, true) => fs::remove_dir(destination).map_err(FsError::io("replace", destination)),
        (true, false) => Err(FsError::NotDirectory(destination.to_owned())),
        (false, true) => Err(FsError::IsDirectory(destination.to_owned())),
        (false, false) => Ok(()),
    }
}

/// One directory on the way down; its attributes are set when its content is there.
struct Level {
    source: PathBuf,
    found: Metadata,
    destination: PathBuf,
    names: IntoIter<OsString>,
}

fn copy(source: &Path, found: &Metadata, destination: &Path) -> io::Result<()> {
    if !found.is_dir() {
        return copy_one(source, found, destination);
    }
    let mut down = vec![enter(source.to_owned(), found.clone(), destination.to_owned())?];
    while let Some(level) = down.last_mut() {
        let Some(name) = level.names.next() else {
            finish_directory(level)?;
            down.pop();
            continue;
        };
        let (from, to) = (level.source.join(&name), level.destination.join(&name));
        let inner = match fs::symlink_metadata(&from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        if inner.dev() != found.dev() {
            return Err(busy());
        }
        if inner.is_dir() {
            let level = enter(from, inner, to)?;
            down.push(level);
        } else {
            copy_one(&from, &inner, &to)?;
        }
    }
    Ok(())
}

fn enter(source: PathBuf, found: Metadata, destination: PathBuf) -> io::Result<Level> {
    let names = fs::read_dir(&source)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    // Closed to others until its owner and mode are right.
    fs::DirBuilder::new().mode(0o700).create(&destination)?;
    Ok(Level { source, found, destination, names: names.into_iter() })
}

fn finish_directory(level: &Level) -> io::Result<()> {
    let open =
        |path: &Path| OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_DIRECTORY).open(path);
    attributes(&open(&level.source)?, &level.found, &open(&level.destination)?)
}
