//! What is answered while the guest is not running, and what waits.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, Version, header};

use super::auth::TOKEN;
use crate::base::admission::Refused;
use crate::base::{Admission, Phase};
use crate::http::status::Refusal;
use crate::identity::Gate;

/// Tells a proxy that a request was not executed, so that it can be sent again when the sandbox is awake.
const UNEXECUTED: HeaderName = HeaderName::from_static("x-thawd-unexecuted");
/// The service that freezes and thaws.
const LIFECYCLE: &str = "/thawd.v1.Lifecycle/";
/// Its one stream, which ends for a pause as others do.
const SUBSCRIBE: &str = "/thawd.v1.Lifecycle/Subscribe";
/// The call whose message decides: the host's own programs start at any time.
const START: &str = "/process.Process/Start";

/// The call that tells what is going on.
const GET: &str = "/thawd.v1.Activity/Get";

/// Keeps what the layer looks at.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) admission: Admission,
    pub(super) gate: Arc<Gate>,
    /// Prefixes of the paths of RPC services.
    pub(super) services: Arc<[String]>,
}

/// Tells requests that control the life of the guest: their connections are the last to close.
pub(super) fn is_control(path: &str) -> bool {
    matches!(path, "/freeze" | "/unfreeze" | "/fsfreeze" | "/fsthaw" | "/init" | "/collapse" | "/health")
        || (path.starts_with(LIFECYCLE) && path != SUBSCRIBE)
}

/// Tells requests that are answered whether programs run or not.
fn is_always_answered(path: &str) -> bool {
    is_control(path)
        || path == SUBSCRIBE
        || matches!(path, "/metrics" | "/envs" | "/process.Process/List" | GET)
        || path.starts_with("/grpc.health.v1.Health/")
}

/// Lets requests in at once, when programs run again, or never.
///
/// It stands before the token: a thaw may bring a new one, and the request that wakes the sandbox has it already.
/// While a request waits its body is not read.
pub(super) async fn admit(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    if is_always_answered(request.uri().path()) || door.leaves_to_service(&request) {
        return next.run(request).await;
    }
    match door.admission.enter().await {
        Ok(()) => next.run(request).await,
        Err(refused) => door.refuse(request, refused),
    }
}

impl Door {
    /// Says whether the service decides, which can only be asked with the token that is still in force.
    fn leaves_to_service(&self, request: &Request) -> bool {
        let offered = request.headers().get(TOKEN).map(HeaderValue::as_bytes);
        request.uri().path() == START
            && self.admission.lives().now().phase != Phase::Running
            && self.gate.admits(offered)
    }

    /// Answers in the caller's own protocol, and closes the connection: it belongs to a life that ends.
    fn refuse(&self, request: Request, refused: Refused) -> Response {
        let path = request.uri().path();
        let mut response = if self.services.iter().any(|service| path.starts_with(service.as_str())) {
            let status = crate::rpc::status::from_failure(&refused);
            crate::wire::refuse(request.headers(), status).map(axum::body::Body::new)
        } else {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, refused.to_string()).into_response()
        };
        response.headers_mut().insert(UNEXECUTED, HeaderValue::from_static("paused"));
        if request.version() <= Version::HTTP_11 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        super::let_finish(request);
        response
    }
}
