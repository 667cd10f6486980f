//! Keeps the talk with the agent inside a VM: health, `/init`, freeze and thaw, programs; over HTTP/1.1 and
//! Connect with JSON, as the SDKs speak it.
//!
//! Every call opens a connection of its own: nothing of ours is open in the guest when it is paused, and QEMU takes
//! connections before the guest listens, so only an answer means anything.

mod connect;
mod error;
mod http;
mod lifecycle;
mod program;
mod time;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

pub use connect::Stream;
pub use error::AgentError;
pub use lifecycle::Thaw;
pub use program::{Output, Program, Running};
pub use time::{ClockOffset, unix_time};
pub(crate) use time::{parse, rfc3339};

/// How long an ordinary call may take; under emulation on a busy machine a small one was seen to take 2 s.
pub const CALL_LIMIT: Duration = Duration::from_secs(20);
/// How long one question for health may take: when the guest does not listen yet, QEMU may never answer.
const PROBE_LIMIT: Duration = Duration::from_secs(2);
/// Between two questions for health.
const PROBE_GAP: Duration = Duration::from_millis(20);

/// The agent in one VM, as its address; clones are the same.
#[derive(Clone, Debug)]
pub struct Agent {
    address: SocketAddr,
    token: Option<String>,
}

impl Agent {
    /// Names the agent behind `address`.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, token: None }
    }

    /// Sends this access token with every call.
    #[must_use]
    pub fn with_token(self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self }
    }

    /// Sends no access token.
    #[must_use]
    pub fn without_token(self) -> Self {
        Self { token: None, ..self }
    }

    /// Sends an access token.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// As [`with_token`](Self::with_token), where there is one.
    #[must_use]
    pub fn with_token_of(self, token: Option<&String>) -> Self {
        match token {
            Some(token) => self.with_token(token),
            None => self,
        }
    }

    /// Where it listens, on the host.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks whether it is well (`GET /health` says 204), once.
    pub async fn is_well(&self) -> bool {
        matches!(self.get("/health", PROBE_LIMIT).await, Ok((204, _)))
    }

    /// Asks until it is well; for ever, so give it a deadline.
    pub async fn well(&self) {
        while !self.is_well().await {
            tokio::time::sleep(PROBE_GAP).await;
        }
    }

    /// Reads a file in the guest, as root.
    ///
    /// # Errors
    /// [`AgentError`]; not found is status 404.
    pub async fn read_file(&self, path: &str) -> Result<Vec<u8>, AgentError> {
        match self.get(&files(path), CALL_LIMIT).await? {
            (200, body) => Ok(body.to_vec()),
            (status, body) => Err(AgentError::status(format!("read {path}"), status, &body)),
        }
    }

    /// Writes a file in the guest, as root.
    ///
    /// # Errors
    /// [`AgentError`]. The file is there as a whole or as it was.
    pub async fn write_file(&self, path: &str, content: Vec<u8>) -> Result<(), AgentError> {
        match self.post(&files(path), "application/octet-stream", content, CALL_LIMIT).await? {
            (200, _) => Ok(()),
            (status, body) => Err(AgentError::status(format!("write {path}"), status, &body)),
        }
    }

    /// Asks for the machine's measurements: the object that `GET /metrics` answers.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn metrics(&self) -> Result<Value, AgentError> {
        match self.get("/metrics", CALL_LIMIT).await? {
            (200, body) => {
                serde_json::from_slice(&body).map_err(|error| AgentError::strange("measure", error.to_string()))
            }
            (status, body) => Err(AgentError::status("measure".into(), status, &body)),
        }
    }

    /// Brings the guest our time and, as hosts do after every start, `more` (`envVars`, `accessToken`, `defaultUser`).
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn init(&self, more: &Value) -> Result<(), AgentError> {
        let mut body = json!({"timestamp": rfc3339(unix_time())});
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        match self.post("/init", "application/json", body.to_string().into_bytes(), CALL_LIMIT).await? {
            (204, _) => Ok(()),
            (status, body) => Err(AgentError::status("init".into(), status, &body)),
        }
    }
}

fn files(path: &str) -> String {
    let path: String = path.bytes().map(escape).collect();
    format!("/files?username=root&path={path}")
}

fn escape(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
        char::from(byte).into()
    } else {
        format!("%{byte:02X}")
    }
}
