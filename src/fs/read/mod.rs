//! Downloads: a file is opened and its first bytes are read in one visit to the blocking pool; the rest comes in
//! large pieces, one ahead of the client, and a client that stalls holds memory for two pieces but no thread.
//!
//! - [`open`](mod@open) what there is to read
//! - [`pieces`] a part of a regular file, piece by piece
//! - [`packed`] a regular file, compressed piece by piece
//! - [`live`] pipes, devices and files of `/proc`, whose end shows only when it comes

pub mod live;
pub mod open;
pub mod packed;
pub mod pieces;
mod pool;

pub use live::Live;
pub use open::{Opened, Source, open};
pub use packed::Packed;
pub use pieces::Pieces;

use std::path::PathBuf;

/// Says that a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It became shorter than it was when it was opened: what was promised cannot be kept.
    #[error("file '{}' became shorter while it was read", .0.display())]
    Shrunk(PathBuf),
    /// Anything that other verbs meet too.
    #[error(transparent)]
    Fs(#[from] super::FsError),
}
