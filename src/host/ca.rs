//! Certificates that the host wants programs to trust: those of its egress proxy.
//!
//! Programs read one file with all roots, so ours are put at its end. It is replaced whole, with a rename: whoever
//! opens it in between sees the old set or the new one. A second file is where the distribution's own tool finds them
//! when it makes the set anew.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use crate::base::{Failure, Kind, Tasks};
use crate::sys::place;

/// All roots, in one file; Debian's and Alpine's place, which envd writes to.
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";
/// Where update-ca-certificates(8) reads roots of the machine's owner.
const SOURCE: &str = "usr/local/share/ca-certificates/e2b-ca.crt";

/// Says why certificates are not trusted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CaError {
    /// The file with all roots is not there, or cannot be read.
    #[error("cannot read the trusted certificates in {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The file with all roots cannot be replaced; it is as it was.
    #[error("cannot add to the trusted certificates in {path}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// An installation did not come to its end (yet).
    #[error("the installation of certificates is in progress")]
    Busy,
}

impl Failure for CaError {
    fn kind(&self) -> Kind {
        match self {
            Self::Read { .. } | Self::Write { .. } => Kind::FailedPrecondition,
            Self::Busy => Kind::Unavailable,
        }
    }
}

/// Installs certificates, one set at a time; clones share the last one.
#[derive(Clone, Debug)]
pub struct Authorities {
    bundle: PathBuf,
    source: PathBuf,
    /// What was installed last, as it stands in the file.
    last: Arc<Mutex<Option<String>>>,
    tasks: Tasks,
}

/// Tells how an installation ended. Dropping it changes nothing: it goes on.
#[derive(Debug)]
pub struct Installation(watch::Receiver<Option<Result<(), CaError>>>);

impl Installation {
    /// Waits for the end. Cancel-safe.
    ///
    /// # Errors
    /// See [`CaError`].
    pub async fn ended(&mut self) -> Result<(), CaError> {
        let ended = self.0.wait_for(Option::is_some).await.ok().and_then(|ended| ended.clone());
        ended.unwrap_or(Err(CaError::Busy))
    }
}

impl Authorities {
    /// Installs below `root`, which is `/` but in tests.
    #[must_use]
    pub fn new(root: &Path, tasks: Tasks) -> Self {
        Self { bundle: root.join(BUNDLE), source: root.join(SOURCE), last: Arc::default(), tasks }
    }

    /// Begins to put `pem` in the place of what was installed last. Nothing is touched when it is the same, or empty.
    #[must_use]
    pub fn install(&self, pem: &str) -> Installation {
        let pem = normal(pem);
        let (tell, told) = watch::channel(None);
        let this = self.clone();
        self.tasks.spawn(async move {
            let last = Arc::clone(&this.last).lock_owned().await;
            if pem.is_empty() || last.as_ref() == Some(&pem) {
                tell.send_replace(Some(Ok(())));
                return;
            }
            // Goes on when this task is stopped, and keeps the lock.
            let _ = tokio::task::spawn_blocking(move || this.exchange(last, pem, &tell)).await;
        });
        Installation(told)
    }

    fn exchange(
        &self,
        mut last: OwnedMutexGuard<Option<String>>,
        pem: String,
        tell: &watch::Sender<Option<Result<(), CaError>>>,
    ) {
        let result = rewrite(&self.bundle, last.as_deref(), &pem);
        let failed = result.is_err();
        tell.send_replace(Some(result));
        if failed {
            return;
        }
        let kept = self.source.parent().map_or(Ok(()), fs::create_dir_all);
        if let Err(error) = kept.and_then(|()| place::replace(&self.source, pem.as_bytes())) {
            let path = self.source.display();
            tracing::warn!(%path, %error, "certificates are trusted, but will be lost when the set is made anew");
        }
        *last = Some(pem);
    }
}

/// Ends with one line end.
fn normal(pem: &str) -> String {
    match pem.trim_end_matches(['\n', '\r']) {
        "" => String::new(),
        text => format!("{text}\n"),
    }
}

fn rewrite(bundle: &Path, last: Option<&str>, pem: &str) -> Result<(), CaError> {
    let unread = |source| CaError::Read { path: bundle.to_owned(), source: Arc::new(source) };
    // Through links, so that the file at their end is the one that is replaced.
    let path = fs::canonicalize(bundle).map_err(unread)?;
    // Comments in it may be in any encoding; only lines of ours are looked for.
    let present = fs::read(&path).map_err(unread)?;
    let wanted = with(&present, last, pem);
    let unwritten = |source| CaError::Write { path: bundle.to_owned(), source: Arc::new(source) };
    place::replace(&path, &wanted).map(drop).map_err(unwritten)
}

