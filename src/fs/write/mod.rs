//! Uploads: a file changes when its new content is whole, or not at all.
//!
//! Bytes are kept in a file that has no name (`content`), made where nobody watches (`place`); small uploads stay
//! in memory. When the last byte is there, `commit` gives that file its name, or copies it into the file that has
//! the name already (`overwrite`): inode, links, mode, owner and attributes of an existing file stay. Space for the
//! copy is set aside first, so that a full disk says so before anything is lost. What is neither (pipes, devices,
//! `/proc`) gets its bytes straight (`straight`).
//!
//! - [`upload`] one upload, fed as its bytes arrive
//! - [`error`] what can go wrong

mod commit;
pub(super) mod content;
pub mod error;
mod overwrite;
pub(super) mod place;
mod straight;
mod target;
mod turns;
pub mod upload;

pub use error::WriteError;
pub use upload::{Order, Upload};

use super::FsError;

/// Runs blocking `work` on the pool with the agent's own rights.
async fn hop<R, W>(work: W) -> Result<R, FsError>
where
    W: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(|_| FsError::Panicked)
}

/// Holds the content of a file that is put together inside the kernel.
#[derive(Debug)]
pub(super) struct Draft(content::Spool);

/// Looks at the target and opens a draft for it, blocking.
pub(super) fn begin(order: &Order) -> Result<Draft, WriteError> {
    match commit::begin(order)? {
        commit::Begun::Spool(spool) => Ok(Draft(spool)),
        commit::Begun::Straight(_) => Err(WriteError::NotRegular(order.path.clone())),
    }
}

impl Draft {
    /// Appends everything that is in `from`, blocking.
    pub(super) fn append(&mut self, order: &Order, from: &std::fs::File) -> Result<(), WriteError> {
        self.0.append(from).map_err(WriteError::io("write", &order.path))
    }

    /// Puts the draft at its place, blocking.
    pub(super) fn commit(self, order: &Order) -> Result<(), WriteError> {
        match commit::commit(order, content::Content::Spool(self.0))? {
            commit::Committed::Done => Ok(()),
            commit::Committed::Straight(..) => Err(WriteError::NotRegular(order.path.clone())),
        }
    }
}
