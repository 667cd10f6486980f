//! One upload, fed as its bytes arrive.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::commit::{self, Begun, Committed};
use super::content::{Content, Spool};
use super::straight::{Straight, StraightError};
use super::{WriteError, hop};
use crate::fs::{Files, FsError, Metadata, Precondition, metadata};
use crate::identity::User;

/// Says what to write, where and as whom.
#[derive(Clone, Debug)]
pub struct Order {
    /// With whose rights.
    pub files: Files,
    /// Who owns what is new.
    pub user: User,
    /// Where; a symbolic link at its end is followed.
    pub path: PathBuf,
    /// The pairs that the file has afterwards, and no others.
    pub metadata: Metadata,
    /// What must be there, or not.
    pub precondition: Precondition,
}

/// Takes the bytes of one file; dropping it, at any time before [`Upload::finish`] is awaited, leaves no trace.
#[derive(Debug)]
pub struct Upload {
    order: Arc<Order>,
    sink: Sink,
}

/// Says where the bytes are.
#[derive(Debug)]
enum Sink {
    /// There were none.
    Fresh,
    /// In a file without a name.
    Spooled(Spool),
    /// On their way there; at most one batch is.
    Busy(JoinHandle<Result<Spool, WriteError>>),
    /// Where they go.
    Straight(Straight),
    /// Lost to an error that was reported.
    Failed,
}

impl Upload {
    /// Prepares an upload; nothing is touched before the first byte or the end.
    #[must_use]
    pub fn new(order: Order) -> Self {
        Self { order: Arc::new(order), sink: Sink::Fresh }
    }

    /// Takes a batch of bytes; it returns while they are being written, and waits for the batch before.
    ///
    /// Each call costs a visit to the blocking pool: gather at least 256 KiB, or come to [`Upload::finish`] at once
    /// with a small file, which then costs one visit in all.
    ///
    /// # Errors
    /// Those of this batch or the one before it; the upload is over then.
    pub async fn write(&mut self, batch: Bytes) -> Result<(), WriteError> {
        self.order.files.written();
        self.sink = match self.settle().await? {
            Sink::Fresh => match self.begin().await? {
                Sink::Spooled(spool) => self.send(spool, batch),
                Sink::Straight(straight) => Sink::Straight(self.straight(straight, batch).await?),
                other => other,
            },
            Sink::Spooled(spool) => self.send(spool, batch),
            Sink::Straight(straight) => Sink::Straight(self.straight(straight, batch).await?),
            other => other,
        };
        Ok(())
    }

    /// Takes the last bytes and puts the file in its place; gives the pairs that it has now.
    ///
    /// # Errors
    /// Anything; the target is then as it was.
    pub async fn finish(mut self, batch: Bytes) -> Result<BTreeMap<String, String>, WriteError> {
        let content = match self.settle().await? {
            Sink::Straight(straight) => {
                self.straight(straight, batch).await?;
                return Ok(BTreeMap::new());
            }
            Sink::Spooled(spool) => (Some(spool), batch),
            _ => (None, batch),
        };
        let order = Arc::clone(&self.order);
        let end = hop(move || end(&order, content)).await??;
        match end {
            End::Done(pairs) => Ok(pairs),
            End::Straight(file, batch) => {
                let straight = Straight::new(file).map_err(|error| self.failed(error.into()))?;
                self.straight(straight, batch).await?;
                Ok(BTreeMap::new())
            }
        }
    }

    /// Waits for the batch under way and gives the sink out.
    async fn settle(&mut self) -> Result<Sink, WriteError> {
        match std::mem::replace(&mut self.sink, Sink::Failed) {
            Sink::Busy(work) => Ok(Sink::Spooled(work.await.map_err(|_| FsError::Panicked)??)),
            Sink::Failed => Err(FsError::Panicked.into()),
            other => Ok(other),
        }
    }

    async fn begin(&self) -> Result<Sink, WriteError> {
        let order = Arc::clone(&self.order);
        match hop(move || commit::begin(&order)).await?? {
            Begun::Spool(spool) => Ok(Sink::Spooled(spool)),
            Begun::Straight(file) => {
                Ok(Sink::Straight(Straight::new(file).map_err(|error| self.failed(error.into()))?))
            }
        }
    }

    fn send(&self, mut spool: Spool, batch: Bytes) -> Sink {
        let order = Arc::clone(&self.order);
        Sink::Busy(tokio::task::spawn_blocking(move || {
            spool.write(&[batch]).map_err(WriteError::io("write", &order.path))?;
            Ok(spool)
        }))
    }

    async fn straight(&self, straight: Straight, batch: Bytes) -> Result<Straight, WriteError> {
        straight.write(batch).await.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: StraightError) -> WriteError {
        match error {
            StraightError::Io(error) => WriteError::io("write", &self.order.path)(error),
            StraightError::Fs(error) => error.into(),
        }
    }
}

/// Says how the last visit to the pool ended.
enum End {
    Done(BTreeMap<String, String>),
    Straight(std::fs::File, Bytes),
}

fn end(order: &Order, content: (Option<Spool>, Bytes)) -> Result<End, WriteError> {
    let content = match content {
        (Some(mut spool), batch) => {
            spool.write(&[batch]).map_err(WriteError::io("write", &order.path))?;
            Content::Spool(spool)
        }
        (None, batch) => Content::Memory(batch),
    };
    match commit::commit(order, content)? {
        Committed::Done if order.metadata.pairs().is_empty() => Ok(End::Done(BTreeMap::new())),
        Committed::Done => Ok(End::Done(order.as_user(|| metadata::read(&order.path))?)),
        Committed::Straight(file, Content::Memory(batch)) => Ok(End::Straight(file, batch)),
        Committed::Straight(..) => Err(WriteError::NotRegular(order.path.clone())),
    }
}
