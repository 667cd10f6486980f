//! Which version of a file is meant.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// Identifies one version of a regular file.
///
/// It is as good as a file system without a change counter allows: two writes of equal size within one clock tick of
/// the kernel (4 ms at 250 Hz) share a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Inode number.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Last change of content, nanoseconds since the epoch.
    pub modified: i128,
}

/// Says which versions a condition names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Any version: something is there.
    Any,
    /// One of these [`Version::tag`]s.
    OneOf(Vec<String>),
}

/// Says what must be true of a file before it is replaced; the default asks nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precondition {
    /// What is there must be one of these.
    pub is: Option<Wanted>,
    /// What is there, if anything, must not be one of these.
    pub is_not: Option<Wanted>,
}

impl Version {
    /// Takes the version from what stat(2) told.
    #[must_use]
    pub fn of(found: &Metadata) -> Self {
        let modified = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
        Self { inode: found.ino(), size: found.size(), modified }
    }

    /// Writes the version as text without spaces, quotes or commas.
    #[must_use]
    pub fn tag(self) -> String {
        format!("{:x}-{:x}-{:x}", self.inode, self.size, self.modified)
    }
}

impl Wanted {
    /// Says whether `version` is among those named.
    #[must_use]
    pub fn names(&self, version: Version) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.contains(&version.tag()),
        }
    }
}

impl Precondition {
    /// Says whether the condition is met by what is there (`None`: nothing).
    #[must_use]
    pub fn holds(&self, there: Option<Version>) -> bool {
        let named = |wanted: &Wanted| there.is_some_and(|version| wanted.names(version));
        self.is.as_ref().is_none_or(named) && !self.is_not.as_ref().is_some_and(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_names_versions_or_absence() {
        let there = Version { inode: 1, size: 2, modified: 3 };
        let this = || Some(Wanted::OneOf(vec!["x".into(), there.tag()]));
        let other = || Some(Wanted::OneOf(vec!["x".into()]));
        for (is, is_not, version, want) in [
            (None, None, None, true),
            (this(), None, Some(there), true),
            (other(), None, Some(there), false),
            (Some(Wanted::Any), None, None, false),
            (None, Some(Wanted::Any), None, true),
            (None, Some(Wanted::Any), Some(there), false),
            (None, this(), Some(there), false),
            (None, other(), Some(there), true),
        ] {
            let condition = Precondition { is, is_not };
            assert_eq!(condition.holds(version), want, "{condition:?} {version:?}");
        }
    }
}
