//! Keeps what must survive a crash, as values with names, in one file.
//!
//! The file is a [`redb`] database: pure Rust, nothing to install and nothing to link; a commit is on the disk when it
//! returns, and after a crash at any point the file is as the last commit left it; one file, locked against a second
//! process. A handful of small values are written a second at the most, so anything quicker would be for nothing.
//!
//! An input or output error, a full disk for one, stops a redb database until it is opened again: that is done here, at
//! the next use.

mod error;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, TableError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

pub use error::StoreError;

/// How long somebody else may hold the file: an owner that is on its way down.
const LOCK_LIMIT: Duration = Duration::from_secs(15);
/// Between two tries.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// Which values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelf {
    /// Sandboxes that were paused once.
    Sandboxes,
    /// Snapshots that sandboxes can be made from.
    Snapshots,
    /// What was found out about templates.
    Facts,
}

impl Shelf {
    fn table(self) -> TableDefinition<'static, &'static str, &'static [u8]> {
        TableDefinition::new(match self {
            Self::Sandboxes => "sandboxes",
            Self::Snapshots => "snapshots",
            Self::Facts => "facts",
        })
    }
}

/// The values; clones are the same.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// `None` after an error, until the next use.
    database: Mutex<Option<Database>>,
}

impl Store {
    /// Opens the file, or makes it. Waits for another owner to end, at most 15 s.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Taken`] when another process has it.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let until = Instant::now() + LOCK_LIMIT;
        loop {
            match open(path) {
                Err(StoreError::Taken { .. }) if Instant::now() < until => sleep(TRY_AGAIN).await,
                opened => {
                    let inner = Inner { path: path.into(), database: Mutex::new(Some(opened?)) };
                    return Ok(Self { inner: Arc::new(inner) });
                }
            }
        }
    }

    /// Reads all values of a shelf. One that cannot be read is of another version of this program: it is left out, and
    /// logged.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn all<T: DeserializeOwned + Send + 'static>(
        &self,
        shelf: Shelf,
    ) -> Result<BTreeMap<String, T>, StoreError> {
        self.on_thread(move |database| all(database, shelf)).await
    }

    /// Puts a value on a shelf, over one of the same name; it is on the disk when this returns. A caller that gives up
    /// does not stop it.
    ///
    /// # Errors
    /// [`StoreError`]; the shelf is then as before, or, in rare cases, as it should be.
    pub async fn put(&self, shelf: Shelf, name: &str, value: &impl Serialize) -> Result<(), StoreError> {
        let text = serde_json::to_vec(value).map_err(StoreError::Value)?;
        let name = name.to_owned();
        let put = move |database: &Database| {
            let write = database.begin_write()?;
            write.open_table(shelf.table())?.insert(&*name, &*text)?;
            Ok(write.commit()?)
        };
        self.on_thread(put).await
    }

    /// Removes a value; it may be gone already.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub async fn remove(&self, shelf: Shelf, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        let remove = move |database: &Database| {
            let write = database.begin_write()?;
            write.open_table(shelf.table())?.remove(&*name)?;
            Ok(write.commit()?)
        };
        self.on_thread(remove).await
    }

    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        let done = tokio::task::spawn_blocking(move || inner.with(work)).await;
        done.unwrap_or_else(|error| Err(StoreError::Thread(error)))
    }
}

impl Inner {
    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let mut slot = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match slot.take() {
            Some(database) => database,
            None => open(&self.path)?,
        };
        match work(&database) {
            Ok(value) => {
                *slot = Some(database);
                Ok(value)
            }
            // The database goes, and comes back with the next use.
            Err(error) => Err(StoreError::use_of(&self.path, error)),
        }
    }
}

fn open(path: &Path) -> Result<Database, StoreError> {
    Database::create(path).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Taken { path: path.into() },
        error => StoreError::use_of(path, error.into()),
    })
}

fn all<T: DeserializeOwned>(database: &Database, shelf: Shelf) -> Result<BTreeMap<String, T>, redb::Error> {
    let table = match database.begin_read()?.open_table(shelf.table()) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(BTreeMap::new()),
        Err(error) => return Err(error.into()),
    };
    let mut values = BTreeMap::new();
    for entry in table.iter()? {
        let (name, text) = entry?;
        match serde_json::from_slice(text.value()) {
            Ok(value) => drop(values.insert(name.value().to_owned(), value)),
            Err(error) => tracing::warn!(name = name.value(), %error, "a value in the store cannot be read"),
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests;