/// Takes `last` out and puts `pem` at the end, unless it is in the set already.
fn with(present: &[u8], last: Option<&str>, pem: &str) -> Vec<u8> {
    let mut set = present.to_vec();
    if let Some(last) = last
        && let Some(at) = find(&set, last.as_bytes())
    {
        set.drain(at..at + last.len());
    }
    if find(&set, pem.as_bytes()).is_none() {
        if set.last().is_some_and(|&byte| byte != b'\n') {
            set.push(b'\n');
        }
        set.extend_from_slice(pem.as_bytes());
    }
    set
}

/// Finds whole lines in a text.
fn find(text: &[u8], lines: &[u8]) -> Option<usize> {
    let starts =
        std::iter::once(0).chain(text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1));
    starts.into_iter().find(|&at| text[at..].starts_with(lines))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;
    use crate::sys::place::tests::Folder;

    const ROOTS: &str = "one\né\ntwo";

    fn guest(name: &str) -> (Folder, Authorities) {
        let folder = Folder::new(name);
        let authorities = Authorities::new(&folder.0, Tasks::default());
        fs::create_dir_all(authorities.bundle.parent().unwrap()).unwrap();
        fs::write(&authorities.bundle, ROOTS).unwrap();
        fs::set_permissions(&authorities.bundle, fs::Permissions::from_mode(0o644)).unwrap();
        (folder, authorities)
    }

    fn bundle(authorities: &Authorities) -> String {
        fs::read_to_string(&authorities.bundle).unwrap()
    }

    #[tokio::test]
    async fn the_same_certificates_are_installed_once_and_then_not_touched() {
        let (_folder, authorities) = guest("ca-same");
        let mut all: Vec<_> = ["A", "A\n", "A\r\n\n", "A"].iter().map(|pem| authorities.install(pem)).collect();
        for installation in &mut all {
            installation.ended().await.unwrap();
        }
        assert_eq!(bundle(&authorities), format!("{ROOTS}\nA\n"));
        let before = fs::metadata(&authorities.bundle).unwrap();
        authorities.install("A").ended().await.unwrap();
        let after = fs::metadata(&authorities.bundle).unwrap();
        assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
        assert_eq!(after.mode() & 0o777, 0o644);
    }

    #[tokio::test]
    async fn new_certificates_replace_the_last_ones_in_both_files() {
        let (_folder, authorities) = guest("ca-new");
        for pem in ["A\nB\n", "", "\n", "C"] {
            authorities.install(pem).ended().await.unwrap();
        }
        assert_eq!(bundle(&authorities), format!("{ROOTS}\nC\n"));
        let lock = authorities.last.lock().await;
        assert_eq!(lock.as_deref(), Some("C\n"));
        assert_eq!(fs::read_to_string(&authorities.source).unwrap(), "C\n");
        assert_eq!(fs::metadata(&authorities.source).unwrap().mode() & 0o777, 0o644);
    }

    #[tokio::test]
    async fn a_missing_set_is_an_error_and_an_installation_that_waits_is_busy() {
        let (folder, authorities) = guest("ca-missing");
        fs::remove_file(&authorities.bundle).unwrap();
        let error = authorities.install("A").ended().await.unwrap_err();
        assert_eq!(error.kind(), Kind::FailedPrecondition);
        fs::write(folder.0.join("elsewhere"), "one\n").unwrap();
        std::os::unix::fs::symlink(folder.0.join("elsewhere"), &authorities.bundle).unwrap();
        authorities.install("A").ended().await.unwrap();
        assert_eq!(fs::read_to_string(folder.0.join("elsewhere")).unwrap(), "one\nA\n");
        assert!(fs::symlink_metadata(&authorities.bundle).unwrap().is_symlink());
        let _held = authorities.last.lock().await;
        let mut waiting = authorities.install("B");
        assert_eq!(authorities.tasks.drain(std::time::Duration::from_secs(5)).await, 0);
        assert_eq!(waiting.ended().await.unwrap_err().kind(), Kind::Unavailable);
    }

    #[test]
    fn what_is_in_the_set_by_another_way_is_not_added_again() {
        assert_eq!(with(b"x\nA\ny\n", None, "A\n"), b"x\nA\ny\n");
        assert_eq!(with(b"x\nB\nA\n", Some("B\n"), "A\n"), b"x\nA\n");
        assert_eq!(with(b"xA\n", None, "A\n"), b"xA\nA\n");
        assert_eq!(with(b"", Some("B\n"), "A\n"), b"A\n");
    }
}
