//! What can go wrong between us and a monitor.

use std::time::Duration;

use thiserror::Error;

/// Tells why a command to QEMU has no good answer.
#[derive(Debug, Error)]
pub enum QmpError {
    /// QEMU ended, before or while it was asked.
    #[error("asking QEMU to {command}: it is gone")]
    Gone {
        /// The command.
        command: String,
    },
    /// No answer in time; QEMU may still carry it out.
    #[error("asking QEMU to {command}: no answer within {limit:?}")]
    Late {
        /// The command.
        command: String,
        /// How long was waited.
        limit: Duration,
    },
    /// QEMU said no.
    #[error("asking QEMU to {command}: it refused ({reason})")]
    Refused {
        /// The command.
        command: String,
        /// QEMU's words.
        reason: String,
    },
    /// An answer without the field that the command promises.
    #[error("asking QEMU to {command}: an answer without {field}: {answer}")]
    Strange {
        /// The command.
        command: String,
        /// What is missing.
        field: &'static str,
        /// What came instead.
        answer: String,
    },
}
