//! What can go wrong between us and an agent.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

/// Tells why a call to the agent has no good answer.
#[derive(Debug, Error)]
pub enum AgentError {
    /// No connection.
    #[error("connecting to the agent at {address}")]
    Connect {
        /// Where it should be.
        address: SocketAddr,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("asking the agent to {what}: the connection broke")]
    Broken {
        /// The call.
        what: String,
        /// How.
        #[source]
        source: hyper::Error,
    },
    /// No answer in time.
    #[error("asking the agent to {what}: no answer within {limit:?}")]
    Late {
        /// The call.
        what: String,
        /// How long was waited.
        limit: Duration,
    },
    /// An answer that says no.
    #[error("asking the agent to {what}: status {status}, {message:?}")]
    Status {
        /// The call.
        what: String,
        /// Of HTTP.
        status: u16,
        /// The beginning of the body.
        message: String,
    },
    /// An RPC that failed.
    #[error("asking the agent to {what}: {code}, {message:?}")]
    Code {
        /// The method.
        what: String,
        /// Of Connect: `not_found`, `unimplemented`.
        code: String,
        /// The agent's words.
        message: String,
    },
    /// Bytes that are no answer.
    #[error("asking the agent to {what}: {why}")]
    Strange {
        /// The call.
        what: String,
        /// What is wrong with them.
        why: String,
    },
}

impl AgentError {
    pub(super) fn status(what: String, status: u16, body: &[u8]) -> Self {
        let message = String::from_utf8_lossy(body).chars().take(200).collect();
        Self::Status { what, status, message }
    }

    pub(super) fn strange(what: &str, why: impl Into<String>) -> Self {
        Self::Strange { what: what.into(), why: why.into() }
    }

    /// Whether the agent has no such method: it is older than the method, or another agent.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Code { code, .. } => code == "unimplemented",
            Self::Status { status, .. } => matches!(status, 404 | 405 | 501),
            Self::Connect { .. } | Self::Broken { .. } | Self::Late { .. } | Self::Strange { .. } => false,
        }
    }
}
