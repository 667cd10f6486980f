//! How new content replaces that of a file which stays the same file.

use std::fs::{File, FileTimes, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use super::content::Content;
use super::error::is_full;
use super::turns::Turn;
use super::{Order, WriteError};
use crate::fs::metadata;
use crate::sys::file;

/// Bytes of one block as stat(2) counts them.
const BLOCK: u64 = 512;

/// Replaces the content of `file`; it fails, if at all, before the first byte is touched (but see [`fill`]).
pub(super) fn overwrite(order: &Order, file: &File, found: &Metadata, content: &Content) -> Result<(), WriteError> {
    let _turn = Turn::take(found);
    let failed = |error| WriteError::io("write", &order.path)(error);
    // Somebody may have had the turn before us.
    let found = file.metadata().map_err(failed)?;
    order.check(Some(&found))?;
    let before = metadata::read_open(file.as_fd());
    let change = before != *order.metadata.pairs();
    if change {
        metadata::replace(file.as_fd(), &order.path, &order.metadata).inspect_err(|_| restore(order, file, &before))?;
    }
    let outcome = put(file, &found, content);
    if outcome.is_err() && change {
        restore(order, file, &before);
    }
    outcome.map_err(failed)
}

fn restore(order: &Order, file: &File, before: &std::collections::BTreeMap<String, String>) {
    let back = metadata::Metadata::checked(before.clone())
        .and_then(|before| metadata::replace(file.as_fd(), &order.path, &before));
    if let Err(error) = back {
        tracing::warn!(path = %order.path.display(), error = %error, "cannot put metadata back");
    }
}

fn put(file: &File, found: &Metadata, content: &Content) -> io::Result<()> {
    let length = content.len();
    if let Content::Spool(spool) = content
        && file::share_blocks(spool.file(), file).is_ok()
    {
        return file.set_len(length);
    }
    reserve(file, found, length)?;
    fill(file, found, content)?;
    // Cuts the rest off; where there is none it is what tells watchers about an empty upload.
    file.set_len(length)
}

/// Sets the blocks aside that the new content needs beyond those the file has.
fn reserve(file: &File, found: &Metadata, length: u64) -> io::Result<()> {
    let owned = found.blocks().saturating_mul(BLOCK);
    if length <= owned.min(found.len()) {
        return Ok(());
    }
    // Asked first, because a reservation that fails half-way must be given back, which shows.
    if let Ok(space) = file::space(file)
        && length.saturating_sub(owned) > space.free
    {
        return Err(io::Error::from_raw_os_error(nix::libc::ENOSPC));
    }
    match file::reserve(file, length) {
        Err(error) if is_full(&error) => {
            give_back(file, found);
            Err(error)
        }
        // Others mean that the file system cannot: the order of writing is the next defence.
        _ => Ok(()),
    }
}

/// Writes what lies beyond the old end first: on a file system without reservations only that can meet a full disk,
/// and it can be cut off again. What then still fails (a broken disk) leaves the file damaged.
fn fill(file: &File, found: &Metadata, content: &Content) -> io::Result<()> {
    let length = content.len();
    let kept = found.len().min(length);
    content.write_range(file, kept, length).inspect_err(|_| give_back(file, found))?;
    content.write_range(file, 0, kept)
}

/// Brings size and times back to what they were; blocks beyond the end become free.
fn give_back(file: &File, found: &Metadata) {
    let mut times = FileTimes::new();
    if let Ok(modified) = found.modified() {
        times = times.set_modified(modified);
    }
    if let Err(error) = file.set_len(found.len()).and_then(|()| file.set_times(times)) {
        tracing::warn!(error = %error, "cannot give reserved space back");
    }
}
