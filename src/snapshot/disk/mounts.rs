//! The filesystems of the guest, in every mount namespace.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::sys::mountinfo::{needs_server, unescape};
use crate::sys::namespace::{self, Kind};

/// Bytes of a usual table of mounts.
const TABLE: usize = 16 << 10;

/// Names a block device, or a filesystem's own number where it has none below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// Kind of device; 0 for filesystems without one.
    pub major: u32,
    /// Number within the kind.
    pub minor: u32,
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl std::str::FromStr for Device {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (major, minor) = text.split_once(':').ok_or(())?;
        Ok(Self { major: major.parse().map_err(drop)?, minor: minor.parse().map_err(drop)? })
    }
}

/// Describes one mounted filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What it lies on.
    pub device: Device,
    /// Where it is mounted, in the namespace it was found in.
    pub path: PathBuf,
    /// The same place as we can reach it.
    pub reach: PathBuf,
    /// Kind of filesystem, as `mount -t` names it.
    pub kind: String,
}

impl Mount {
    /// Opens its root. On a dead network mount this can take for ever: call it for block filesystems only.
    ///
    /// # Errors
    /// The error of the open.
    pub fn open(&self) -> io::Result<File> {
        File::open(&self.reach)
    }
}

/// Lists the writable filesystems on block devices, each once, whatever namespace mounts it.
///
/// btrfs has a number of its own instead of its device's, and counts (QEMU's guest agent makes the same exception).
#[must_use]
pub fn block_mounts() -> Vec<Mount> {
    let mut found = BTreeMap::new();
    each_namespace(|root, text| {
        for (mount, writable) in text.split(|&byte| byte == b'\n').filter_map(|line| parse(line, root)) {
            let on_disk = mount.device.major != 0 || mount.kind == "btrfs";
            if on_disk && writable && !found.contains_key(&mount.device) {
                found.insert(mount.device, mount);
            }
        }
    });
    found.into_values().collect()
}

/// Counts the mounts of our own namespace that need a server.
#[must_use]
pub fn network_mounts() -> usize {
    let text = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let mounts = text.split(|&byte| byte == b'\n').filter_map(|line| parse(line, Path::new("/")));
    mounts.filter(|(mount, _)| needs_server(&mount.kind)).count()
}

/// Describes the filesystem of `/`.
#[must_use]
pub fn root() -> Mount {
    let text = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let mut mounts = text.split(|&byte| byte == b'\n').filter_map(|line| parse(line, Path::new("/")));
    // Of several mounts on top of each other the last one is seen.
    let found = mounts.rfind(|(mount, _)| mount.path == Path::new("/"));
    found.map(|(mount, _)| mount).unwrap_or_else(|| Mount {
        device: Device { major: 0, minor: 0 },
        path: PathBuf::from("/"),
        reach: PathBuf::from("/"),
        kind: String::from("unknown"),
    })
}

/// Shows the mounts of each namespace once, with the folder through which its paths are reached: ours first.
fn each_namespace(mut show: impl FnMut(&Path, &[u8])) {
    if let Ok(text) = table(Path::new("/proc/self")) {
        show(Path::new("/"), &text);
    }
    // Without /proc there is no other either.
    let _ = namespace::each_other(Kind::Mount, |process| {
        show(&process.join("root"), &table(process)?);
        Ok(())
    });
}

/// Reads what is mounted where a process is.
fn table(process: &Path) -> io::Result<Vec<u8>> {
    // The kernel goes through the mounts anew for each read.
    let mut text = Vec::with_capacity(TABLE);
    File::open(process.join("mountinfo"))?.read_to_end(&mut text)?;
    Ok(text)
}

/// Parses a line of mountinfo (proc_pid_mountinfo(5)):
/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`.
fn parse(line: &[u8], root: &Path) -> Option<(Mount, bool)> {
    let mut fields = line.split(|&byte| byte == b' ');
    let device = std::str::from_utf8(fields.nth(2)?).ok()?.parse().ok()?;
    let path = PathBuf::from(unescape(fields.nth(1)?));
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
    let kind = String::from_utf8_lossy(rest.next()?).into_owned();
    // The superblock's options: a read-only bind of a writable filesystem counts as writable.
    let writable = rest.nth(1)?.split(|&byte| byte == b',').any(|option| option == b"rw");
    let reach = root.join(path.strip_prefix("/").unwrap_or(&path));
    Some((Mount { device, path, reach, kind }, writable))
}

/// Reads what a loop device or a mapped device lies on: files and devices.
#[must_use]
pub(super) fn below(device: Device) -> Vec<Device> {
    let sys = PathBuf::from(format!("/sys/dev/block/{device}"));
    let mut below = Vec::new();
    // A partition's own device is the folder above.
    for place in [sys.clone(), sys.join("..")] {
        if let Ok(file) = fs::read(place.join("loop/backing_file")) {
            below.extend(device_of(OsStr::from_bytes(file.trim_ascii_end())));
        }
        for slave in fs::read_dir(place.join("slaves")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(slave.path().join("dev")).unwrap_or_default();
            below.extend(text.trim().parse::<Device>());
        }
    }
    below
}

/// Says which filesystem a file lies on.
fn device_of(file: &OsStr) -> Option<Device> {
    let number = nix::sys::stat::stat(file).ok()?.st_dev;
    Some(Device {
        major: u32::try_from(nix::sys::stat::major(number)).ok()?,
        minor: u32::try_from(nix::sys::stat::minor(number)).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_device_place_and_kind() {
        let line = br"36 35 98:7 /sub /mnt/a\040b ro,noatime master:1 shared:2 - ext4 /dev/x rw,errors=continue";
        let (mount, writable) = parse(line, Path::new("/proc/7/root")).unwrap();
        assert_eq!(mount.device, Device { major: 98, minor: 7 });
        assert_eq!((mount.path.as_path(), mount.kind.as_str()), (Path::new("/mnt/a b"), "ext4"));
        assert_eq!(mount.reach, Path::new("/proc/7/root/mnt/a b"));
        assert!(writable, "the filesystem is, though this mount of it is not");
        assert!(parse(b"", Path::new("/")).is_none() && parse(b"1 2 x", Path::new("/")).is_none());
    }

    #[test]
    fn the_root_is_found() {
        assert_ne!(root().kind, "unknown");
    }
}
