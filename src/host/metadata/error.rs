//! Why the metadata service did not say what we wanted to know.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::{Failure, Kind};

/// Says what went wrong with one question.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// Nobody listens there, or nobody answers.
    #[error("cannot connect to the metadata service at {address}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("cannot talk to the metadata service")]
    Exchange(#[source] io::Error),
    /// Not HTTP, or more than we read.
    #[error("the metadata service gave {0}")]
    Odd(&'static str),
    /// It refused.
    #[error("the metadata service answered with status {0}")]
    Status(u16),
    /// Not the document that we know.
    #[error("cannot read what the metadata service said")]
    Document(#[source] serde_json::Error),
    /// It took too long.
    #[error("the metadata service did not answer in {} s", .0.as_secs())]
    Late(Duration),
    /// The agent ends.
    #[error("the agent is shutting down")]
    ShuttingDown,
}

impl Failure for MetadataError {
    fn kind(&self) -> Kind {
        match self {
            Self::Connect { .. } | Self::Exchange(_) | Self::Late(_) | Self::ShuttingDown => Kind::Unavailable,
            Self::Odd(_) | Self::Status(_) | Self::Document(_) => Kind::Internal,
        }
    }
}
