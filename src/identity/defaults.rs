//! The user and the folder meant when a request names none.

use std::sync::{PoisonError, RwLock};

/// Keeps the default user and working folder; `/init` changes them while requests read.
#[derive(Debug)]
pub struct Defaults {
    inner: RwLock<Values>,
}

#[derive(Debug)]
struct Values {
    user: String,
    workdir: Option<String>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self::new("root".to_owned(), None)
    }
}

impl Defaults {
    /// Makes the defaults that hold until `/init` says otherwise.
    #[must_use]
    pub fn new(user: String, workdir: Option<String>) -> Self {
        Self { inner: RwLock::new(Values { user, workdir }) }
    }

    /// Names the default user; whether it exists is seen at use.
    #[must_use]
    pub fn user(&self) -> String {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).user.clone()
    }

    /// Names the default working folder, as it was given.
    #[must_use]
    pub fn workdir(&self) -> Option<String> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).workdir.clone()
    }

    /// Replaces the default user.
    pub fn set_user(&self, user: String) {
        self.inner.write().unwrap_or_else(PoisonError::into_inner).user = user;
    }

    /// Replaces the default working folder.
    pub fn set_workdir(&self, workdir: String) {
        self.inner.write().unwrap_or_else(PoisonError::into_inner).workdir = Some(workdir);
    }
}
