//! How whole content gets to its place: all of it, or nothing.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;

use super::content::{Content, Spool};
use super::error::is_full;
use super::target::{self, Target};
use super::turns::Turn;
use super::{Order, WriteError, overwrite, place};
use crate::fs::{FsError, metadata, parents};
use crate::sys::file;

/// Attempts when others make and remove the same name meanwhile.
const ATTEMPTS: usize = 100;

/// Says how an upload ended.
#[derive(Debug)]
pub(super) enum Committed {
    /// The content is in its place.
    Done,
    /// The target takes bytes only as they come.
    Straight(File, Content),
}

/// Puts the content at its place, blocking; on failure what was there is as it was, and nothing new is there.
///
/// A new file is made without a name, completed, and linked: watchers see CREATE of a whole file, then WRITE. A file
/// that is there keeps its inode, so its links, mode, owner and open descriptors go on meaning it.
pub(super) fn commit(order: &Order, mut content: Content) -> Result<Committed, WriteError> {
    let mut made = Vec::new();
    for number in 0..ATTEMPTS {
        let attempt = order.as_user(|| target::open(&order.path, number > 0))?;
        let outcome = match attempt {
            Err(error) => Err(error),
            Ok(Target::Straight(file)) => return Ok(Committed::Straight(file, content)),
            Ok(Target::Regular(file, found)) => {
                match order.as_user(|| overwrite::overwrite(order, &file, &found, &content))? {
                    // It may fit once the spool is out of the way.
                    Err(WriteError::NoSpace) if make_room(&mut content) => Ok(Linked::Raced),
                    outcome => outcome.map(|()| Linked::Done),
                }
            }
            Ok(Target::Missing(path)) => create(order, &path, &mut content, &mut made),
        };
        match outcome {
            Ok(Linked::Done) => return Ok(Committed::Done),
            Ok(Linked::Raced) => {}
            Err(error) => {
                take_back(&made);
                return Err(error);
            }
        }
    }
    take_back(&made);
    Err(WriteError::io("create", &order.path)(io::Error::from_raw_os_error(libc::EBUSY)))
}

/// Says what came of an attempt.
enum Linked {
    Done,
    /// Something changed meanwhile, such as a name that somebody else made or removed: look again.
    Raced,
}

fn make_room(content: &mut Content) -> bool {
    match content {
        Content::Spool(spool) => spool.make_room().unwrap_or(false),
        Content::Memory(_) => false,
    }
}

fn create(order: &Order, path: &Path, content: &mut Content, made: &mut Vec<PathBuf>) -> Result<Linked, WriteError> {
    if !order.precondition.holds(None) {
        return Err(WriteError::Unmet(order.path.clone()));
    }
    let dir = path.parent().unwrap_or(Path::new("/"));
    let before = made.len();
    made.extend(dir.ancestors().take_while(|dir| !dir.exists()).map(Path::to_owned));
    if made.len() > before {
        order.as_user(|| parents::make(dir, &order.user))?.map_err(|error| match error {
            FsError::Io { source, .. } if is_full(&source) => WriteError::making(path, &place::nearest(path))(source),
            other => other.into(),
        })?;
    }
    let making = WriteError::making(path, dir);
    if let Content::Memory(bytes) = content
        && let Some(mut spool) = match Spool::open_linkable(dir, &order.user) {
            Ok(spool) => spool,
            Err(error) => return Err(making(error)),
        }
    {
        spool.write(&[bytes]).map_err(WriteError::io("write", path))?;
        *content = Content::Spool(spool);
    }
    order.as_user(|| name(order, path, content))?
}

/// Gives the content its name.
fn name(order: &Order, path: &Path, content: &Content) -> Result<Linked, WriteError> {
    let Content::Spool(spool) = content else {
        return exclusive(order, path, content);
    };
    if !spool.linkable {
        return exclusive(order, path, content);
    }
    mark(order, path, spool.file())?;
    match file::link_unnamed(spool.file(), path) {
        Ok(()) => {
            announce(spool.file(), path);
            Ok(Linked::Done)
        }
        Err(error) => match error.raw_os_error() {
            Some(libc::EEXIST | libc::ENOENT) => Ok(Linked::Raced),
            // Bind mounts on old kernels, project quotas, encrypted directories.
            Some(libc::EXDEV | libc::EPERM | libc::EOPNOTSUPP) => {
                place::forget(path.parent().unwrap_or(path));
                exclusive(order, path, content)
            }
            _ => Err(WriteError::making(path, path.parent().unwrap_or(path))(error)),
        },
    }
}

