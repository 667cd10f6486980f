//! What can go wrong with the store.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Tells why something is not kept.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process has the file.
    #[error("{path} is in use by another icebox")]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// The kernel said no.
    #[error("using the store {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("using the store {path}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<redb::Error>,
    },
    /// A value cannot be written down.
    #[error("writing a value down")]
    Value(#[source] serde_json::Error),
    /// The thread that was to do it did not.
    #[error("using the store on another thread")]
    Thread(#[source] tokio::task::JoinError),
}

impl StoreError {
    pub(super) fn use_of(path: &Path, error: redb::Error) -> Self {
        let path = path.to_owned();
        match error {
            redb::Error::Io(source) => Self::Io { path, source },
            source => Self::Database { path, source: Box::new(source) },
        }
    }
}
