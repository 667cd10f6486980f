//! Which requests are use of the guest, and for how long.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{Method, StatusCode};

use super::admission::is_control;
use crate::activity::{Happening, Pulse, Turn};

/// Goes with a response until its body is gone; the connection takes it out.
#[derive(Clone, Debug)]
pub(super) struct Lasting(#[expect(dead_code, reason = "held for its end")] Arc<Turn>);

/// Counts requests that somebody makes who uses the guest. It stands behind the token, so that strangers keep no guest
/// awake.
pub(super) async fn count(State(pulse): State<Pulse>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if is_silent(path) {
        return next.run(request).await;
    }
    let upload = request.method() == Method::POST && matches!(path, "/files" | "/files/compose");
    let turn = pulse.turn(upload);
    let mut response = next.run(request).await;
    // `/files` checks its own proof.
    if response.status() == StatusCode::UNAUTHORIZED {
        turn.never();
        return response;
    }
    pulse.mark(Happening::Rpc);
    response.extensions_mut().insert(Lasting(Arc::new(turn)));
    response
}

/// Tells what hosts and monitors ask, and what controls the guest: none of it is use.
fn is_silent(path: &str) -> bool {
    is_control(path)
        || matches!(path, "/metrics" | "/envs")
        || ["/thawd.v1.", "/grpc.health.", "/grpc.reflection."].iter().any(|service| path.starts_with(service))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hosts_and_monitors_ask_is_no_use() {
        for path in [
            "/health",
            "/metrics",
            "/init",
            "/freeze",
            "/thawd.v1.Activity/Wait",
            "/thawd.v1.Lifecycle/Subscribe",
            "/grpc.health.v1.Health/Check",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        ] {
            assert!(is_silent(path), "{path}");
        }
        for path in ["/files", "/process.Process/List", "/filesystem.Filesystem/Stat", "/healthy"] {
            assert!(!is_silent(path), "{path}");
        }
    }
}
