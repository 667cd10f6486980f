//! `POST /init`: the host brings time, token, variables, certificates and volumes after a start or a resume.
//!
//! # Theory of operation
//! Hosts give each call 50 ms, and call again 5 ms later until the first answer; anything but 204 fails the sandbox.
//! So whatever takes longer goes on when its call has been given up, and a later one finds it done or waits for it:
//! the question whether the token may be set ([`crate::host::metadata`]), certificates ([`crate::host::ca`]) and
//! volumes ([`crate::host::mounts`]). Nothing that may yet succeed is answered with an error.
//!
//! The order is: may this host do that; then, in the task that freezes and thaws, the repair of a guest that was
//! paused, the clock, variables, token, defaults and certificates; then the workload goes on; volumes come last. They
//! wait for a server, and a mount that hangs while programs stand still would keep them so. A program that was in a
//! volume finds it dead until then, as it would in the middle of the repair.
//!
//! One attempt after another comes through the lock, but for the wait for volumes.

mod request;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{HeaderName, HeaderValue, StatusCode, header};
use tokio::sync::oneshot;
use tokio::time::timeout;

use self::request::Request;
use crate::ENVD_VERSION;
use crate::base::Arrived;
use crate::base::{Failure, Kind, sentence};
use crate::host::ca::{CaError, Installation};
use crate::host::{Authorities, Environment, Memory, Metadata, Mounts, Services, clock, metadata};
use crate::http::status::Refusal;
use crate::identity::{Defaults, Gate, Secret, TokenError};
use crate::snapshot::Lifecycle;
use crate::snapshot::resume::clock::Stamp;
use crate::workload::Audit;

/// Largest body: a CA bundle and the variables of a sandbox fit many times over.
const BODY_LIMIT: usize = 4 << 20;
/// How long programs stand still for certificates: writing them takes some milliseconds, or something is wrong.
const CERTIFICATES_FIRST: Duration = Duration::from_millis(500);
/// How long a caller waits for certificates; hosts give up on `/init` at the same time.
const CERTIFICATES: Duration = Duration::from_secs(10);
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
    /// What of these an agent that is started again will know.
    pub memory: Memory,
    /// The host's own services.
    pub services: Services,
    /// Who may set the token, and which sandbox this is; `None` where there is nobody to ask.
    pub metadata: Option<Metadata>,
    /// Certificates that programs trust.
    pub authorities: Authorities,
    /// Network volumes.
    pub mounts: Mounts,
}

/// What attempts share.
struct Init {
    shared: Arc<Shared>,
    lifecycle: Lifecycle,
    /// Greatest time stamp applied, since the epoch; also the lock that serialises attempts.
    latest: tokio::sync::Mutex<Duration>,
}

/// Why the parts that can fail did.
#[derive(Debug)]
enum Fault {
    Certificates(CaError),
    Volumes(Arc<crate::host::mounts::MountError>),
}

pub(super) fn router(shared: Shared, lifecycle: Lifecycle) -> Router {
    let init = Init { shared: Arc::new(shared), lifecycle, latest: tokio::sync::Mutex::default() };
    let route = post(serve).layer(DefaultBodyLimit::max(BODY_LIMIT)).with_state(Arc::new(init));
    Router::new().route("/init", route)
}

