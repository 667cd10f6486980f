//! What is answered while the guest is not running, and what waits.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Request, StatusCode, Version, header};

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

/// Keeps what an admission looks at.
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

impl Door {
    /// Says whether a request is answered whatever the guest does. To be asked before the token: a thaw may bring a new
    /// one, and the request that wakes the sandbox has it already.
    pub(super) fn is_open(&self, request: &Request<Body>) -> bool {
        is_always_answered(request.uri().path()) || self.leaves_to_service(request)
    }

    /// Lets a request in at once, when programs run again, or never. While it waits its body is not read.
    pub(super) async fn enter(&self) -> Result<(), Refused> {
        self.admission.enter().await
    }

    /// Says whether the service decides, which can only be asked with the token that is still in force.
    fn leaves_to_service(&self, request: &Request<Body>) -> bool {
        let offered = request.headers().get(TOKEN).map(HeaderValue::as_bytes);
        request.uri().path() == START
            && self.admission.lives().now().phase != Phase::Running
            && self.gate.admits(offered)
    }

    /// Answers in the caller's own protocol, and closes the connection: it belongs to a life that ends.
    pub(super) fn refuse(&self, request: Request<Body>, refused: Refused) -> Response {
        let path = request.uri().path();
        let mut response = if self.services.iter().any(|service| path.starts_with(service.as_str())) {
            let status = crate::rpc::status::from_failure(&refused);
            crate::wire::refuse(request.headers(), status).map(Body::new)
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
