//! What is in a directory, down to a depth.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::names::Names;
use super::{Entry, FsError, entry};
use crate::identity::accounts::Table;

/// Walks a directory and hands over one entry after the other: names in byte order, a directory before its content.
///
/// No level below the depth is looked at, and memory does not grow with the tree, and hardly with the length of a
/// directory, whose names are read a window at a time.
#[derive(Debug)]
pub struct Walk {
    table: Arc<Table>,
    depth: usize,
    /// The directories on the way down, with the names that are still to come.
    open: Vec<(PathBuf, Names)>,
}

/// Starts listing the directory at `path`, `depth` levels deep; 0 means 1.
///
/// Links in `path` are followed and its entries reported below `path` as it was asked for. Links below are entries
/// and never followed. What vanishes meanwhile is left out, and a directory below that cannot be read is listed
/// without its content: neither is a reason to refuse the rest.
///
/// # Errors
/// [`FsError::Missing`], [`FsError::NotDirectory`], [`FsError::Loop`], or what the system said about `path` itself.
pub fn walk(path: &Path, depth: u32, table: &Arc<Table>) -> Result<Walk, FsError> {
    let root = fs::metadata(path).map_err(FsError::io("list", path))?;
    if !root.is_dir() {
        return Err(FsError::NotDirectory(path.to_owned()));
    }
    let names = Names::read(path).map_err(FsError::io("list", path))?;
    let depth = usize::try_from(depth.max(1)).unwrap_or(usize::MAX);
    Ok(Walk { table: Arc::clone(table), depth, open: vec![(path.to_owned(), names)] })
}

impl Iterator for Walk {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            let level = self.open.len();
            let (dir, names) = self.open.last_mut()?;
            let Some(name) = names.next() else {
                self.open.pop();
                continue;
            };
            let path = dir.join(name);
            let found = match entry::look(&path, &self.table) {
                Ok(found) => found,
                Err(error) => {
                    tracing::debug!(path = %path.display(), error = %error, "entry left out of a listing");
                    continue;
                }
            };
            let descend = found.sort == entry::Sort::Directory && found.symlink_target.is_none();
            if descend && level < self.depth {
                self.descend(path);
            }
            return Some(found);
        }
    }
}

impl Walk {
    fn descend(&mut self, path: PathBuf) {
        match Names::read(&path) {
            Ok(names) => self.open.push((path, names)),
            Err(error) => {
                tracing::debug!(path = %path.display(), error = %error, "directory listed without its content");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::fs::scratch::{Scratch, user};
    use crate::identity::Accounts;

    fn list(path: &Path, depth: u32) -> Result<Vec<String>, FsError> {
        let table = Accounts::default().table().unwrap();
        let prefix = format!("{}/", path.display());
        walk(path, depth, &table)
            .map(|walk| walk.map(|entry| entry.path.strip_prefix(&prefix).unwrap().to_owned()).collect())
    }

    fn tree() -> Scratch {
        let scratch = Scratch::new();
        fs::create_dir_all(scratch.at("b/c/d")).unwrap();
        for name in ["a", "b/2", "b/1", "b/c/x", "b/c/d/y", "z"] {
            fs::write(scratch.at(name), "").unwrap();
        }
        scratch
    }

    #[test]
    fn a_listing_is_sorted_and_a_directory_comes_before_its_content() {
        let scratch = tree();
        for depth in [0, 1] {
            assert_eq!(list(scratch.path(), depth).unwrap(), ["a", "b", "z"]);
        }
        assert_eq!(list(scratch.path(), 2).unwrap(), ["a", "b", "b/1", "b/2", "b/c", "z"]);
        let all = ["a", "b", "b/1", "b/2", "b/c", "b/c/d", "b/c/d/y", "b/c/x", "z"];
        assert_eq!(list(scratch.path(), u32::MAX).unwrap(), all);
    }

    #[test]
    fn a_listing_looks_at_no_level_below_its_depth() {
        let scratch = tree();
        let table = Accounts::default().table().unwrap();
        let mut walk = walk(scratch.path(), 2, &table).unwrap();
        let deepest = std::iter::from_fn(|| walk.next().map(|_| walk.open.len())).max();
        assert_eq!(deepest, Some(2));
    }

    #[test]
    fn a_linked_directory_lists_under_the_path_that_was_asked_for() {
        let scratch = tree();
        symlink("b", scratch.at("link")).unwrap();
        assert_eq!(list(&scratch.at("link"), 1).unwrap(), ["1", "2", "c"]);
        let all = list(scratch.path(), 9).unwrap();
        assert!(all.contains(&"link".to_owned()) && !all.iter().any(|path| path.starts_with("link/")));
    }

    #[test]
    fn a_broken_or_cyclic_link_is_listed_and_as_root_refused_with_its_kind() {
        let scratch = Scratch::new();
        symlink("cyclic", scratch.at("cyclic")).unwrap();
        symlink("nowhere", scratch.at("broken")).unwrap();
        assert_eq!(list(scratch.path(), 3).unwrap(), ["broken", "cyclic"]);
        assert!(matches!(list(&scratch.at("cyclic"), 1), Err(FsError::Loop(_))));
        assert!(matches!(list(&scratch.at("broken"), 1), Err(FsError::Missing(_))));
    }

    #[test]
    fn what_is_not_a_directory_cannot_be_listed() {
        let scratch = tree();
        assert!(matches!(list(&scratch.at("a"), 1), Err(FsError::NotDirectory(_))));
        assert!(matches!(list(&scratch.at("a/x"), 1), Err(FsError::Missing(_))));
        assert!(matches!(list(&scratch.at("none"), 1), Err(FsError::Missing(_))));
    }

    #[test]
    fn a_name_that_is_not_text_does_not_fail_a_listing() {
        let scratch = Scratch::new();
        fs::write(scratch.path().join(OsStr::from_bytes(b"a\xFFb")), "").unwrap();
        assert_eq!(list(scratch.path(), 1).unwrap(), ["a\u{FFFD}b"]);
    }

    #[test]
    fn an_unreadable_directory_does_not_fail_the_rest() {
        let scratch = tree();
        let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(scratch.at("b"), mode(0o700)).unwrap();
        fs::set_permissions(scratch.path(), mode(0o755)).unwrap();
        let files = crate::fs::Files::new(crate::fs::Access::User, std::sync::Arc::new(Accounts::default()));
        assert_eq!(files.here(&user(), || list(scratch.path(), 9)).unwrap().unwrap(), ["a", "b", "z"]);
    }

    #[test]
    fn entries_that_vanish_are_left_out() {
        let scratch = tree();
        let table = Accounts::default().table().unwrap();
        let walk = walk(scratch.path(), 9, &table).unwrap();
        fs::remove_dir_all(scratch.at("b")).unwrap();
        assert_eq!(walk.map(|entry| entry.name).collect::<Vec<_>>(), ["a", "z"]);
    }
}
