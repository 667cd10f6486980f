//! Mounting: the kernel's own filesystems, the tmpfs ones, and drives.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

use super::report::Report;
use super::volume::{Options, Volume};
use crate::sys::mountinfo::unescape;

/// One entry of the list: what, where, and how.
struct Entry {
    path: &'static str,
    kind: &'static str,
    flags: MsFlags,
    data: &'static str,
}

/// No set-user-id programs and no devices.
const PLAIN: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);
/// Neither, and no programs at all.
const INERT: MsFlags = PLAIN.union(MsFlags::MS_NOEXEC);

/// What everything else stands on. `devtmpfs` has devices, so it may not be `nodev`.
const KERNEL: [Entry; 3] = [
    Entry { path: "/proc", kind: "proc", flags: INERT, data: "" },
    Entry { path: "/sys", kind: "sysfs", flags: INERT, data: "" },
    Entry { path: "/dev", kind: "devtmpfs", flags: MsFlags::MS_NOSUID, data: "mode=0755" },
];

/// The rest. Terminals belong to group 5 (`tty` in every distribution), and `ptmx` is open to all. Limits of memory
/// that a cgroup has count for its descendants too (`memory_recursiveprot`).
const USER: [Entry; 4] = [
    Entry {
        path: "/dev/pts",
        kind: "devpts",
        flags: MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC),
        data: "gid=5,mode=0620,ptmxmode=0666",
    },
    Entry { path: "/dev/shm", kind: "tmpfs", flags: PLAIN, data: "mode=1777" },
    Entry { path: "/run", kind: "tmpfs", flags: PLAIN, data: "mode=0755" },
    Entry { path: "/sys/fs/cgroup", kind: "cgroup2", flags: INERT, data: "nsdelegate,memory_recursiveprot" },
];

/// Permissions of `/tmp`: everybody's, but only the owner removes.
const TMP: u32 = 0o1777;
/// How long an added drive may take to appear: its driver was loaded a moment ago, and the boot waits meanwhile.
const APPEAR: Duration = Duration::from_secs(3);
/// Between two looks, while nothing else can be done; the first look nearly always finds it.
const LOOK: Duration = Duration::from_millis(2);

/// Mounts `/proc`, `/sys` and `/dev` where they are not.
pub(super) fn kernel(report: Report) {
    KERNEL.iter().for_each(|entry| entry.provide(report));
}

/// Mounts the rest where it is not, and makes `/tmp` everybody's.
pub(super) fn user(report: Report) {
    USER.iter().for_each(|entry| entry.provide(report));
    if !tmp().is_ok_and(|()| writable("/tmp")) {
        Entry { path: "/tmp", kind: "tmpfs", flags: PLAIN, data: "mode=1777" }.provide(report);
    }
}

/// Mounts a drive that the kernel command line names.
pub(super) fn volume(word: &str, report: Report) {
    let Some(volume) = Volume::parse(word) else {
        return report.wrong(&format!("thawd.mount={word} is not SOURCE:/PATH[:FSTYPE[:OPTIONS]]"));
    };
    if is_mount_point(&volume.path) {
        return;
    }
    let what = format!("mount {} on {}", volume.source, volume.path);
    let made = make_dir(&volume.path);
    report.step(&what, made.and_then(|()| attach(&volume, Some(APPEAR))));
}

/// Mounts a drive once its device is there; waits for ever without a `patience`.
///
/// # Errors
/// ENOENT when the device did not come, else the error of the filesystem that was tried last.
pub(super) fn attach(volume: &Volume, patience: Option<Duration>) -> io::Result<()> {
    if volume.source.starts_with("/dev/") {
        appear(Path::new(&volume.source), patience)?;
    }
    let kinds = match &volume.kind {
        Some(kind) => vec![kind.clone()],
        None => block_filesystems(&fs::read_to_string("/proc/filesystems")?),
    };
    let mut last = Errno::ENODEV;
    for kind in kinds {
        let Options { flags, data } = &volume.options;
        match mount(
            Some(volume.source.as_str()),
            volume.path.as_str(),
            Some(kind.as_str()),
            *flags,
            Some(data.as_str()),
        ) {
            Ok(()) => return Ok(()),
            // Not this filesystem, or it does not know the options.
            Err(Errno::EINVAL) => last = Errno::EINVAL,
            Err(error) => return Err(error.into()),
        }
    }
    Err(last.into())
}

