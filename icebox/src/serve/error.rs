//! Why icebox does not serve.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use icebox::image::ImageError;
use icebox::sandbox::SandboxError;
use thiserror::Error;

/// Tells why it ends badly.
#[derive(Debug, Error)]
pub(crate) enum ServeError {
    #[error("neither XDG_DATA_HOME nor HOME says where to keep sandboxes: name a folder with --data")]
    NoData,
    #[error("{data} is in use by another icebox{owner}: end it, or name another folder with --data", data = .data.display())]
    InUse { data: PathBuf, owner: String },
    #[error("taking the folder {path}", path = .path.display())]
    Claim { path: PathBuf, source: io::Error },
    #[error("listening at {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("listening to signals")]
    Signals(#[source] io::Error),
    #[error("writing to stdout")]
    Tell(#[source] io::Error),
    #[error("--api-key is empty")]
    EmptyKey,
    #[error("interrupted before it was ready")]
    Interrupted,
    #[error("ended by a second signal; sandboxes that still ran are lost since their last pause")]
    Cut,
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}
