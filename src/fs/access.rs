//! As whom files are touched.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::FsError;
use crate::activity::{Happening, Pulse};
use crate::identity::{Accounts, User};
use crate::sys::creds;

/// Says with whose rights the agent touches files for a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// With the agent's own, as the original does: programs write to root-owned places as `user`.
    #[default]
    Root,
    /// With the user's: filesystem uid, gid and all groups, and no capability over files.
    User,
}

/// Runs file work off the async threads; clones are cheap and mean the same.
#[derive(Clone, Debug)]
pub struct Files {
    access: Access,
    accounts: Arc<Accounts>,
    pulse: Pulse,
}

impl Files {
    /// Touches files with the given rights, and names owners from the given accounts.
    #[must_use]
    pub fn new(access: Access, accounts: Arc<Accounts>) -> Self {
        Self { access, accounts, pulse: Pulse::default() }
    }

    /// Lets what is written count for `pulse`.
    #[must_use]
    pub fn counted(self, pulse: Pulse) -> Self {
        Self { pulse, ..self }
    }

    /// Says that something is being written.
    pub fn written(&self) {
        self.pulse.mark(Happening::FileWrite);
    }

    /// Gives the accounts, for naming owners and finding users.
    #[must_use]
    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }

    /// Runs blocking `work` on the blocking pool with the rights that `user` has here.
    ///
    /// Dropping the future does not stop work that has begun. `work` must not start threads: they would keep the
    /// user's identity.
    ///
    /// # Errors
    /// [`FsError::Identity`] when the identity cannot be taken, [`FsError::Panicked`] when `work` panicked.
    pub async fn run<R, W>(&self, user: &User, work: W) -> Result<R, FsError>
    where
        W: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let (files, user) = (self.clone(), user.clone());
        let task = tokio::task::spawn_blocking(move || files.here(&user, work));
        task.await.unwrap_or_else(|_| Err(FsError::Panicked))
    }

    /// Runs `work` that only looks at the file at `path`: here where memory has the answer, else as [`Files::run`] does.
    ///
    /// # Errors
    /// Those of [`Files::run`].
    pub async fn look<R, W>(&self, user: &User, path: PathBuf, work: W) -> Result<R, FsError>
    where
        W: FnOnce(&Path) -> R + Send + 'static,
        R: Send + 'static,
    {
        if self.access == Access::Root && crate::sys::warm::is_warm(&path) {
            return Ok(work(&path));
        }
        self.run(user, move || work(&path)).await
    }

    /// Reads a small regular file of which memory has all, without waiting; `None` where that cannot be.
    #[must_use]
    pub fn warm(&self, path: &Path, most: usize) -> Option<(std::fs::Metadata, Vec<u8>)> {
        if self.access == Access::Root { crate::sys::warm::content(path, most) } else { None }
    }

    /// Runs blocking `work` on this thread with the rights that `user` has here.
    ///
    /// # Errors
    /// [`FsError::Identity`] when the identity cannot be taken.
    pub fn here<R>(&self, user: &User, work: impl FnOnce() -> R) -> Result<R, FsError> {
        let _assumed = match self.access {
            Access::Root => None,
            Access::User => Some(assume(user).map_err(|source| FsError::Identity { user: user.name.clone(), source })?),
        };
        Ok(work())
    }
}

fn assume(user: &User) -> io::Result<creds::Assumed> {
    creds::assume(user.uid, user.gid, &user.groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::scratch::{Scratch, user};

    fn files(access: Access) -> Files {
        Files::new(access, Arc::new(Accounts::default()))
    }

    #[tokio::test]
    async fn a_panic_in_file_work_is_an_error_and_the_identity_ends() {
        let files = files(Access::User);
        let failed = files.run(&user(), || -> () { panic!("as intended by the test") }).await;
        assert!(matches!(failed, Err(FsError::Panicked)));
        assert!(
            Files::new(Access::Root, Arc::clone(files.accounts()))
                .run(&user(), || { std::fs::read("/etc/shadow").is_ok() })
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn with_user_access_the_rights_are_the_users() {
        let scratch = Scratch::new();
        let path = scratch.at("x");
        let write = move || std::fs::write(&path, "").map_err(|error| error.kind());
        let refused = files(Access::User).run(&user(), write.clone()).await.unwrap();
        assert_eq!(refused, Err(io::ErrorKind::PermissionDenied));
        assert_eq!(files(Access::Root).run(&user(), write).await.unwrap(), Ok(()));
    }
}
