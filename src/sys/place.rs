//! Putting a small file in the place of another.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// Mode of a file that was not there: everybody may read it.
const MODE: u32 = 0o644;

/// Gives a file a new content, whole or not at all, and says whether it had another one before.
///
/// What is no plain file of its own (a symbolic link, a bind mount, a file in a folder that is read-only) is written
/// through, so that what it leads to gets the content.
///
/// # Errors
/// Those of writing; a file that is written through may then be cut short.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<bool> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(false);
    }
    let present = match fs::symlink_metadata(path) {
        Ok(found) => Some(found),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if present.as_ref().is_some_and(|found| !found.is_file()) {
        fs::write(path, content)?;
        return Ok(true);
    }
    match exchange(path, content, present.as_ref()) {
        Err(error) if is_in_the_way(error.kind()) => fs::write(path, content)?,
        other => other?,
    }
    Ok(true)
}

/// Says whether a file can perhaps be written though it cannot be replaced.
fn is_in_the_way(kind: ErrorKind) -> bool {
    use ErrorKind as E;
    matches!(kind, E::ResourceBusy | E::ReadOnlyFilesystem | E::PermissionDenied | E::CrossesDevices)
}

fn exchange(path: &Path, content: &[u8], present: Option<&Metadata>) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".thawd-new");
    let new: PathBuf = path.with_file_name(name);
    let filled = fill(&new, content, present).and_then(|()| fs::rename(&new, path));
    if filled.is_err() {
        let _ = fs::remove_file(&new);
    }
    filled
}

fn fill(new: &Path, content: &[u8], present: Option<&Metadata>) -> io::Result<()> {
    let _ = fs::remove_file(new);
    let mut file = File::create_new(new)?;
    if let Some(present) = present {
        fchown(&file, Some(present.uid()), Some(present.gid()))?;
    }
    file.set_permissions(fs::Permissions::from_mode(present.map_or(MODE, |found| found.mode() & 0o7777)))?;
    file.write_all(content)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A folder that goes with the test.
    pub(crate) struct Folder(pub(crate) PathBuf);

    impl Folder {
        pub(crate) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("thawd-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_plain_file_is_replaced_whole_and_keeps_its_mode() {
        let folder = Folder::new("replace");
        let path = folder.0.join("file");
        assert!(replace(&path, b"one").unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, MODE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        let before = fs::metadata(&path).unwrap().ino();
        assert!(!replace(&path, b"one").unwrap());
        assert_eq!(fs::metadata(&path).unwrap().ino(), before);
        assert!(replace(&path, b"two").unwrap());
        let after = fs::metadata(&path).unwrap();
        assert_eq!((fs::read(&path).unwrap(), after.mode() & 0o777), (b"two".to_vec(), 0o444));
        assert_ne!(after.ino(), before);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    }

    #[test]
    fn a_link_and_a_mount_are_written_through() {
        let folder = Folder::new("through");
        let (target, link, mount) = (folder.0.join("target"), folder.0.join("link"), folder.0.join("mount"));
        fs::write(&target, "old").unwrap();
        fs::write(&mount, "below").unwrap();
        std::os::unix::fs::symlink("target", &link).unwrap();
        assert!(replace(&link, b"new").unwrap());
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("target"));
        assert_eq!(fs::read(&target).unwrap(), b"new");
        crate::sys::namespace::apart(|| {
            rustix::mount::mount_bind(&target, &mount).unwrap();
            assert!(replace(&mount, b"newer").unwrap());
            assert_eq!(fs::read(&target).unwrap(), b"newer");
        });
        assert_eq!(fs::read(&mount).unwrap(), b"below");
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 3);
    }
}
