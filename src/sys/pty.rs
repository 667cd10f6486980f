//! Pseudo terminals, opened and resized by portable-pty.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use portable_pty::{MasterPty, PtySize, native_pty_system};

/// Holds our side of a terminal; resizing it signals the foreground group (SIGWINCH).
pub struct Terminal {
    master: Mutex<Box<dyn MasterPty + Send>>,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Terminal")
    }
}

/// Holds a fresh terminal: our side, the program's side, and one descriptor of ours for reading and writing.
#[derive(Debug)]
pub struct Opened {
    /// Resizes.
    pub terminal: Terminal,
    /// Reads and writes; it does not block.
    pub master: OwnedFd,
    /// The program's side, to be closed here once the program runs.
    pub slave: OwnedFd,
}

/// Opens a terminal of `cols` by `rows` whose device belongs to `uid`.
///
/// # Errors
/// ENOENT without `/dev/ptmx` or a mounted devpts, ENOSPC when all terminals are in use, EMFILE.
pub fn open_terminal(cols: u16, rows: u16, uid: u32) -> io::Result<Opened> {
    let pair = native_pty_system().openpty(size(cols, rows)).map_err(cause)?;
    let name: PathBuf = pair.master.tty_name().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let slave = open(&name, OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC, Mode::empty())?;
    // A tool that reopens its terminal by name needs to own it; without the right to give it away it stays ours.
    let _ = nix::unistd::fchown(&slave, Some(uid.into()), None);
    let fd = pair.master.as_raw_fd().ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
    #[expect(unsafe_code, reason = "portable-pty lends a raw number only")]
    // SAFETY: `pair.master` owns the descriptor and outlives this borrow.
    let master = super::fd::duplicate(unsafe { BorrowedFd::borrow_raw(fd) })?;
    super::fd::set_nonblocking(std::os::fd::AsFd::as_fd(&master))?;
    Ok(Opened { terminal: Terminal { master: Mutex::new(pair.master) }, master, slave })
}

impl Terminal {
    /// Changes the size.
    ///
    /// # Errors
    /// EIO when the program's side is gone.
    pub fn resize(&self, cols: u16, rows: u16) -> io::Result<()> {
        self.master.lock().unwrap_or_else(PoisonError::into_inner).resize(size(cols, rows)).map_err(cause)
    }
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

/// Finds the system's error below portable-pty's own.
fn cause(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    let error = error.into();
    let text = error.to_string();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*error);
    while let Some(next) = cause {
        if let Some(io) = next.downcast_ref::<io::Error>() {
            return io.raw_os_error().map_or_else(|| io::Error::other(text), io::Error::from_raw_os_error);
        }
        cause = next.source();
    }
    io::Error::other(text)
}
