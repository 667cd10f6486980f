//! A part of a regular file, piece by piece.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::ReadError;
use super::pool::Pool;
use crate::fs::FsError;
use crate::sys::file;

/// Bytes of a piece: large enough that a visit to the pool is small beside it, small enough for the processor's cache.
const PIECE: u64 = 256 * 1024;

/// Reads from `at` to `end`; the next piece is read while the client takes this one.
#[derive(Debug)]
pub struct Pieces {
    file: Arc<File>,
    path: PathBuf,
    pool: Pool,
    at: u64,
    end: u64,
    next: Option<JoinHandle<std::io::Result<Vec<u8>>>>,
}

impl Pieces {
    /// Prepares to read the bytes from `start` to `end` of `file`; `path` is for messages.
    #[must_use]
    pub fn new(file: Arc<File>, path: PathBuf, start: u64, end: u64) -> Self {
        Self { file, path, pool: Pool::default(), at: start, end, next: None }
    }

    /// Goes on with another part of the same file.
    pub fn turn_to(&mut self, start: u64, end: u64) {
        (self.at, self.end, self.next) = (start, end, None);
    }

    /// Gives the next piece; `None` at the end.
    ///
    /// # Errors
    /// [`ReadError::Shrunk`] when the file ends before the part does.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        let wanted = PIECE.min(self.end - self.at);
        if wanted == 0 {
            return Ok(None);
        }
        let reading = self.next.take().unwrap_or_else(|| self.read(self.at, wanted));
        let buffer = reading.await.map_err(|_| FsError::Panicked)?.map_err(FsError::io("read", &self.path))?;
        if (buffer.len() as u64) < wanted {
            return Err(ReadError::Shrunk(self.path.clone()));
        }
        self.at += wanted;
        let after = PIECE.min(self.end - self.at);
        if after > 0 {
            self.next = Some(self.read(self.at, after));
        }
        Ok(Some(self.pool.lend(buffer)))
    }

    fn read(&self, at: u64, length: u64) -> JoinHandle<std::io::Result<Vec<u8>>> {
        let (file, mut buffer) = (Arc::clone(&self.file), self.pool.take());
        tokio::task::spawn_blocking(move || {
            // The constant bounds it: the conversion cannot fail.
            file::read_at(&file, &mut buffer, at, usize::try_from(length).unwrap_or(0))?;
            Ok(buffer)
        })
    }
}
