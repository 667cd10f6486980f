//! `POST /init`: the host brings time, token, variables and defaults after a start or a resume.
//!
//! Hosts call it every few milliseconds until the first answer, and anything but 204 fails the sandbox. So what it
//! brings is applied in one step by the task that freezes and thaws: an attempt whose client has given up is either
//! not begun or done, and the next one finds it done. After a resume the guest is mended first, and the workload goes
//! on last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

use crate::ENVD_VERSION;
use crate::host::{Environment, clock};
use crate::http::status::Refusal;
use crate::identity::{Defaults, Gate, Secret};
use crate::snapshot::Lifecycle;
use crate::snapshot::resume::clock::Stamp;
use crate::workload::Audit;

/// Largest body: a CA bundle and the variables of a sandbox fit many times over.
const BODY_LIMIT: usize = 4 << 20;
const VERSION: HeaderName = HeaderName::from_static("x-envd-version");
/// What stood still before this call let it go.
const AUDIT: HeaderName = HeaderName::from_static("x-envd-freeze-audit");

/// Holds what `/init` changes.
#[derive(Debug)]
pub struct Shared {
    /// The access token.
    pub gate: Arc<Gate>,
    /// Default user and folder.
    pub defaults: Arc<Defaults>,
    /// Guest-wide variables.
    pub environment: Arc<Environment>,
}

/// What attempts share.
struct Init {
    shared: Arc<Shared>,
    lifecycle: Lifecycle,
    /// Greatest time stamp applied, since the epoch; also the lock that serialises attempts.
    latest: tokio::sync::Mutex<Duration>,
}

pub(super) fn router(shared: Shared, lifecycle: Lifecycle) -> Router {
    let init = Init { shared: Arc::new(shared), lifecycle, latest: tokio::sync::Mutex::default() };
    let route = post(serve).layer(DefaultBodyLimit::max(BODY_LIMIT)).with_state(Arc::new(init));
    Router::new().route("/init", route)
}

async fn serve(
    State(init): State<Arc<Init>>,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Response {
    let arrived = Instant::now();
    let mut response = match body {
        Err(rejection) => rejection.status().into_response(),
        Ok(body) => match Request::parse(&body) {
            Some(request) => init.attempt(request, arrived).await,
            None => StatusCode::BAD_REQUEST.into_response(),
        },
    };
    let headers = response.headers_mut();
    headers.insert(VERSION, HeaderValue::from_static(ENVD_VERSION));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Init {
    /// An attempt whose client gives up is not begun, or carried out to its end.
    async fn attempt(&self, mut request: Request, arrived: Instant) -> Response {
        let mut latest = self.latest.lock().await;
        if let Err(reason) = self.authorise(request.token.as_ref()) {
            return (StatusCode::UNAUTHORIZED, reason).into_response();
        }
        let timestamp = request.timestamp.take();
        // An attempt that was overtaken by a later one changes nothing, but lets the workload go.
        let fresh = timestamp.is_none_or(|timestamp| timestamp >= *latest);
        if fresh {
            *latest = timestamp.unwrap_or(*latest);
        }
        let timestamp = timestamp.filter(|&timestamp| fresh && timestamp > Duration::ZERO);
        let host = timestamp.map(|sent| Stamp { sent, round_trip: Duration::ZERO, arrived });
        let shared = Arc::clone(&self.shared);
        let apply = move || {
            if let Some(timestamp) = timestamp {
                follow_clock(timestamp + arrived.elapsed());
            }
            if fresh {
                shared.apply(request);
            }
        };
        match self.lifecycle.welcome(host, apply).await {
            Ok(audit) => {
                let mut response = StatusCode::NO_CONTENT.into_response();
                if let Some(value) = audit.and_then(|audit| audit_value(&audit)) {
                    response.headers_mut().insert(AUDIT, value);
                }
                response
            }
            Err(error) => Refusal::from_failure(&error).into_response(),
        }
    }

    /// Without a metadata service behind us, the token that is set can only be confirmed, not replaced.
    fn authorise(&self, token: Option<&Secret>) -> Result<(), &'static str> {
        match (self.shared.gate.token(), token) {
            (None, _) => Ok(()),
            (Some(stored), Some(token)) if stored.matches(token.expose().as_bytes()) => Ok(()),
            (Some(_), Some(_)) => Err("access token validation failed"),
            (Some(_), None) => Err("access token reset not authorized"),
        }
    }
}

impl Shared {
    fn apply(&self, request: Request) {
        if let Some(variables) = request.variables {
            self.environment.replace_user(variables);
        }
        self.gate.set(request.token);
        if let Some(user) = request.user {
            self.defaults.set_user(user);
        }
        if let Some(workdir) = request.workdir {
            self.defaults.set_workdir(workdir);
        }
        for name in request.unsupported {
            tracing::warn!(name, "this agent does not apply this part of /init");
        }
    }
}

/// Counts only, never names.
fn audit_value(audit: &Audit) -> Option<HeaderValue> {
    let value = serde_json::json!({
        "visited": audit.visited,
        "frozen": audit.frozen,
        "escaped": audit.escaped,
        "violations": audit.violations,
        "truncated": audit.truncated,
    });
    HeaderValue::try_from(value.to_string()).ok()
}

fn follow_clock(host: Duration) {
    match clock::follow(host) {
        Ok(true) => tracing::info!("the clock was set to the host's time"),
        Ok(false) => {}
        Err(error) => tracing::warn!(%error, "cannot set the clock"),
    }
}

/// Holds a checked body. Absent and empty fields change nothing.
#[derive(Debug, Default)]
struct Request {
    timestamp: Option<Duration>,
    token: Option<Secret>,
    variables: Option<BTreeMap<String, String>>,
    user: Option<String>,
    workdir: Option<String>,
    unsupported: Vec<&'static str>,
}

impl Request {
    /// Reads a body as Go's decoder does: no body is an empty request, names match in any case, null is absent.
    fn parse(body: &[u8]) -> Option<Self> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Some(Self::default());
        }
        let fields: Map<String, Value> = serde_json::from_slice(body).ok()?;
        let mut request = Self::default();
        for (name, value) in fields {
            if value.is_null() {
                continue;
            }
            match name.to_ascii_lowercase().as_str() {
                "timestamp" => request.timestamp = Some(instant(value.as_str()?)?),
                "accesstoken" => request.token = Some(token(value)?),
                "envvars" => request.variables = Some(variables(value)?),
                "defaultuser" => request.user = non_empty(value)?,
                "defaultworkdir" => request.workdir = non_empty(value)?,
                "cabundle" => request.unsupported.extend(non_empty(value)?.map(|_| "caBundle")),
                "volumemounts" => request.unsupported.extend((!value.as_array()?.is_empty()).then_some("volumeMounts")),
                _ => {}
            }
        }
        Some(request)
    }
}

