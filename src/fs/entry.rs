//! What is told about one file.

use std::collections::BTreeMap;
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{FsError, metadata};
use crate::identity::accounts::Table;

/// Sorts files as clients do; a symbolic link has the sort of what it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A device, pipe or socket, or a link that leads nowhere.
    Other,
}

/// Describes one file, without following the last link of its path except where noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Last part of the path; bytes that are not UTF-8 are shown as U+FFFD here and in the paths.
    pub name: String,
    /// What it is, after following links.
    pub sort: Sort,
    /// The path as it was asked for, cleaned.
    pub path: String,
    /// Bytes; of a link, the length of its text.
    pub size: u64,
    /// Nine permission bits, after following links; 0 when a link leads nowhere.
    pub mode: u32,
    /// Type and permission letters of the file itself in the notation of Go, such as `Lrwxrwxrwx`.
    pub permissions: String,
    /// Owner's name, or number when no account has it.
    pub owner: String,
    /// Group's name, or number when no group has it.
    pub group: String,
    /// Last change of content; absent when it is exactly the epoch, which clients take for unknown.
    pub modified: Option<SystemTime>,
    /// Where a link leads when all links are followed; the link's own path when it leads nowhere.
    pub symlink_target: Option<String>,
    /// Pairs that clients hung on the file, after following links.
    pub metadata: BTreeMap<String, String>,
}

/// Describes the file at `path`; owners are named from `table`, one for all entries of a request.
///
/// # Errors
/// [`FsError::Missing`], [`FsError::Loop`] or what the system said.
pub fn read(path: &Path, table: &Table) -> Result<Entry, FsError> {
    look(path, table).map_err(FsError::io("stat", path))
}

/// Describes the file at `path`, with the system's own error.
pub(super) fn look(path: &Path, table: &Table) -> io::Result<Entry> {
    Ok(describe(path, &fs::symlink_metadata(path)?, table))
}

fn describe(path: &Path, itself: &Metadata, table: &Table) -> Entry {
    let target = if itself.is_symlink() { fs::metadata(path).ok() } else { Some(itself.clone()) };
    let modified = itself.modified().ok().filter(|time| *time != SystemTime::UNIX_EPOCH);
    let can_carry = target.as_ref().is_some_and(|target| metadata::possible(target.file_type()));
    Entry {
        name: path.file_name().map_or_else(|| "/".to_owned(), |name| name.to_string_lossy().into_owned()),
        sort: target.as_ref().map_or(Sort::Other, |target| sort(target.file_type())),
        path: path.to_string_lossy().into_owned(),
        size: itself.len(),
        mode: target.as_ref().map_or(0, |target| target.mode() & 0o777),
        permissions: permissions(itself),
        owner: table.user_name(itself.uid()),
        group: table.group_name(itself.gid()),
        modified,
        symlink_target: itself.is_symlink().then(|| resolved(path)),
        metadata: if can_carry { metadata::read(path) } else { BTreeMap::new() },
    }
}

fn resolved(link: &Path) -> String {
    let target: PathBuf = fs::canonicalize(link).unwrap_or_else(|_| link.to_owned());
    target.to_string_lossy().into_owned()
}

fn sort(kind: FileType) -> Sort {
    match (kind.is_file(), kind.is_dir()) {
        (true, _) => Sort::File,
        (_, true) => Sort::Directory,
        _ => Sort::Other,
    }
}

