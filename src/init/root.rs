//! From the initramfs to the machine's own root.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::cmdline::Cmdline;
use super::mounts;
use super::report::Report;
use super::volume::{Options, Volume};

/// Where the root is mounted before it becomes the root.
const PLACE: &str = "/root";
/// What moves along.
const MOVED: [&str; 3] = ["dev", "proc", "sys"];
/// What may be process 1 there, after `init=`.
const INITS: [&str; 4] = ["/sbin/init", "/init", "/etc/init", "/bin/init"];
/// How long the root's device may take without `rootwait`.
const PATIENCE: Duration = Duration::from_secs(10);
/// `RAMFS_MAGIC` and `TMPFS_MAGIC`: what an initramfs is unpacked into.
const MEMORY: [u32; 2] = [0x8584_58f6, 0x0102_1994];

/// Says whether `/` is an initramfs.
pub(super) fn on_initramfs() -> bool {
    File::open("/").and_then(|root| crate::sys::statfs::magic(root.as_fd())).is_ok_and(|magic| MEMORY.contains(&magic))
}

/// Mounts `root=` and moves there; `false` leaves the machine on its initramfs, because nobody asked or because it
/// could not be done.
pub(super) fn switch(cmdline: &Cmdline, report: Report) -> bool {
    let Some(source) = cmdline.value("root") else { return false };
    let mut options = Options::parse(cmdline.value("rootflags").unwrap_or_default());
    // As the kernel has it: read-only unless told otherwise.
    if cmdline.last_of("rw", "ro") != Some(true) {
        options.flags |= MsFlags::MS_RDONLY;
    }
    let kind = cmdline.value("rootfstype").map(str::to_owned);
    let root = Volume { source: source.to_owned(), path: PLACE.to_owned(), kind, options };
    let patience = (!cmdline.has("rootwait")).then_some(PATIENCE);
    let mounted = mounts::make_dir(PLACE).and_then(|()| mounts::attach(&root, patience));
    report.step(&format!("mount root={source}"), mounted) && report.step("move to the root", enter(report))
}

/// Becomes the init of the new root; returns when there is none, or when `thawd.init=` wants us first.
pub(super) fn become_init(cmdline: &Cmdline, line: &[OsString], report: Report) {
    if cmdline.has("thawd.init") {
        return;
    }
    for init in cmdline.value("init").into_iter().chain(INITS) {
        if fs::symlink_metadata(init).is_ok() {
            report.failed(
                &format!("become {init}"),
                &Command::new(init).args(&line[1..]).env(super::INTRODUCED, "1").exec(),
            );
        }
    }
}

/// Moves the mounts, makes the new root `/`, and gives the memory of the old one back.
fn enter(report: Report) -> io::Result<()> {
    let old = File::open("/")?;
    for name in MOVED {
        let target = format!("{PLACE}/{name}");
        let _ = mounts::make_dir(&target);
        let from = format!("/{name}");
        if let Err(error) = mount(Some(from.as_str()), target.as_str(), None::<&str>, MsFlags::MS_MOVE, None::<&str>) {
            report.failed(&format!("move {from} along"), &error);
            let _ = umount2(from.as_str(), MntFlags::MNT_DETACH);
        }
    }
    std::env::set_current_dir(PLACE)?;
    mount(Some("."), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>)?;
    nix::unistd::chroot(".")?;
    std::env::set_current_dir("/")?;
    empty(&old);
    Ok(())
}

/// Removes what is on the initramfs, through the one descriptor that still leads there; mounts below it stay. This
/// program goes on from its unnamed file.
fn empty(old: &File) {
    let Ok(device) = old.metadata().map(|found| found.dev()) else { return };
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(old));
    remove_below(Path::new(&path), device);
}

fn remove_below(folder: &Path, device: u64) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match fs::symlink_metadata(&path) {
            Ok(found) if found.dev() != device => {}
            Ok(found) if found.is_dir() => {
                remove_below(&path, device);
                let _ = fs::remove_dir(&path);
            }
            _ => _ = fs::remove_file(&path),
        }
    }
}
