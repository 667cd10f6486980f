//! What can be wrong with a question or a hold.

use std::time::Duration;

use crate::base::{Failure, Kind};

/// Says why a verb of the room failed.
#[derive(Debug, thiserror::Error)]
pub enum ActivityError {
    /// A window that is no window.
    #[error("idle_for_ms must be between {} and {}", .least.as_millis(), .most.as_millis())]
    Window {
        /// Shortest one.
        least: Duration,
        /// Longest one.
        most: Duration,
    },
    /// A threshold that nothing can be below, or everything is.
    #[error("cpu_below must be a number of cores between 0 and {most}")]
    Cores {
        /// Most cores.
        most: u32,
    },
    /// A word that names nothing that can be ignored.
    #[error("ignore does not know '{word}'; it knows {known}")]
    Word {
        /// What was sent, shortened.
        word: String,
        /// What can be.
        known: String,
    },
    /// A time to live that a hold cannot have.
    #[error("ttl_ms must be between 1 and {}", .most.as_millis())]
    Ttl {
        /// Longest one.
        most: Duration,
    },
    /// A reason that is too long to be kept.
    #[error("reason is longer than {most} bytes")]
    Reason {
        /// Longest one, in bytes.
        most: usize,
    },
    /// A hold that is not there, has run out, or is somebody else's.
    #[error("there is no hold {0}")]
    NoHold(u64),
    /// Too many holds are in force.
    #[error("too many holds: {most} are in force")]
    Crowded {
        /// How many there can be of this holder.
        most: usize,
    },
}

impl Failure for ActivityError {
    fn kind(&self) -> Kind {
        match self {
            Self::Window { .. } | Self::Cores { .. } | Self::Word { .. } | Self::Ttl { .. } | Self::Reason { .. } => {
                Kind::InvalidArgument
            }
            Self::NoHold(_) => Kind::NotFound,
            Self::Crowded { .. } => Kind::ResourceExhausted,
        }
    }
}
