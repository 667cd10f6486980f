//! Names and numbers that tell copies of one guest apart.
//!
//! A clone that is given no host name gets its own: the present one with the first digits of the new machine-id,
//! `web` becomes `web-1a2b3c4d` and, in a clone of the clone, `web-5e6f7a8b`. A guest without a name of its own
//! (`localhost`) stays without. The new name is added to `/etc/hosts` beside the old one, since tools look it up.
//!
//! Not covered: containers, which have their own names and their own `/proc`; keys of an SSH server, and whatever
//! else programs derived from an identity, which is for a hook.

mod hostname;
mod hosts;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Fault;
use crate::sys::place;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// A new random UUID with each read (random(4)).
const UUID: &str = "/proc/sys/kernel/random/uuid";
/// Hexadecimal digits of a machine-id (machine-id(5)).
const MACHINE_ID: usize = 32;
/// Random numbers that were kept for the next boot, which copies must not share: of systemd, SysV scripts, Debian's
/// older ones, seedrng (OpenRC, BusyBox).
const SEEDS: [&str; 5] = [
    "var/lib/systemd/random-seed",
    "var/lib/urandom/random-seed",
    "var/lib/misc/random-seed",
    "var/lib/seedrng/seed.credit",
    "var/lib/seedrng/seed.no-credit",
];

/// Says who the guest is from now on; what is `None` stays, unless it is a clone.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The host name: letters, digits, dashes, dots, up to 64 in all.
    pub hostname: Option<String>,
    /// 32 lowercase hexadecimal digits.
    pub machine_id: Option<String>,
    /// Renews what is not given.
    pub clone: bool,
}

/// Says who the guest is now, as far as that was changed.
#[derive(Debug, Default)]
pub struct Renewed {
    /// The new host name.
    pub hostname: Option<String>,
    /// The new machine-id.
    pub machine_id: Option<String>,
    /// The new boot_id.
    pub boot_id: Option<String>,
    /// What could not be done.
    pub faults: Vec<Fault>,
}

/// Gives the guest its new identity; `run` is a folder of ours on a tmpfs, which exists.
///
/// Filesystems must be thawed and the kernel's random numbers be fresh. A clone also gets a new boot_id, and loses
/// the random numbers that were kept for the next boot.
#[must_use]
pub fn renew(wanted: &Wanted, run: &Path) -> Renewed {
    renew_in(Path::new("/"), wanted, run)
}

fn renew_in(root: &Path, wanted: &Wanted, run: &Path) -> Renewed {
    let mut renewed = Renewed::default();
    let old = fs::read_to_string(root.join("etc/machine-id")).unwrap_or_default();
    renewed.machine_id(root, wanted);
    renewed.hostname(root, wanted, old.trim());
    if wanted.clone {
        match new_boot_id(run) {
            Ok(id) => renewed.boot_id = Some(id),
            Err(error) => renewed.faults.push(Fault::new("cannot renew the boot_id", error)),
        }
        for seed in SEEDS {
            renewed.forget(&root.join(seed));
        }
    }
    renewed
}

impl Renewed {
    fn machine_id(&mut self, root: &Path, wanted: &Wanted) {
        let path = root.join("etc/machine-id");
        let id = match &wanted.machine_id {
            Some(given) => given.clone(),
            // An image without one does without one.
            None if wanted.clone && path.exists() => match uuid() {
                Ok(id) => id.replace('-', ""),
                Err(error) => return self.faults.push(Fault::new("cannot make a machine-id", error)),
            },
            None => return,
        };
        if !is_machine_id(&id) {
            return self.faults.push(Fault::new("not a machine-id", io::ErrorKind::InvalidInput.into()));
        }
        if self.write(&path, &format!("{id}\n")) {
            self.machine_id = Some(id.clone());
        }
        let copy = root.join("var/lib/dbus/machine-id");
        // Most often it is a link to the first, and then it has followed.
        if fs::symlink_metadata(&copy).is_ok_and(|found| found.is_file()) {
            self.write(&copy, &format!("{id}\n"));
        }
    }

    fn hostname(&mut self, root: &Path, wanted: &Wanted, old_id: &str) {
        let present = hostname::present();
        let name = match &wanted.hostname {
            Some(given) => given.clone(),
            None if wanted.clone => {
                let id = self.machine_id.clone().or_else(|| uuid().ok()).unwrap_or_default();
                match hostname::of_clone(&present, old_id, &id) {
                    Some(name) => name,
                    None => return,
                }
            }
            None => return,
        };
        if name == present {
            return;
        }
        if let Err(error) = hostname::set(&name) {
            return self.faults.push(Fault::new("cannot set the host name", error));
        }
        self.write(&root.join("etc/hostname"), &format!("{name}\n"));
        let hosts = root.join("etc/hosts");
        if let Ok(text) = fs::read_to_string(&hosts) {
            self.write(&hosts, &hosts::with(&text, &present, &name));
        }
        self.hostname = Some(name);
    }

    fn write(&mut self, path: &Path, content: &str) -> bool {
        match place::replace(path, content.as_bytes()) {
            Ok(_) => true,
            Err(error) => {
                self.faults.push(Fault::new(format!("cannot write {}", path.display()), error));
                false
            }
        }
    }

    fn forget(&mut self, path: &Path) {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.faults.push(Fault::new(format!("cannot remove {}", path.display()), error));
            }
            _ => {}
        }
    }
}

fn uuid() -> io::Result<String> {
    Ok(fs::read_to_string(UUID)?.trim().to_owned())
}

fn is_machine_id(id: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    id.len() == MACHINE_ID && id.bytes().all(is_digit) && id.bytes().any(|byte| byte != b'0')
}

/// Lays a file with a new id over the kernel's, which cannot be changed. A later one goes into the same file.
fn new_boot_id(run: &Path) -> io::Result<String> {
    let path: PathBuf = run.join("boot_id");
    let id = uuid()?;
    let number = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    let is_laid = number(&path).is_some_and(|ours| number(Path::new(BOOT_ID)) == Some(ours));
    // Written in place: the mount shows this very file.
    fs::write(&path, format!("{id}\n"))?;
    if !is_laid {
        rustix::mount::mount_bind(&path, BOOT_ID)?;
    }
    Ok(id)
}

#[cfg(test)]
mod tests;