/// Says whether something is mounted exactly there.
pub(super) fn is_mount_point(path: &str) -> bool {
    mounted(&table()).any(|mounted| mounted.path == Path::new(path))
}

/// One line of the table of mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mounted {
    /// Where.
    pub(super) path: PathBuf,
    /// Kind of filesystem.
    pub(super) kind: String,
}

/// Reads the table of mounts. It is bytes: programs choose names of folders.
pub(super) fn table() -> Vec<u8> {
    fs::read("/proc/self/mountinfo").unwrap_or_default()
}

/// Lists what a `mountinfo` tells of, in the order of mounting (proc_pid_mountinfo(5): the fifth field is the place, the
/// first one behind the lone dash the kind).
pub(super) fn mounted(table: &[u8]) -> impl DoubleEndedIterator<Item = Mounted> {
    table.split(|&byte| byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b' ');
        let path = PathBuf::from(unescape(fields.nth(4)?));
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        Some(Mounted { path, kind: String::from_utf8_lossy(kind).into_owned() })
    })
}

/// Makes a folder with its parents, unless it is there.
pub(super) fn make_dir(path: &str) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
}

impl Entry {
    fn provide(&self, report: Report) {
        if self.is_there() {
            return;
        }
        let _ = make_dir(self.path);
        let mut result = self.mount(self.data);
        if result == Err(Errno::EINVAL) {
            // An older kernel does not know an option.
            result = self.mount("");
        }
        // EBUSY: the kernel mounted it (CONFIG_DEVTMPFS_MOUNT).
        if result != Err(Errno::EBUSY) {
            report.step(&format!("mount {}", self.path), result);
        }
    }

    /// Without `/proc` there is no table to look into, and then a second mount does no harm.
    fn is_there(&self) -> bool {
        is_mount_point(self.path)
    }

    fn mount(&self, data: &str) -> Result<(), Errno> {
        mount(Some(self.kind), self.path, Some(self.kind), self.flags, Some(data))
    }
}

fn tmp() -> io::Result<()> {
    make_dir("/tmp")?;
    let mode = fs::metadata("/tmp")?.permissions().mode();
    if mode & 0o7777 == TMP { Ok(()) } else { fs::set_permissions("/tmp", fs::Permissions::from_mode(TMP)) }
}

fn writable(path: &str) -> bool {
    nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).is_ok()
}

fn appear(device: &Path, patience: Option<Duration>) -> io::Result<()> {
    let since = Instant::now();
    while !device.exists() {
        if patience.is_some_and(|patience| since.elapsed() > patience) {
            return Err(Errno::ENOENT.into());
        }
        sleep(LOOK);
    }
    Ok(())
}

/// Lists what can be on a block device (proc_filesystems(5)).
fn block_filesystems(table: &str) -> Vec<String> {
    table.lines().filter_map(|line| line.strip_prefix('\t')).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn filesystems_without_a_device_are_not_tried() {
        assert_eq!(block_filesystems("nodev\tsysfs\n\text3\n\text4\nnodev\ttmpfs\n"), ["ext3", "ext4"]);
    }

    #[test]
    fn mounts_are_told_in_order_and_by_the_names_that_programs_gave_them() {
        let table = b"22 1 254:0 / / rw - ext4 /dev/vda rw\n23 22 0:5 / /a\\040\xff rw master:1 - nfs s:/x rw\n";
        let told = mounted(table).map(|mounted| (mounted.path.into_os_string().into_vec(), mounted.kind));
        assert_eq!(told.collect::<Vec<_>>(), [(b"/".to_vec(), "ext4".into()), (b"/a \xff".to_vec(), "nfs".into())]);
    }
}