async fn serve(
    State(init): State<Arc<Init>>,
    arrived: Option<Extension<Arrived>>,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Response {
    let arrived = arrived.map_or_else(Instant::now, |Extension(arrived)| arrived.0);
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
        let facts = match self.authorise(request.token.as_ref()).await {
            Ok(facts) => facts,
            Err(reason) => return (StatusCode::UNAUTHORIZED, reason.to_string()).into_response(),
        };
        let timestamp = request.timestamp.take();
        // An attempt that was overtaken by a later one changes nothing, but lets the workload go.
        let fresh = timestamp.is_none_or(|timestamp| timestamp >= *latest);
        if fresh {
            *latest = timestamp.unwrap_or(*latest);
        }
        let timestamp = timestamp.filter(|&timestamp| fresh && timestamp > Duration::ZERO);
        let host = timestamp.map(|sent| Stamp { sent, round_trip: Duration::ZERO, arrived });
        let volumes = if fresh { std::mem::take(&mut request.volumes) } else { Vec::new() };
        let lifecycle_id = std::mem::take(&mut request.lifecycle);
        let (tell, begun) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        let apply = async move {
            if let Some(timestamp) = timestamp {
                follow_clock(timestamp + arrived.elapsed());
            }
            let installation = if fresh { shared.apply(request).await } else { None };
            let _ = tell.send(installation);
        };
        let audit = match self.lifecycle.welcome(host, apply).await {
            Ok(audit) => audit,
            Err(error) => return Refusal::from_failure(&error).into_response(),
        };
        drop(latest);
        // Begun now, whether this client stays or not.
        let provided = self.shared.mounts.provide(&lifecycle_id, volumes);
        let mut response = match finish(begun, provided).await {
            Ok(()) => {
                self.shared.settled(facts);
                StatusCode::NO_CONTENT.into_response()
            }
            Err(fault) => fault.into_response(),
        };
        if let Some(value) = audit.and_then(|audit| audit_value(&audit)) {
            response.headers_mut().insert(AUDIT, value);
        }
        response
    }

    /// Says whether the token may be what the request says, and what was learned on the way.
    async fn authorise(&self, token: Option<&Secret>) -> Result<Option<metadata::Facts>, TokenError> {
        let gate = &self.shared.gate;
        let Some(metadata) = self.shared.metadata.as_ref().filter(|_| !gate.is_in_force(token)) else {
            return gate.authorise(token, None).map(|()| None);
        };
        let judge = |read: &metadata::Read| {
            let facts = read.result.as_ref().ok();
            gate.authorise(token, facts.and_then(|facts| facts.token.as_ref())).map(|()| facts.cloned())
        };
        let arrived = tokio::time::Instant::now();
        let read = metadata.read().await;
        match judge(&read) {
            // The answer may be from before the host changed it.
            Err(_) if read.began < arrived => judge(&metadata.read_since(arrived).await),
            judged => judged,
        }
    }
}

impl Shared {
    /// Applies everything but volumes; certificates may still be on their way afterwards.
    async fn apply(&self, request: Request) -> Option<Installation> {
        if let Some(variables) = request.variables {
            self.environment.replace_user(variables);
        }
        self.gate.set(request.token);
        if let Some(address) = request.services {
            self.services.at(address);
        }
        if let Some(user) = request.user {
            self.defaults.set_user(user);
        }
        if let Some(workdir) = request.workdir {
            self.defaults.set_workdir(workdir);
        }
        self.memory.note();
        let mut installation = self.authorities.install(&request.certificates?);
        let _ = timeout(CERTIFICATES_FIRST, installation.ended()).await;
        Some(installation)
    }

    /// A host has set the guest up, and it may be another sandbox than before.
    fn settled(&self, facts: Option<metadata::Facts>) {
        self.gate.set_initialised();
        match (&self.metadata, facts) {
            (Some(metadata), Some(facts)) => metadata.learn(&facts),
            (Some(metadata), None) => metadata.refresh(),
            (None, _) => {}
        }
    }
}

/// Waits for what takes longer; dropping it stops nothing.
async fn finish(
    begun: oneshot::Receiver<Option<Installation>>,
    provided: impl Future<Output = Result<(), Arc<crate::host::mounts::MountError>>>,
) -> Result<(), Fault> {
    if let Ok(Some(mut installation)) = begun.await {
        let installed = timeout(CERTIFICATES, installation.ended()).await;
        installed.unwrap_or(Err(CaError::Busy)).map_err(Fault::Certificates)?;
    }
    provided.await.map_err(Fault::Volumes)
}

impl IntoResponse for Fault {
    /// The contract has one status for what cannot be applied.
    fn into_response(self) -> Response {
        let (kind, message) = match &self {
            Self::Certificates(error) => (error.kind(), sentence(error)),
            Self::Volumes(error) => (error.kind(), sentence(&**error)),
        };
        let status = match kind {
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        Refusal::new(status, message).into_response()
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
