//! Paths, and what stands in front of them.

use std::any::Any;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post, put};
use http::request::Parts;
use http::{Method, StatusCode, Uri};
use tower_http::catch_panic::CatchPanicLayer;

use super::door::Door;
use super::refusal::Refusal;
use super::repeat::Repeats;
use super::{copies, life, look, templates};
use crate::sandbox::{SandboxId, Sandboxes};

/// What every call has at hand.
#[derive(Clone, Debug)]
pub(super) struct Api {
    pub(super) sandboxes: Sandboxes,
    pub(super) door: Arc<Door>,
    pub(super) repeats: Repeats,
}

/// Gives the whole API. Cheap to clone.
pub fn router(sandboxes: Sandboxes, door: Door) -> Router {
    let door = Arc::new(door);
    let api = Api { sandboxes, door: Arc::clone(&door), repeats: Repeats::default() };
    guard(calls().with_state(api), door)
}

fn calls() -> Router<Api> {
    Router::new()
        .route("/sandboxes", get(look::running).post(life::create))
        .route("/v2/sandboxes", get(look::list).post(life::create_v2))
        .route("/sandboxes/metrics", get(look::metrics_of_many))
        .route("/sandboxes/{id}", get(look::detail).delete(life::kill))
        .route("/sandboxes/{id}/connect", post(life::connect))
        .route("/v2/sandboxes/{id}/connect", post(life::connect))
        .route("/sandboxes/{id}/pause", post(life::pause))
        .route("/sandboxes/{id}/resume", post(life::resume))
        .route("/sandboxes/{id}/timeout", post(life::timeout))
        .route("/sandboxes/{id}/refreshes", post(life::refresh))
        .route("/sandboxes/{id}/network", put(life::network))
        .route("/sandboxes/{id}/metrics", get(look::metrics))
        .route("/sandboxes/{id}/logs", get(look::logs))
        .route("/v2/sandboxes/{id}/logs", get(look::logs))
        .route("/sandboxes/{id}/snapshots", post(copies::snapshot))
        .route("/sandboxes/{id}/fork", post(copies::fork))
        .route("/sandboxes/{id}/clone", post(copies::clone))
        .route("/snapshots", get(copies::snapshots))
        .route("/templates", get(templates::list))
        .route("/v2/templates", get(templates::list))
        .route("/templates/{id}", delete(templates::delete))
        .route("/templates/aliases/{alias}", get(templates::alias))
        .merge(without())
}

/// What E2B or Novita have and icebox has not. Its words are better than those for an unknown path.
fn without() -> Router<Api> {
    let lack = |what: &'static str| any(async move || Refusal::missing(what));
    Router::new()
        .route("/sandboxes/quota", lack("quota"))
        .route("/sandboxes/events", lack("history of events"))
        .route("/sandboxes/{id}/reset", lack("reset of a sandbox"))
        .route("/sandboxes/{id}/commit", lack("commit of a sandbox: take a snapshot"))
        .route("/sandboxes/{id}/hotplug-memory", lack("memory that can be plugged in"))
        .route("/sandboxes/{id}/volume-mounts", lack("volumes"))
        .route("/volumes", lack("volumes"))
        .route("/secrets", lack("secrets"))
        .route("/v3/templates", lack("builds of templates: see rootfs/README.md"))
}

/// Puts everything in front of the calls that each of them needs: the key, and JSON for whatever goes wrong.
fn guard(calls: Router, door: Arc<Door>) -> Router {
    let guarded =
        calls.fallback(unknown).method_not_allowed_fallback(wrong_method).layer(from_fn_with_state(door, enter));
    Router::new()
        .route("/health", get(StatusCode::NO_CONTENT))
        .method_not_allowed_fallback(wrong_method)
        .merge(guarded)
        .layer(CatchPanicLayer::custom(panicked))
}

