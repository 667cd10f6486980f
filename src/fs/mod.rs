//! Files and directories of the guest, and who is told when they change.
//!
//! Every verb is plain blocking code over paths; [`Files::run`] carries it to tokio's blocking pool and, when the
//! agent is configured so, gives the thread the identity of the user meanwhile.
//!
//! - [`access`] as whom files are touched
//! - [`compose`] several files become one
//! - [`entry`] what is told about one file
//! - [`metadata`] the key-value pairs that clients hang on files
//! - [`parents`] missing directories, owned by the user
//! - [`list`] what is in a directory, `names` in which order
//! - [`change`] making directories and moving
//! - [`transfer`] moving to another filesystem
//! - [`remove`] taking trees away
//! - [`read`] downloads, in large pieces
//! - [`write`](mod@write) uploads, whole or not at all
//! - [`version`] which version of a file is meant
//! - [`watch`] who is told when files change
//! - [`error`] what can go wrong

pub mod access;
pub mod change;
pub mod compose;
pub mod entry;
pub mod error;
pub mod list;
pub mod metadata;
mod names;
pub mod parents;
pub mod read;
pub mod remove;
#[cfg(test)]
pub(crate) mod scratch;
pub mod transfer;
pub mod version;
pub mod watch;
pub mod write;

pub use access::{Access, Files};
pub use entry::Entry;
pub use error::FsError;
pub use metadata::Metadata;
pub use read::ReadError;
pub use version::{Precondition, Version, Wanted};
pub use write::{Order, Upload, WriteError};
