//! The key-value pairs that clients hang on files.
//!
//! A pair is an extended attribute `user.e2b.<key>`, so it moves with the file and is lost with it, and other
//! programs in the guest can read it.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::FileType;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use nix::libc;

use super::FsError;
use crate::sys::xattr::{self, Target};

/// What attribute names start with; together with `user.` from the kernel's namespaces (xattr(7)).
const PREFIX: &str = "user.e2b.";

/// Longest key in bytes: an attribute name has at most 255 (XATTR_NAME_MAX), 9 are the prefix.
const KEY_MOST: usize = 246;

/// Most bytes of one set, names with their prefix and values: what an ext4 inode keeps in its one 4 KiB block.
const SET_MOST: usize = 4096;

/// Holds a set of pairs that fits on a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// Takes pairs over after checking the limits: printable ASCII, key lengths, total size.
    ///
    /// # Errors
    /// [`FsError::Metadata`] with the rule that a pair breaks.
    pub fn checked(pairs: BTreeMap<String, String>) -> Result<Self, FsError> {
        let refuse = |why: String| Err(FsError::Metadata(why));
        let mut total = 0;
        for (key, value) in &pairs {
            if key.is_empty() || key.len() > KEY_MOST {
                return refuse(format!("key of {} bytes, allowed are 1 to {KEY_MOST}", key.len()));
            }
            if !printable(key) || !printable(value) {
                return refuse(format!("key or value of '{}' is not printable ASCII", key.escape_default()));
            }
            total += PREFIX.len() + key.len() + value.len();
        }
        if total > SET_MOST {
            return refuse(format!("{total} bytes in all, the limit is {SET_MOST}"));
        }
        Ok(Self(pairs))
    }

    /// Gives the pairs.
    #[must_use]
    pub fn pairs(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

/// Reads the pairs of the file that `path` leads to; what cannot be read or is not UTF-8 is left out.
#[must_use]
pub fn read(path: &Path) -> BTreeMap<String, String> {
    pairs(Target::Path(path))
}

/// Reads the pairs of an open file; what cannot be read or is not UTF-8 is left out.
#[must_use]
pub fn read_open(file: BorrowedFd<'_>) -> BTreeMap<String, String> {
    pairs(Target::Open(file))
}

/// Says whether files of this type can carry pairs at all (xattr(7): `user.` is for files and directories).
#[must_use]
pub fn possible(kind: FileType) -> bool {
    kind.is_file() || kind.is_dir()
}

/// Replaces all pairs of an open file by `set`; other attributes stay.
///
/// Where the filesystem has no attributes, or this kind of file may not carry them, the pairs are dropped with a
/// warning: the content matters more to the caller.
///
/// # Errors
/// [`FsError::Io`] for anything else, notably a full disk; `path` is for the message only.
pub fn replace(file: BorrowedFd<'_>, path: &Path, set: &Metadata) -> Result<(), FsError> {
    match write(Target::Open(file), set) {
        Ok(()) => Ok(()),
        Err(error) if unsupported(&error) => {
            if !set.0.is_empty() {
                tracing::warn!(path = %path.display(), error = %error, "file cannot carry metadata");
            }
            Ok(())
        }
        Err(source) => Err(FsError::Io { verb: "set metadata of", path: path.to_owned(), source }),
    }
}

fn write(target: Target<'_>, set: &Metadata) -> io::Result<()> {
    for name in xattr::names(target)? {
        let keep = key(&name).is_none_or(|key| std::str::from_utf8(key).is_ok_and(|key| set.0.contains_key(key)));
        if !keep {
            match xattr::remove(target, &name) {
                Err(error) if error.raw_os_error() != Some(libc::ENODATA) => return Err(error),
                _ => {}
            }
        }
    }
    for (key, value) in &set.0 {
        xattr::set(target, &CString::new(format!("{PREFIX}{key}"))?, value.as_bytes())?;
    }
    Ok(())
}

fn pairs(target: Target<'_>) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    for name in xattr::names(target).unwrap_or_default() {
        let Some(Ok(key)) = key(&name).map(|key| String::from_utf8(key.to_vec())) else {
            continue;
        };
        if let Some(Ok(value)) = xattr::get(target, &name).ok().map(String::from_utf8) {
            pairs.insert(key, value);
        }
    }
    pairs
}

fn key(name: &CStr) -> Option<&[u8]> {
    name.to_bytes().strip_prefix(PREFIX.as_bytes())
}

fn printable(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..=0x7E).contains(&byte))
}

fn unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOTSUP | libc::ENOSYS | libc::EPERM))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;
    use crate::fs::scratch::Scratch;

    fn set(pairs: &[(&str, &str)]) -> Result<Metadata, FsError> {
        Metadata::checked(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn replacing_metadata_replaces_the_whole_set_and_only_ours() {
        let scratch = Scratch::new();
        let path = scratch.at("f");
        let file = File::create(&path).unwrap();
        let other = c"user.other";
        xattr::set(Target::Open(file.as_fd()), other, b"x").unwrap();
        replace(file.as_fd(), &path, &set(&[("a", "1"), ("b", "2")]).unwrap()).unwrap();
        replace(file.as_fd(), &path, &set(&[("b", "3"), ("c", "")]).unwrap()).unwrap();
        let link = scratch.at("l");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(&read(&link), set(&[("b", "3"), ("c", "")]).unwrap().pairs());
        assert_eq!(xattr::get(Target::Path(&path), other).unwrap(), b"x");
        replace(file.as_fd(), &path, &Metadata::default()).unwrap();
        assert!(read_open(file.as_fd()).is_empty());
    }

    #[test]
    fn metadata_is_dropped_where_a_file_cannot_carry_it() {
        let null = File::options().write(true).open("/dev/null").unwrap();
        replace(null.as_fd(), Path::new("/dev/null"), &set(&[("a", "1")]).unwrap()).unwrap();
    }

    #[test]
    fn metadata_outside_the_limits_is_refused() {
        let (long, big) = ("k".repeat(247), "v".repeat(4087));
        for pairs in [[("", "v")], [("k\u{e9}", "v")], [("k", "\n")], [(&*long, "v")], [("k", &*big)]] {
            assert!(matches!(set(&pairs), Err(FsError::Metadata(_))), "{pairs:?}");
        }
        assert!(set(&[("k", &big[1..])]).is_ok());
    }

    #[test]
    fn values_that_are_not_text_are_left_out() {
        let scratch = Scratch::new();
        let file = File::create(scratch.at("f")).unwrap();
        xattr::set(Target::Open(file.as_fd()), c"user.e2b.bad", &[0xFF]).unwrap();
        xattr::set(Target::Open(file.as_fd()), c"user.e2b.good", b"1").unwrap();
        assert_eq!(&read(&scratch.at("f")), set(&[("good", "1")]).unwrap().pairs());
    }
}