/// Writes type and mode as Go's `FileMode.String` does: a letter for each bit that is set, else `-`; then `rwx` thrice.
fn permissions(itself: &Metadata) -> String {
    let (kind, mode) = (itself.file_type(), itself.permissions().mode());
    let letters = [
        ('d', kind.is_dir()),
        ('L', kind.is_symlink()),
        ('D', kind.is_block_device() || kind.is_char_device()),
        ('p', kind.is_fifo()),
        ('S', kind.is_socket()),
        ('u', mode & 0o4000 != 0),
        ('g', mode & 0o2000 != 0),
        ('c', kind.is_char_device()),
        ('t', mode & 0o1000 != 0),
    ];
    let mut text: String = letters.iter().filter(|(_, set)| *set).map(|(letter, _)| *letter).collect();
    if text.is_empty() {
        text.push('-');
    }
    let bits = "rwxrwxrwx".chars().enumerate();
    text.extend(bits.map(|(index, letter)| if mode & (0o400 >> index) != 0 { letter } else { '-' }));
    text
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{chown, symlink};
    use std::time::Duration;

    use super::*;
    use crate::fs::scratch::Scratch;
    use crate::identity::Accounts;

    fn entry(path: &Path) -> Entry {
        read(path, &Accounts::default().table().unwrap()).unwrap()
    }

    #[test]
    fn permissions_are_written_as_go_does() {
        let scratch = Scratch::new();
        let path = scratch.at("f");
        fs::write(&path, "").unwrap();
        for (mode, want) in [(0o644, "-rw-r--r--"), (0o4755, "urwxr-xr-x"), (0o6000, "ug---------")] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(entry(&path).permissions, want);
        }
        assert_eq!(entry(Path::new("/tmp")).permissions, "dtrwxrwxrwx");
        assert_eq!(entry(Path::new("/dev/null")).permissions, "Dcrw-rw-rw-");
        nix::unistd::mkfifo(&scratch.at("p"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        assert_eq!(entry(&scratch.at("p")).permissions, "prw-------");
        symlink("f", scratch.at("l")).unwrap();
        assert_eq!(entry(&scratch.at("l")).permissions, "Lrwxrwxrwx");
    }

    #[test]
    fn a_link_has_its_own_size_and_its_targets_sort_mode_and_path() {
        let scratch = Scratch::new();
        let file = fs::canonicalize(scratch.path()).unwrap().join("file");
        fs::write(&file, "12345").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o4640)).unwrap();
        symlink("file", scratch.at("one")).unwrap();
        symlink("one", scratch.at("two")).unwrap();
        let two = entry(&scratch.at("two"));
        assert_eq!((two.sort, two.size, two.mode), (Sort::File, 3, 0o640));
        assert_eq!(two.symlink_target, Some(file.to_string_lossy().into_owned()));
        assert_eq!(entry(&file).symlink_target, None);
    }

    #[test]
    fn broken_and_cyclic_links_and_special_files_have_no_sort() {
        let scratch = Scratch::new();
        symlink("nowhere", scratch.at("broken")).unwrap();
        symlink("cyclic", scratch.at("cyclic")).unwrap();
        for name in ["broken", "cyclic"] {
            let path = scratch.at(name);
            let link = entry(&path);
            assert_eq!((link.sort, link.mode), (Sort::Other, 0), "{name}");
            assert_eq!(link.symlink_target, Some(path.to_string_lossy().into_owned()));
        }
        assert_eq!(entry(Path::new("/dev/null")).sort, Sort::Other);
    }

    #[test]
    fn owners_are_named_and_unknown_ones_are_numbers_and_epoch_is_no_time() {
        let scratch = Scratch::new();
        let path = scratch.at("f");
        fs::write(&path, "").unwrap();
        assert_eq!((&*entry(&path).owner, &*entry(&path).group), ("root", "root"));
        chown(&path, Some(54_321), Some(54_322)).unwrap();
        assert_eq!((&*entry(&path).owner, &*entry(&path).group), ("54321", "54322"));
        assert!(entry(&path).modified.is_some());
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(entry(&path).modified, None);
        file.set_modified(SystemTime::UNIX_EPOCH - Duration::from_nanos(1)).unwrap();
        assert!(entry(&path).modified.is_some());
    }

    #[test]
    fn stat_through_a_file_is_not_found() {
        let scratch = Scratch::new();
        fs::write(scratch.at("f"), "").unwrap();
        let error = read(&scratch.at("f/x"), &Accounts::default().table().unwrap()).unwrap_err();
        assert!(matches!(error, FsError::Missing(_)));
    }
}
