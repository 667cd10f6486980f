//! Where listeners come in.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::libc;
use tokio::net::{UnixListener, UnixStream};

use super::Settings;
use super::crowd::{Crowd, Seat};
use super::line::Event;
use super::listener::{refuse, serve};
use crate::base::{Lives, Tasks};

/// Pause after an accept that failed for want of descriptors, so that a full table is no busy loop.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Opens the socket for everybody; takes over the file of an agent that died, and leaves one that is served alone.
pub(super) fn open(path: &Path) -> io::Result<UnixListener> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
        match crate::sys::socket::is_served(path) {
            true => return Err(io::ErrorKind::AddrInUse.into()),
            false => fs::remove_file(path)?,
        }
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// Makes the folder, which everybody may enter; one that exists stays as it is.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o755))
}

/// Lets listeners in, one task for each.
pub(super) async fn keep(door: UnixListener, settings: Settings, lives: Lives, crowd: Arc<Mutex<Crowd>>, tasks: Tasks) {
    loop {
        match door.accept().await {
            Ok((stream, _)) => {
                if let Some(seat) = admit(&stream, &settings, &lives, &crowd) {
                    tasks.spawn(serve(stream, seat, Arc::clone(&crowd)));
                }
            }
            Err(error) if is_shortage(&error) => {
                tracing::warn!(%error, "cannot accept listeners for now");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
            Err(error) => tracing::debug!(%error, "a listener ended before it was accepted"),
        }
    }
}

fn admit(stream: &UnixStream, settings: &Settings, lives: &Lives, crowd: &Mutex<Crowd>) -> Option<Seat> {
    let Ok(peer) = stream.peer_cred() else {
        refuse(stream, "unknown peer");
        return None;
    };
    let mut crowd = crowd.lock().unwrap_or_else(PoisonError::into_inner);
    let (all, of_user) = crowd.count(peer.uid());
    if all >= settings.clients || of_user >= settings.clients_per_user {
        refuse(stream, "too many listeners");
        return None;
    }
    // Under the lock, so that no event falls between this and the first one that is told.
    Some(crowd.enter(peer.uid(), peer.pid(), Event::hello(lives.now()).line()))
}

/// Tells errors of the machine, which come again at once, from those of one connection.
fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}
