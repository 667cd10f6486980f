//! Errors as clients read them.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::sandbox::SandboxError;

/// Read by E2B's Python SDK, which else repeats any 502, 503 and 504, a creation too.
const SHOULD_RETRY: &str = "should-retry";

/// An answer that says no: always JSON with a `code` equal to the status, which is what the SDKs decide by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The request makes no sense.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// E2B or Novita has it, and icebox has not.
    pub(super) fn missing(what: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, format!("icebox has no {what}"))
    }

    pub(super) fn body(&self) -> Value {
        json!({"code": self.status.as_u16(), "message": self.message})
    }
}

impl From<SandboxError> for Refusal {
    fn from(error: SandboxError) -> Self {
        let status = match &error {
            SandboxError::NotFound(_) | SandboxError::NoTemplate(_) | SandboxError::Paused(_) => StatusCode::NOT_FOUND,
            SandboxError::AlreadyPaused(_) | SandboxError::AlreadyRunning(_) => StatusCode::CONFLICT,
            SandboxError::Invalid(_) => StatusCode::BAD_REQUEST,
            SandboxError::Full(_) => StatusCode::TOO_MANY_REQUESTS,
            SandboxError::NoSpace(_) => StatusCode::INSUFFICIENT_STORAGE,
            // Clients take a conflict for "it is paused already".
            SandboxError::Stopping | SandboxError::Unhealthy(_) => StatusCode::SERVICE_UNAVAILABLE,
            SandboxError::Host { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            tracing::warn!(%error, status = status.as_u16(), "a call failed");
        }
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status.is_server_error() {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::SandboxId;

    #[test]
    fn every_error_has_one_status_which_is_also_in_the_body() {
        let id = || SandboxId::parse("i1").unwrap();
        for (error, status, message) in [
            (SandboxError::NotFound(id()), 404, "sandbox i1 was not found"),
            (SandboxError::NoTemplate("x\"y".into()), 404, "template x\"y was not found"),
            (SandboxError::AlreadyPaused(id()), 409, "sandbox i1 is already paused"),
            (SandboxError::AlreadyRunning(id()), 409, "sandbox i1 is already running"),
            (SandboxError::Paused(id()), 404, "sandbox i1 is paused"),
            (SandboxError::Invalid("no".into()), 400, "no"),
            (SandboxError::Unhealthy(id()), 503, "does not answer"),
            (SandboxError::Full(3), 429, "3 sandboxes run already"),
            (SandboxError::NoSpace(id()), 507, "no space left"),
            (SandboxError::Stopping, 503, "shutting down"),
            (SandboxError::Host { what: "boot", why: "no".into() }, 500, "boot failed: no"),
        ] {
            let refusal = Refusal::from(error);
            assert!(refusal.message.contains(message), "{refusal:?}");
            assert_eq!(refusal.body(), json!({"code": status, "message": refusal.message}));
            let response = refusal.into_response();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
            let told = response.headers().get(SHOULD_RETRY).map(HeaderValue::as_bytes);
            assert_eq!(told, (status >= 500).then_some(b"false".as_slice()), "{status}");
        }
    }
}
