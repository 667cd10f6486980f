//! Making directories and moving things.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::libc;

use super::{Entry, FsError, entry, parents, transfer};
use crate::identity::User;
use crate::identity::accounts::Table;

/// Makes the directory `path` with all that is missing above it, owned by `user`.
///
/// # Errors
/// [`FsError::DirectoryExists`], also to all but one of several callers at once; [`FsError::NotDirectory`].
pub fn make_dir(path: &Path, user: &User, table: &Table) -> Result<Entry, FsError> {
    if parents::make(path, user)? { entry::read(path, table) } else { Err(FsError::DirectoryExists(path.to_owned())) }
}

/// Moves `source` to exactly `destination`, replacing what rename(2) replaces; missing parents are made for `user`.
///
/// A link is moved as a link. To another filesystem the tree is copied and then removed, see [`transfer`].
///
/// # Errors
/// [`FsError::Missing`] for the source, [`FsError::IntoItself`], else what the system said about the destination.
pub fn rename(source: &Path, destination: &Path, user: &User, table: &Table) -> Result<Entry, FsError> {
    let found = fs::symlink_metadata(source).map_err(FsError::io("move", source))?;
    // Looked at before any parent is made, which would be made inside the source.
    if found.is_dir() && inside(destination, source) {
        return Err(FsError::IntoItself(source.to_owned()));
    }
    parents::make_for(destination, user)?;
    match fs::rename(source, destination) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EXDEV) => transfer::tree(source, destination)?,
        Err(error) => return Err(refused(source, destination, error)),
    }
    entry::read(destination, table)
}

/// Sorts what rename(2) said, once the source and the destination's parents were seen.
fn refused(source: &Path, destination: &Path, error: io::Error) -> FsError {
    match error.raw_os_error() {
        Some(libc::EISDIR) => FsError::IsDirectory(destination.to_owned()),
        Some(libc::ENOTDIR) => FsError::NotDirectory(destination.to_owned()),
        Some(libc::EINVAL) => FsError::IntoItself(source.to_owned()),
        // rename(2): the two words for a directory that is not empty.
        Some(libc::EEXIST | libc::ENOTEMPTY) => transfer::not_empty(destination),
        _ => FsError::io("move", source)(error),
    }
}

/// Says whether `path` is, or would come to be, strictly below the directory `above`, links resolved.
fn inside(path: &Path, above: &Path) -> bool {
    let Ok(above) = fs::canonicalize(above) else {
        return false;
    };
    let there = path.ancestors().skip(1).find_map(|ancestor| fs::canonicalize(ancestor).ok());
    there.is_some_and(|there: PathBuf| there.starts_with(above))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;
    use crate::base::{Failure, Kind};
    use crate::fs::scratch::{Scratch, user};
    use crate::identity::Accounts;

    fn moved(source: &Path, destination: &Path) -> Result<Entry, FsError> {
        rename(source, destination, &user(), &Accounts::default().table().unwrap())
    }

    fn made(path: &Path) -> Result<Entry, FsError> {
        make_dir(path, &user(), &Accounts::default().table().unwrap())
    }

    #[test]
    fn a_directory_is_made_once_and_a_file_in_its_place_is_an_invalid_argument() {
        let scratch = Scratch::new();
        let entry = made(&scratch.at("a/b")).unwrap();
        assert_eq!((&*entry.permissions, &*entry.name), ("drwxr-xr-x", "b"));
        assert_eq!(made(&scratch.at("a/b")).unwrap_err().kind(), Kind::AlreadyExists);
        fs::write(scratch.at("f"), "").unwrap();
        assert_eq!(made(&scratch.at("f")).unwrap_err().kind(), Kind::InvalidArgument);
        assert_eq!(made(&scratch.at("f/x")).unwrap_err().kind(), Kind::InvalidArgument);
    }

    #[test]
    fn a_move_makes_parents_for_the_user_and_replaces_a_file() {
        let scratch = Scratch::new();
        fs::write(scratch.at("a"), "new").unwrap();
        let entry = moved(&scratch.at("a"), &scratch.at("d/e/b")).unwrap();
        assert_eq!(entry.path, scratch.at("d/e/b").to_string_lossy());
        assert_eq!(fs::metadata(scratch.at("d/e")).unwrap().uid(), 1000);
        fs::write(scratch.at("c"), "newer").unwrap();
        moved(&scratch.at("c"), &scratch.at("d/e/b")).unwrap();
        assert_eq!(fs::read(scratch.at("d/e/b")).unwrap(), b"newer");
    }

    #[test]
    fn a_move_of_a_link_moves_the_link_also_a_broken_one() {
        let scratch = Scratch::new();
        symlink("nowhere", scratch.at("l")).unwrap();
        moved(&scratch.at("l"), &scratch.at("m")).unwrap();
        assert_eq!(fs::read_link(scratch.at("m")).unwrap(), Path::new("nowhere"));
    }

    #[test]
    fn a_move_that_cannot_be_says_why_and_makes_nothing() {
        let scratch = Scratch::new();
        fs::create_dir_all(scratch.at("d/full")).unwrap();
        fs::create_dir(scratch.at("e")).unwrap();
        fs::write(scratch.at("f"), "").unwrap();
        for (from, to, kind) in [
            ("none", "x/y", Kind::NotFound),
            ("f/none", "x/y", Kind::NotFound),
            ("d", "d/full/new/d", Kind::InvalidArgument),
            ("e", "d", Kind::FailedPrecondition),
            ("f", "d", Kind::InvalidArgument),
            ("d", "f", Kind::InvalidArgument),
            ("d", "f/x", Kind::InvalidArgument),
        ] {
            assert_eq!(moved(&scratch.at(from), &scratch.at(to)).unwrap_err().kind(), kind, "{from} {to}");
        }
        assert!(!scratch.at("x").exists() && !scratch.at("d/full/new").exists());
        moved(&scratch.at("d"), &scratch.at("d")).unwrap();
    }
}