/// Reads names and values; null is the empty text, as for Go.
fn variables(value: Value) -> Option<BTreeMap<String, String>> {
    let variables: BTreeMap<String, Option<String>> = serde_json::from_value(value).ok()?;
    Some(variables.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect())
}

fn token(value: Value) -> Option<Secret> {
    let Value::String(token) = value else { return None };
    (!token.is_empty() && !token.contains('\\')).then(|| Secret::new(token))
}

/// Gives the text, `None` inside when it is empty; `None` outside when it is no text.
#[expect(clippy::option_option, reason = "a wrong type and an empty text are answered differently")]
fn non_empty(value: Value) -> Option<Option<String>> {
    let Value::String(text) = value else { return None };
    Some((!text.is_empty()).then_some(text))
}

/// Reads RFC 3339 as the time since the epoch; what lies before it, such as Go's zero time, is older than all others.
fn instant(text: &str) -> Option<Duration> {
    let timestamp: prost_types::Timestamp = text.parse().ok()?;
    let since_epoch = |seconds| Some(Duration::new(seconds, u32::try_from(timestamp.nanos).ok()?));
    u64::try_from(timestamp.seconds).map_or(Some(Duration::ZERO), since_epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_as_hosts_send_it() {
        let body =
            br#"{"TimeStamp":"2026-01-02T03:04:05.5+01:00","accessToken":"t","envVars":{"A":"1"},"defaultUser":"",
            "defaultWorkdir":"/code","hyperloopIP":"1.2.3.4","lifecycleID":null}"#;
        let request = Request::parse(body).unwrap();
        assert_eq!(request.timestamp, Some(Duration::new(1_767_319_445, 500_000_000)));
        assert_eq!((request.user, request.workdir.as_deref()), (None, Some("/code")));
        assert!(request.token.is_some_and(|token| token.matches(b"t")));
        let nulls = Request::parse(br#"{"envVars":{"A":null},"timestamp":"0001-01-01T00:00:00Z"}"#).unwrap();
        assert_eq!(nulls.variables.unwrap()["A"], "");
        assert_eq!(nulls.timestamp, Some(Duration::ZERO));
        assert!(Request::parse(b" ").is_some_and(|request| request.token.is_none() && request.variables.is_none()));
    }

    #[test]
    fn a_body_that_cannot_be_meant_is_refused() {
        for body in [
            "{",
            "[]",
            "1",
            "{} x",
            r#"{"accessToken":""}"#,
            r#"{"accessToken":"a\\b"}"#,
            r#"{"accessToken":5}"#,
            r#"{"timestamp":"yesterday"}"#,
            r#"{"timestamp":1}"#,
            r#"{"envVars":[]}"#,
            r#"{"envVars":{"A":1}}"#,
            r#"{"defaultUser":{}}"#,
        ] {
            assert!(Request::parse(body.as_bytes()).is_none(), "{body}");
        }
    }

    fn init(folder: &std::path::Path) -> Init {
        let tasks = crate::base::Tasks::default();
        let shared = Shared { gate: Arc::default(), defaults: Arc::default(), environment: Arc::default() };
        let mut settings = crate::snapshot::Settings { notice: false, ..Default::default() };
        settings.notify.folder = folder.to_owned();
        let around = crate::snapshot::Surroundings {
            workload: Arc::new(crate::workload::Workload::prepare(&crate::workload::Settings { root: None })),
            gate: Arc::clone(&shared.gate),
            part: Box::new(|_| Box::pin(std::future::ready(0))),
            ports: Vec::new(),
            life: tokio::sync::watch::Sender::new(crate::base::Life::default()),
        };
        let lifecycle = crate::snapshot::start(settings, around, &tasks);
        Init { shared: Arc::new(shared), lifecycle, latest: tokio::sync::Mutex::default() }
    }

    async fn post(init: &Init, body: &str) -> u16 {
        init.attempt(Request::parse(body.as_bytes()).unwrap(), Instant::now()).await.status().as_u16()
    }

    #[tokio::test]
    async fn a_token_that_is_set_is_confirmed_and_never_replaced() {
        let folder = std::env::temp_dir().join(format!("thawd-init-{}", std::process::id()));
        let init = init(&folder);
        assert_eq!(post(&init, r#"{"accessToken":"A"}"#).await, 204);
        assert_eq!(post(&init, r#"{"accessToken":"A","envVars":{"X":"1"}}"#).await, 204);
        assert_eq!(post(&init, r#"{"accessToken":"B","envVars":{}}"#).await, 401);
        assert_eq!(post(&init, "{}").await, 401);
        assert_eq!(init.shared.environment.all().len(), 1);
        let _ = std::fs::remove_dir_all(folder);
    }
}
