//! A directory for one test, removed with its content when the test ends.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::identity::User;

/// Owns a fresh directory.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one below the system's temporary directory.
    pub(crate) fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// Makes one below `parent`, to choose the filesystem.
    pub(crate) fn below(parent: &Path) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("thawd-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = parent.join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Gives the path of the directory.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Gives the path of something in the directory.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An unprivileged account.
pub(crate) fn user() -> User {
    User { name: "user".into(), uid: 1000, gid: 1001, groups: vec![1001], home: "/home/user".into() }
}
