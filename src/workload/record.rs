//! What must outlive the agent for a thaw by its successor.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::freeze::Mode;

/// Holds what a thaw after a crash needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// What was asked for.
    pub mode: Mode,
    /// Cgroups that the guest froze itself, relative to the root.
    pub guest: Vec<PathBuf>,
}

impl Record {
    /// Writes it as lines of `word value`; the kernel allows no line break in the name of a cgroup.
    #[must_use]
    pub fn to_lines(&self) -> Vec<u8> {
        let mut lines = match self.mode {
            Mode::Legacy => b"mode legacy\n".to_vec(),
            Mode::Hierarchy { max_cgroups } => format!("mode hierarchy {max_cgroups}\n").into_bytes(),
        };
        for path in &self.guest {
            lines.extend_from_slice(b"guest ");
            lines.extend_from_slice(path.as_os_str().as_bytes());
            lines.push(b'\n');
        }
        lines
    }

    /// Reads what [`Record::to_lines`] wrote. Lines that it does not know are left out, so a ledger may mix them with
    /// its own; a last line without its end was cut off by the crash and is left out too.
    #[must_use]
    pub fn from_lines(lines: &[u8]) -> Self {
        let mut record = Self::default();
        for line in lines.split_inclusive(|&byte| byte == b'\n').filter_map(|line| line.strip_suffix(b"\n")) {
            if let Some(path) = line.strip_prefix(b"guest ") {
                record.guest.push(PathBuf::from(OsStr::from_bytes(path)));
            } else if let Some(bound) = line.strip_prefix(b"mode hierarchy ") {
                let bound = std::str::from_utf8(bound).ok().and_then(|bound| bound.parse().ok());
                record.mode = Mode::Hierarchy { max_cgroups: bound.unwrap_or(0) };
            }
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_its_lines_whatever_the_names() {
        let guest = [&b"docker/a b"[..], b"\xff\xfe", b"guest "].map(|name| PathBuf::from(OsStr::from_bytes(name)));
        for mode in [Mode::Legacy, Mode::Hierarchy { max_cgroups: 9 }] {
            let record = Record { mode, guest: guest.to_vec() };
            assert_eq!(Record::from_lines(&record.to_lines()), record);
        }
    }

    #[test]
    fn a_torn_or_strange_line_is_left_out() {
        let record = Record::from_lines(b"phase frozen\nguest a\nguest b\nguest half-writ");
        assert_eq!(record.guest, [PathBuf::from("a"), PathBuf::from("b")]);
    }
}
