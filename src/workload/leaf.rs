//! The cgroup of one program.

use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

/// Passes over the members of a cgroup where one write cannot kill them all.
const OLD_KERNEL_PASSES: usize = 100;

/// Holds one program's cgroup; the directory goes when it is empty and [`Leaf::remove`] is called.
#[derive(Debug)]
pub struct Leaf {
    path: PathBuf,
}

impl Leaf {
    pub(super) fn make(path: PathBuf) -> io::Result<Self> {
        fs::create_dir(&path)?;
        Ok(Self { path })
    }

    /// Opens the directory, for a program to be born in.
    pub(super) fn open(&self) -> io::Result<OwnedFd> {
        Ok(open(&self.path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Kills everything in it.
    ///
    /// # Errors
    /// What the file system said; an empty cgroup is no error.
    pub fn kill(&self) -> io::Result<()> {
        kill(&self.path)
    }

    /// Lists the processes in it and below.
    #[must_use]
    pub fn members(&self) -> Vec<u32> {
        members(&self.path)
    }

    /// Opens the file that tells, by a priority event, when the last process has gone.
    ///
    /// # Errors
    /// The error of the open.
    pub fn events(&self) -> io::Result<fs::File> {
        fs::File::open(self.path.join("cgroup.events"))
    }

    /// Removes the directory and the ones that its programs made below.
    ///
    /// # Errors
    /// EBUSY while a process is left in it.
    pub fn remove(&self) -> io::Result<()> {
        remove(&self.path)
    }
}

/// Kills everything in a cgroup with one write (`cgroup.kill`, Linux 5.14), or one by one on older kernels.
pub(super) fn kill(dir: &Path) -> io::Result<()> {
    // Not `fs::write`: that would ask to create the file, which a cgroup refuses with EACCES where it is missing.
    match fs::OpenOptions::new().write(true).open(dir.join("cgroup.kill")) {
        Ok(mut file) => file.write_all(b"1"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Forks can outrun one pass; a program that forks faster than this loop needs a newer kernel.
            for _ in 0..OLD_KERNEL_PASSES {
                let members = members(dir);
                if members.is_empty() {
                    break;
                }
                members.into_iter().for_each(|pid| super::tree::signal_pid(pid, nix::libc::SIGKILL));
            }
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Removes a cgroup and the ones below it.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy && members(dir).is_empty() => {
            remove_below(dir);
            fs::remove_dir(dir)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn members(dir: &Path) -> Vec<u32> {
    let mut members = Vec::new();
    collect(dir, &mut members);
    members
}

fn collect(dir: &Path, members: &mut Vec<u32>) {
    if let Ok(text) = fs::read_to_string(dir.join("cgroup.procs")) {
        members.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    }
    for child in children(dir) {
        collect(&child, members);
    }
}

fn remove_below(dir: &Path) {
    for child in children(dir) {
        remove_below(&child);
        let _ = fs::remove_dir(child);
    }
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()).collect()
}
