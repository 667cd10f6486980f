//! Several files become one, without their bytes passing through the agent.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc;

use super::write::begin;
use super::{FsError, Order, WriteError, metadata};
use crate::base::{Failure, Kind};

/// Says why files were not put together.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// Nothing to put together.
    #[error("source_paths must not be empty")]
    NoSources,
    /// The result would be one of its own parts, and then be deleted as such.
    #[error("source '{}' is the destination", .0.display())]
    SourceIsDestination(PathBuf),
    /// A directory, pipe or device among the sources.
    #[error("source '{}' is not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// A source cannot be read.
    #[error(transparent)]
    Source(#[from] FsError),
    /// The destination cannot be written.
    #[error(transparent)]
    Destination(#[from] WriteError),
}

impl Failure for ComposeError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSources | Self::SourceIsDestination(_) | Self::NotRegular(_) => Kind::InvalidArgument,
            Self::Source(error) => error.kind(),
            Self::Destination(error) => error.kind(),
        }
    }
}

/// Writes the sources one after another to the order's path, then deletes them; gives the pairs of the result.
///
/// The result appears whole, as with an upload, and shares blocks with its parts where the file system can. Work that
/// has begun goes on when the caller leaves. A source that cannot be deleted is left with a warning: the result is
/// there.
///
/// # Errors
/// [`ComposeError`]; the destination is then as it was and the sources are all there.
pub async fn compose(order: Order, sources: Vec<PathBuf>) -> Result<BTreeMap<String, String>, ComposeError> {
    let work = tokio::task::spawn_blocking(move || {
        order.as_user(|| check(&order.path, &sources))??;
        let mut draft = begin(&order)?;
        for source in &sources {
            let file = order.as_user(|| open(source))??;
            draft.append(&order, &file)?;
        }
        draft.commit(&order)?;
        Ok(order.as_user(|| {
            remove(&sources);
            metadata::read(&order.path)
        })?)
    });
    work.await.map_err(|_| FsError::Panicked)?
}

fn check(destination: &Path, sources: &[PathBuf]) -> Result<(), ComposeError> {
    if sources.is_empty() {
        return Err(ComposeError::NoSources);
    }
    let there = fs::canonicalize(destination).ok();
    for source in sources {
        let found = fs::metadata(source).map_err(FsError::io("stat", source))?;
        let same = source == destination || (there.is_some() && fs::canonicalize(source).ok() == there);
        if same {
            return Err(ComposeError::SourceIsDestination(source.clone()));
        }
        if !found.is_file() {
            return Err(ComposeError::NotRegular(source.clone()));
        }
    }
    Ok(())
}

/// Opens a source; a pipe that took its place since the check must not block.
fn open(source: &Path) -> Result<File, FsError> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    OpenOptions::new().read(true).custom_flags(flags).open(source).map_err(FsError::io("open", source))
}

fn remove(sources: &[PathBuf]) {
    for source in sources {
        match fs::remove_file(source) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %source.display(), error = %error, "cannot delete a part of a composed file");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::sync::Arc;

    use super::*;
    use crate::fs::scratch::{Scratch, user};
    use crate::fs::{Access, Files, Metadata, Precondition};
    use crate::identity::Accounts;

    fn order(path: PathBuf) -> Order {
        Order {
            files: Files::new(Access::Root, Arc::new(Accounts::default())),
            user: user(),
            path,
            metadata: Metadata::default(),
            precondition: Precondition::default(),
        }
    }

    #[tokio::test]
    async fn parts_are_joined_in_order_and_deleted() {
        let scratch = Scratch::new();
        let parts = ["b", "a", "c"].map(|name| scratch.at(name));
        for (at, part) in parts.iter().enumerate() {
            fs::write(part, format!("{at}").repeat(100_000)).unwrap();
        }
        let path = scratch.at("new/dir/all");
        compose(order(path.clone()), parts.to_vec()).await.unwrap();
        let want = ["0", "1", "2"].map(|digit| digit.repeat(100_000)).concat();
        assert!(fs::read_to_string(&path).unwrap() == want);
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), (1000, 1001, 0o644));
        assert!(parts.iter().all(|part| !part.exists()));
    }

    #[tokio::test]
    async fn a_failed_composition_changes_nothing() {
        let scratch = Scratch::new();
        fs::write(scratch.at("old"), "old").unwrap();
        fs::write(scratch.at("a"), "a").unwrap();
        std::os::unix::fs::symlink(scratch.path(), scratch.at("alias")).unwrap();
        for (bad, want) in [
            ("missing", Kind::NotFound),
            ("alias", Kind::InvalidArgument),
            ("old", Kind::InvalidArgument),
            ("alias/old", Kind::InvalidArgument),
        ] {
            let sources = vec![scratch.at("a"), scratch.at(bad)];
            let error = compose(order(scratch.at("old")), sources).await.unwrap_err();
            assert_eq!(error.kind(), want, "{bad}: {error}");
            assert_eq!(fs::read_to_string(scratch.at("old")).unwrap(), "old");
            assert!(scratch.at("a").exists());
        }
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 3);
    }

    #[tokio::test]
    async fn a_destination_that_is_there_stays_the_same_file() {
        let scratch = Scratch::new();
        fs::write(scratch.at("old"), "a longer text than the new one").unwrap();
        let inode = fs::metadata(scratch.at("old")).unwrap().ino();
        fs::write(scratch.at("a"), "a").unwrap();
        compose(order(scratch.at("old")), vec![scratch.at("a")]).await.unwrap();
        assert_eq!(fs::read_to_string(scratch.at("old")).unwrap(), "a");
        assert_eq!(fs::metadata(scratch.at("old")).unwrap().ino(), inode);
    }
}
