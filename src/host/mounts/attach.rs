//! One volume.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use nix::libc;
use nix::mount::{MntFlags, MsFlags};

use super::target::{has_statd, is_nfs, options};
use super::{MountError, Volume};
use crate::base::Tasks;
use crate::host::child::Child;
use crate::sys::mount::{mount_apart, outcome, unmount_apart};

/// How long a dead mount may take to go, each way (envd's value).
const UNMOUNT: Duration = Duration::from_secs(2);
/// First pause before a server that is not there yet is asked again.
const PAUSE: Duration = Duration::from_millis(50);
/// Longest one.
const PAUSE_MOST: Duration = Duration::from_secs(1);

/// Mounts a volume in the place of what an earlier life left there. Without a deadline of its own: a server that does
/// not answer, or not yet, is asked for ever. Cancelling kills the call that waits.
pub(super) async fn attach(volume: Volume, tasks: Tasks) -> Result<(), MountError> {
    let path = CString::new(volume.path.as_os_str().as_bytes());
    let path = path.ok().filter(|_| volume.path.is_absolute()).ok_or_else(|| MountError::Path(volume.path.clone()))?;
    let server = volume.address().await?;
    detach(&volume.path, &path, &tasks).await;
    make_folder(&volume.path).await?;
    let target = CString::new(volume.target.as_str()).map_err(|_| MountError::Target(volume.target.clone()))?;
    let data = CString::new(options(server, has_statd())).unwrap_or_default();
    let mut pause = PAUSE;
    loop {
        let begun = mount_apart(&target, &path, c"nfs", MsFlags::MS_SYNCHRONOUS, &data);
        let Err(source) = finish(begun, Duration::MAX, &tasks).await else { return Ok(()) };
        if source.raw_os_error() == Some(libc::ENODEV) {
            return Err(MountError::NoNfs(volume.target));
        }
        if !is_passing(&source) {
            return Err(MountError::Refused { target: volume.target, path: volume.path, source });
        }
        tracing::debug!(%source, "the server of a volume does not answer yet");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MOST);
    }
}

/// Says whether the server may answer a moment later: after a resume the network comes up beside us.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind as E;
    matches!(
        error.kind(),
        E::ConnectionRefused | E::ConnectionReset | E::TimedOut | E::HostUnreachable | E::NetworkUnreachable
    )
}

async fn make_folder(path: &Path) -> Result<(), MountError> {
    let folder = path.to_owned();
    let made = tokio::task::spawn_blocking(move || fs::create_dir_all(folder)).await;
    let made = made.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()));
    made.map_err(|source| MountError::Folder { path: path.to_owned(), source })
}

/// Takes a mount of NFS away: its server may be gone, or be another one.
async fn detach(path: &Path, name: &CString, tasks: &Tasks) {
    for flags in [MntFlags::MNT_FORCE, MntFlags::MNT_DETACH] {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        if !is_nfs(&mounts, path) {
            return;
        }
        if let Err(error) = finish(unmount_apart(name, flags), UNMOUNT, tasks).await {
            tracing::debug!(path = %path.display(), ?flags, %error, "a mount of an earlier life stays");
        }
    }
}

async fn finish(begun: io::Result<std::os::fd::OwnedFd>, limit: Duration, tasks: &Tasks) -> io::Result<()> {
    outcome(Child::new(begun?, tasks)?.end(limit).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::place::tests::Folder;

    fn volume(path: &Path) -> Volume {
        Volume { target: "127.0.0.1:/none".to_owned(), path: path.to_owned() }
    }

    #[tokio::test]
    async fn a_path_that_is_not_absolute_is_refused_before_anything_is_made() {
        let error = attach(volume(Path::new("thawd-mount")), Tasks::default()).await.unwrap_err();
        assert!(matches!(error, MountError::Path(_)), "{error}");
        assert!(!Path::new("thawd-mount").exists());
    }

    /// In namespaces of its own, so that a machine with NFS mounts nothing that stays.
    #[test]
    fn a_kernel_without_nfs_or_a_server_that_is_not_there_ends_in_an_error_or_waits() {
        let folder = Folder::new("attach");
        let path = folder.0.join("a/b");
        crate::sys::namespace::apart(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let tasks = Tasks::default();
            let attached = runtime.block_on(async {
                tokio::time::timeout(Duration::from_secs(1), attach(volume(&path), tasks.clone())).await
            });
            // Without NFS at once; with it, nobody listens in this network, and it is asked again and again.
            assert!(matches!(attached, Err(_) | Ok(Err(MountError::NoNfs(_)))), "{attached:?}");
            assert!(path.is_dir());
            assert_eq!(runtime.block_on(tasks.drain(Duration::from_secs(5))), 0);
        });
    }
}
