//! Why this machine cannot run VMs.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::qemu::Version;

/// Tells what the machine lacks.
#[derive(Debug, Error)]
pub enum HostError {
    /// No such program.
    #[error("starting {program} (Debian: apt-get install qemu-system-x86 qemu-utils; scripts/demo does it)")]
    Missing {
        /// What was started.
        program: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// It does not end.
    #[error("running {program}: no end within {limit:?}")]
    Late {
        /// What was started.
        program: PathBuf,
        /// How long was waited.
        limit: Duration,
    },
    /// It ran and said something else than expected.
    #[error("running {program} {arguments}: it said {said:?}, without {wanted}")]
    Strange {
        /// What was started.
        program: PathBuf,
        /// How.
        arguments: String,
        /// What should be there.
        wanted: &'static str,
        /// The beginning of what it said.
        said: String,
    },
    /// Too old.
    #[error("{program} is version {found}, and {needed} is the oldest that works")]
    Old {
        /// Which program.
        program: PathBuf,
        /// What it is.
        found: Version,
        /// What it should be.
        needed: Version,
    },
}
