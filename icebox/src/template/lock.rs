//! A lock between processes.

use std::fs::{File, create_dir_all};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::time::{Instant, sleep};

use super::error::TemplateError;

/// Between two tries; a waiting flock(2) could not be given up.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// Holds a lock until it is dropped, or until the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock on the file `path`, which is made if need be.
    pub(super) async fn take(path: &Path, limit: Duration) -> Result<Self, TemplateError> {
        let failed = |source| TemplateError::Lock { path: path.into(), source };
        if let Some(parent) = path.parent() {
            create_dir_all(parent).map_err(failed)?;
        }
        let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
        let until = Instant::now() + limit;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(Errno::WOULDBLOCK) if Instant::now() < until => sleep(TRY_AGAIN).await,
                Err(Errno::WOULDBLOCK) => return Err(TemplateError::Busy { path: path.into(), limit }),
                Err(error) => return Err(failed(error.into())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_for_the_first_and_not_for_ever() {
        let folder = crate::folder::Folder::new(&std::env::temp_dir(), "icebox-lock").unwrap();
        let path = folder.path().join("lock");
        let first = Lock::take(&path, Duration::ZERO).await.unwrap();
        let busy = Lock::take(&path, Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(busy, TemplateError::Busy { .. }), "{busy}");
        drop(first);
        Lock::take(&path, Duration::ZERO).await.unwrap();
    }
}