/// Hangs the pairs on a new file, which has none yet.
fn mark(order: &Order, path: &Path, file: &File) -> Result<(), FsError> {
    if order.metadata.pairs().is_empty() { Ok(()) } else { metadata::replace(file.as_fd(), path, &order.metadata) }
}

/// Lets watchers see WRITE: a truncation to the size that the file has, through its own name, raises IN_MODIFY.
fn announce(linked: &File, path: &Path) {
    let announced = linked.metadata().and_then(|linked| {
        // Since the link others may overwrite the file: nobody does while its size is read and set.
        let _turn = Turn::take(&linked);
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let file = OpenOptions::new().write(true).custom_flags(flags).open(path)?;
        let found = file.metadata()?;
        if (found.dev(), found.ino()) == (linked.dev(), linked.ino()) { file.set_len(found.len()) } else { Ok(()) }
    });
    if let Err(error) = announced {
        tracing::debug!(path = %path.display(), error = %error, "cannot announce a new file");
    }
}

/// Makes the file under its name and fills it, where no unnamed file can be had; removes it when that fails.
fn exclusive(order: &Order, path: &Path, content: &Content) -> Result<Linked, WriteError> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let room = File::open(dir).and_then(|dir| file::space(&dir));
    if room.is_ok_and(|room| room.free < content.len()) {
        return Err(WriteError::NoSpace);
    }
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC;
    let file = match OpenOptions::new().write(true).create_new(true).mode(0o666).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.raw_os_error(), Some(libc::EEXIST | libc::ENOENT)) => return Ok(Linked::Raced),
        Err(error) => return Err(WriteError::making(path, dir)(error)),
    };
    let _turn = file.metadata().map(|made| Turn::take(&made));
    let filled = fill(order, path, &file, content);
    if filled.is_err()
        && let (Ok(made), Ok(there)) = (file.metadata(), fs::symlink_metadata(path))
        && (made.dev(), made.ino()) == (there.dev(), there.ino())
    {
        let _ = fs::remove_file(path);
    }
    filled.map(|()| Linked::Done)
}

fn fill(order: &Order, path: &Path, file: &File, content: &Content) -> Result<(), WriteError> {
    let own = std::os::unix::fs::fchown(file, Some(order.user.uid), Some(order.user.gid));
    own.map_err(WriteError::io("own", path))?;
    mark(order, path, file)?;
    let length = content.len();
    if length > 0 {
        match file::reserve(file, length) {
            Err(error) if is_full(&error) => return Err(WriteError::NoSpace),
            _ => {}
        }
    }
    content.write_range(file, 0, length).map_err(WriteError::io("write", path))?;
    file.set_len(length).map_err(WriteError::io("write", path))
}

/// Removes the directories that this upload made, deepest first, unless others use them by now.
fn take_back(made: &[PathBuf]) {
    for dir in made {
        if fs::remove_dir(dir).is_err() {
            break;
        }
    }
}

/// Opens a spool for a large upload after a first look at its target.
pub(super) fn begin(order: &Order) -> Result<Begun, WriteError> {
    let (near, flees) = match order.as_user(|| target::open(&order.path, true))?? {
        Target::Straight(file) => return Ok(Begun::Straight(file)),
        Target::Regular(_, found) => {
            order.check(Some(&found))?;
            (place::nearest(&real(&order.path)), true)
        }
        Target::Missing(path) => {
            order.check(None)?;
            (place::nearest(&path), false)
        }
    };
    let spool = Spool::open(&near, &order.user, flees).map_err(WriteError::making(&order.path, &near))?;
    Ok(Begun::Spool(spool))
}

/// Says how a large upload starts.
#[derive(Debug)]
pub(super) enum Begun {
    /// Its bytes are kept back until all are there.
    Spool(Spool),
    /// Its bytes go straight to their target.
    Straight(File),
}

fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

impl Order {
    /// Runs `work` with the rights of the user.
    pub(in crate::fs) fn as_user<R>(&self, work: impl FnOnce() -> R) -> Result<R, FsError> {
        self.files.here(&self.user, work)
    }

    /// Checks the condition against what was found.
    pub(super) fn check(&self, found: Option<&fs::Metadata>) -> Result<(), WriteError> {
        let version = found.map(crate::fs::Version::of);
        if self.precondition.holds(version) { Ok(()) } else { Err(WriteError::Unmet(self.path.clone())) }
    }
}
