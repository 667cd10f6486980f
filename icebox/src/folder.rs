//! Folders with an owner: locked while it lives, gone when it goes.
//!
//! A VM's files and half-made snapshots live in such a folder. The lock (flock(2) on the folder itself) ends with the
//! process, however it ends; [`sweep`] then knows the folder for nobody's and removes it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// A folder that is removed with its content when it is dropped, and locked against sweepers until then.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Holds the lock.
    lock: File,
    kept: bool,
}

/// A [`Folder`] for something short.
pub(crate) type Scratch = Folder;

impl Folder {
    /// Makes the folder `path`, which must not be there yet, and what leads to it.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        loop {
            fs::create_dir(path)?;
            let lock = File::open(path)?;
            flock(&lock, FlockOperation::LockExclusive)?;
            // A sweeper may have been between the two lines: then what we locked is gone.
            if fs::metadata(path).is_ok_and(|now| lock.metadata().is_ok_and(|ours| ours.ino() == now.ino())) {
                return Ok(Self { path: path.canonicalize()?, lock, kept: false });
            }
        }
    }

    /// Makes a folder of a new name in `parent`.
    pub(crate) fn new(parent: &Path, prefix: &str) -> io::Result<Self> {
        Self::create(&parent.join(format!("{prefix}-{}", random_name()?)))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the folder where it is when this is dropped.
    pub(crate) fn keep(&mut self) {
        self.kept = true;
    }

    /// Gives the folder its final name; whole and for good when this returns.
    pub(crate) fn publish(mut self, to: &Path) -> Result<(), (Self, io::Error)> {
        match fs::rename(&self.path, to) {
            Ok(()) => {
                self.kept = true;
                Ok(())
            }
            Err(error) => Err((self, error)),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a folder could not be removed");
        }
        // Unlocked last: until here a sweeper leaves it alone.
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

/// Removes the folders in `parent` whose owner is gone; says how many.
pub(crate) fn sweep(parent: &Path, is_ours: impl Fn(&str) -> bool) -> usize {
    let Ok(entries) = fs::read_dir(parent) else { return 0 };
    let folders = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(&is_ours));
    folders.filter(|entry| remove_if_free(&entry.path()).is_ok()).count()
}

/// Removes a folder that nobody has locked.
pub(crate) fn remove_if_free(path: &Path) -> io::Result<()> {
    let lock = File::open(path)?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    fs::remove_dir_all(path)
}

/// Eight hexadecimal digits that nobody else has.
pub(crate) fn random_name() -> io::Result<String> {
    random_digits::<4>()
}

/// Random hexadecimal digits, two for each byte.
pub(crate) fn random_digits<const BYTES: usize>() -> io::Result<String> {
    let mut bytes = [0; BYTES];
    random(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Fills `bytes` from the kernel's random numbers.
pub(crate) fn random(bytes: &mut [u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let got = rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty())?;
        rest = rest.get_mut(got..).unwrap_or_default();
    }
    Ok(())
}

/// Bytes on disk of all files in `folder`, holes not counted.
pub(crate) fn bytes_on_disk(path: &Path) -> io::Result<u64> {
    /// What `st_blocks` counts in, whatever the filesystem's blocks are (stat(2)).
    const BLOCK: u64 = 512;
    Ok(fs::metadata(path)?.blocks() * BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_owner_and_only_then() {
        let parent = Folder::new(&std::env::temp_dir(), "icebox-test").unwrap();
        let child = Folder::new(parent.path(), "vm").unwrap();
        let path = child.path().to_owned();
        fs::write(path.join("file"), "x").unwrap();
        assert_eq!(sweep(parent.path(), |_| true), 0, "a folder whose owner lives was swept");
        drop(child);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_dead_owner_left_is_swept() {
        let parent = Folder::new(&std::env::temp_dir(), "icebox-test").unwrap();
        fs::create_dir(parent.path().join("vm-1")).unwrap();
        fs::create_dir(parent.path().join("snapshot")).unwrap();
        assert_eq!(sweep(parent.path(), |name| name.starts_with("vm-")), 1);
        assert!(parent.path().join("snapshot").exists());
    }

    #[test]
    fn a_published_folder_stays_and_never_replaces_another() {
        let parent = Folder::new(&std::env::temp_dir(), "icebox-test").unwrap();
        let to = parent.path().join("whole");
        let one = Folder::new(parent.path(), "part").unwrap();
        fs::write(one.path().join("file"), "one").unwrap();
        one.publish(&to).unwrap();
        let other = Folder::new(parent.path(), "part").unwrap();
        drop(other.publish(&to).unwrap_err());
        assert_eq!(fs::read_to_string(to.join("file")).unwrap(), "one");
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }
}