async fn enter(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = match door.enter(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    tracing::debug!(%method, path, status = response.status().as_u16(), "answered");
    response
}

async fn unknown(method: Method, uri: Uri) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("icebox has no {method} {}", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "icebox has a bug: a call panicked").into_response()
}

/// What stands in the path, decoded; nothing when it is no text.
#[derive(Debug)]
pub(super) struct Word(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Word {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self(Path::from_request_parts(parts, state).await.map(|Path(text)| text).unwrap_or_default()))
    }
}

/// The sandbox that the path names; a name that can be none is one that was not found.
#[derive(Debug)]
pub(super) struct Named(pub(super) SandboxId);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        /// Letters of a name that are told again.
        const TOLD: usize = 64;
        let Ok(Word(text)) = Word::from_request_parts(parts, state).await;
        let not_found = || {
            let text: String = text.chars().take(TOLD).collect();
            Refusal::new(StatusCode::NOT_FOUND, format!("sandbox {text:?} was not found"))
        };
        SandboxId::parse(&text).map(Self).ok_or_else(not_found)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use serde_json::Value;
    use tower::ServiceExt;

    use super::super::fields::Fields;
    use super::*;

    async fn ask(method: &str, path: &str, headers: &[(&str, &str)], body: &'static str) -> (u16, Value) {
        async fn echo(fields: Fields) -> String {
            fields.to_string()
        }
        async fn named(Named(id): Named) -> String {
            format!("{:?}", id.as_str())
        }
        async fn panics() -> StatusCode {
            panic!("on purpose")
        }
        let calls =
            Router::new().route("/echo", post(echo)).route("/named/{id}", get(named)).route("/panic", get(panics));
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).unwrap();
        let response = guard(calls, Arc::default()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status >= 400 {
            assert_eq!(body["code"], status, "{method} {path}: {body}");
            assert!(body["message"].is_string(), "{method} {path}: {body}");
        }
        (status, body)
    }

    const KEY: (&str, &str) = ("x-api-key", "k");

    #[tokio::test]
    async fn whatever_goes_wrong_is_told_in_json() {
        for (method, path, expected) in [
            ("GET", "/health", 204),
            ("POST", "/health", 405),
            ("GET", "/nothing", 404),
            ("GET", "/", 404),
            ("GET", "/echo", 405),
            ("BREW", "/echo", 405),
            ("POST", "/echo/", 404),
            ("GET", "/named/i1", 200),
            ("GET", "/named/I1", 404),
            ("GET", "/named/..%2Fetc", 404),
            ("GET", "/named/%FF", 404),
            ("GET", "/named/%00", 404),
            ("GET", "/panic", 500),
        ] {
            assert_eq!(ask(method, path, &[KEY], "").await.0, expected, "{method} {path}");
        }
    }

    #[tokio::test]
    async fn only_health_is_told_without_a_key() {
        for (path, expected) in [("/health", 204), ("/named/i1", 401), ("/nothing", 401), ("/panic", 401)] {
            assert_eq!(ask("GET", path, &[], "").await.0, expected, "{path}");
        }
    }

    #[tokio::test]
    async fn a_body_is_read_whatever_it_is_called() {
        let kinds = ["application/json", "text/plain", "application/x-www-form-urlencoded", "nonsense"];
        for kind in kinds {
            let (status, body) = ask("POST", "/echo", &[KEY, ("content-type", kind)], r#"{"a":1}"#).await;
            assert_eq!((status, &body["a"]), (200, &Value::from(1)), "{kind}");
        }
        assert_eq!(ask("POST", "/echo", &[KEY], "").await, (200, serde_json::json!({})));
        assert_eq!(ask("POST", "/echo", &[KEY], "a=1").await.0, 400);
        let long: &'static str = " ".repeat((1 << 20) + 1).leak();
        assert_eq!(ask("POST", "/echo", &[KEY], long).await.0, 413);
        assert_eq!(ask("POST", "/echo", &[KEY], &long[1..]).await.0, 200);
    }
}
