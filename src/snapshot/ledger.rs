//! What a successor must undo if we die while things are frozen.
//!
//! A text file on a tmpfs, written before anything is frozen and removed after everything is thawed. It dies with the
//! guest, as what is frozen does.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::Device;

/// Parts the two halves of the file.
const WORKLOAD: &[u8] = b"workload\n";

/// Keeps the file.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    path: PathBuf,
}

/// Holds what the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Filesystems that may be frozen.
    pub(super) filesystems: Vec<Device>,
    /// The workload's own record, as lines.
    pub(super) workload: Vec<u8>,
    /// Process id of the agent that wrote it; 0 in one that is about to be written.
    pub(super) agent: u32,
}

impl Entry {
    /// Says whether the agent that wrote it lives on beside us.
    pub(super) fn is_of_another(&self) -> bool {
        let name = fs::read_to_string(format!("/proc/{}/comm", self.agent)).unwrap_or_default();
        self.agent != std::process::id() && name.trim_end() == "thawd"
    }
}

impl Ledger {
    /// Keeps the ledger in `folder`.
    pub(super) fn new(folder: &Path) -> Self {
        Self { path: folder.join("frozen") }
    }

    /// Writes it anew: readers see the old one or the new one.
    ///
    /// # Errors
    /// What the file system said.
    pub(super) fn write(&self, entry: &Entry) -> io::Result<()> {
        let mut text = format!("agent {}\n", std::process::id()).into_bytes();
        for device in &entry.filesystems {
            text.extend_from_slice(format!("filesystem {device}\n").as_bytes());
        }
        text.extend_from_slice(WORKLOAD);
        text.extend_from_slice(&entry.workload);
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let new = self.path.with_extension("new");
        fs::write(&new, text)?;
        fs::rename(&new, &self.path)
    }

    /// Removes it.
    pub(super) fn clear(&self) {
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "cannot remove the record of a freeze");
        }
    }

    /// Reads what a predecessor left; lines that mean nothing to us are skipped.
    pub(super) fn left(&self) -> Option<Entry> {
        let text = fs::read(&self.path).ok()?;
        let split = text.windows(WORKLOAD.len()).position(|window| window == WORKLOAD).unwrap_or(text.len());
        let (filesystems, workload) = text.split_at(split);
        let devices = String::from_utf8_lossy(filesystems);
        let agent = devices.lines().find_map(|line| line.strip_prefix("agent ")?.parse().ok());
        Some(Entry {
            agent: agent.unwrap_or_default(),
            filesystems: devices.lines().filter_map(|line| line.strip_prefix("filesystem ")?.parse().ok()).collect(),
            workload: workload.get(WORKLOAD.len()..).unwrap_or_default().to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_reads_what_was_written() {
        let folder = std::env::temp_dir().join(format!("thawd-ledger-{}", std::process::id()));
        let ledger = Ledger::new(&folder);
        assert_eq!(ledger.left(), None);
        let entry = Entry {
            filesystems: vec![Device { major: 259, minor: 1 }],
            workload: b"guest /a b\nmode hierarchy\n".to_vec(),
            agent: std::process::id(),
        };
        ledger.write(&entry).unwrap();
        assert_eq!(ledger.left(), Some(entry));
        ledger.clear();
        assert_eq!(ledger.left(), None);
        fs::remove_dir_all(folder).unwrap();
    }
}
