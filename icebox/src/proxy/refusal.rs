//! What the proxy answers by itself: texts and numbers that published clients know.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use super::route::Astray;
use crate::sandbox::{SandboxError, SandboxId};

/// Clients repeat a 503 that does not say otherwise.
const SHOULD_RETRY: &str = "should-retry";

/// Why a request is answered here.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Nobody can tell where it is to go.
    Astray(Astray),
    /// Unknown, killed or paused.
    NotFound(SandboxId),
    /// Nothing listens.
    Closed(SandboxId, u16),
    /// Something listens that speaks another language.
    Strange(SandboxId, u16),
    /// For the host alone.
    Internal(SandboxId),
    /// The port is not public.
    Guarded(SandboxId),
    /// A method that makes no sense for a server that is not a client's proxy.
    Connect,
    /// The host can't do it.
    Host(SandboxId, SandboxError),
    /// As many connections as the host carries.
    Crowded,
}

/// How it is said, in the order in which clients have always seen it.
#[derive(Serialize)]
struct Said<'a> {
    #[serde(rename = "sandboxId", skip_serializing_if = "Option::is_none")]
    sandbox_id: Option<&'a str>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    code: u16,
}

impl Refusal {
    /// Tells what it means that a sandbox can't be reached.
    pub(super) fn unreachable(id: &SandboxId, error: SandboxError) -> Self {
        match error {
            SandboxError::NotFound(_)
            | SandboxError::NoTemplate(_)
            | SandboxError::Paused(_)
            | SandboxError::AlreadyPaused(_)
            | SandboxError::AlreadyRunning(_) => Self::NotFound(id.clone()),
            SandboxError::Invalid(_)
            | SandboxError::Unhealthy(_)
            | SandboxError::Full(_)
            | SandboxError::NoSpace(_)
            | SandboxError::Stopping
            | SandboxError::Host { .. } => Self::Host(id.clone(), error),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Astray(Astray::Unknown(_)) | Self::NotFound(_) | Self::Closed(..) | Self::Strange(..) => {
                StatusCode::BAD_GATEWAY
            }
            Self::Astray(_) => StatusCode::BAD_REQUEST,
            Self::Internal(_) => StatusCode::NOT_FOUND,
            Self::Guarded(_) => StatusCode::FORBIDDEN,
            Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Self::Host(..) | Self::Crowded => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Astray(astray) => astray.to_string(),
            Self::NotFound(_) => "The sandbox was not found".into(),
            Self::Closed(..) => "The sandbox is running but port is not open".into(),
            Self::Strange(..) => "The sandbox is running but what listens on the port does not speak HTTP".into(),
            Self::Internal(_) => "Not found".into(),
            Self::Guarded(_) => {
                "The ports of this sandbox are not public: send its traffic access token as e2b-traffic-access-token"
                    .into()
            }
            Self::Connect => "CONNECT is not supported".into(),
            Self::Host(_, error) => error.to_string(),
            Self::Crowded => "too many connections to this host".into(),
        }
    }

    fn sandbox(&self) -> Option<&str> {
        match self {
            Self::Astray(Astray::Unknown(id)) => Some(id),
            Self::NotFound(id)
            | Self::Closed(id, _)
            | Self::Strange(id, _)
            | Self::Internal(id)
            | Self::Guarded(id)
            | Self::Host(id, _) => Some(id.as_str()),
            Self::Astray(_) | Self::Connect | Self::Crowded => None,
        }
    }

    /// Makes the answer.
    pub(super) fn answer(&self) -> Response<Full<Bytes>> {
        let status = self.status();
        let port = match self {
            Self::Closed(_, port) | Self::Strange(_, port) => Some(*port),
            _ => None,
        };
        let said = Said { sandbox_id: self.sandbox(), message: self.message(), port, code: status.as_u16() };
        // Text and numbers: there is nothing that JSON can't say.
        let text = serde_json::to_string(&said).unwrap_or_default();
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn text(refusal: Refusal) -> (u16, String) {
        let answer = refusal.answer();
        let status = answer.status().as_u16();
        (status, String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn published_clients_read_these_texts() {
        let id = SandboxId::parse("iabc").unwrap();
        let not_found = r#"{"sandboxId":"iabc","message":"The sandbox was not found","code":502}"#;
        let paused = Refusal::unreachable(&id, SandboxError::Paused(id.clone()));
        assert_eq!(text(paused).await, (502, not_found.into()));
        let closed =
            r#"{"sandboxId":"iabc","message":"The sandbox is running but port is not open","port":3000,"code":502}"#;
        assert_eq!(text(Refusal::Closed(id.clone(), 3000)).await, (502, closed.into()));
        let (status, host) = text(Refusal::unreachable(&id, SandboxError::Stopping)).await;
        assert!(status == 503 && host.contains("shutting down"), "{host}");
        let unknown = Refusal::Astray(Astray::Unknown("Debug\"_id".into()));
        assert!(text(unknown).await.1.contains(r#""sandboxId":"Debug\"_id""#));
    }
}
