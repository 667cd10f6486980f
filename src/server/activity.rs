//! Which requests are use of the guest, and for how long.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::{Method, Request, StatusCode};

use super::admission::is_control;
use crate::activity::{Happening, Pulse, Turn};

/// Goes with a response until its body is gone; the connection takes it out.
#[derive(Clone, Debug)]
pub(super) struct Lasting(#[expect(dead_code, reason = "held for its end")] Arc<Turn>);

/// Counts a request that somebody makes who uses the guest. To be asked behind the token, so that strangers keep no
/// guest awake.
pub(super) fn begin(pulse: &Pulse, request: &Request<Body>) -> Option<Turn> {
    let path = request.uri().path();
    let upload = request.method() == Method::POST && matches!(path, "/files" | "/files/compose");
    (!is_silent(path)).then(|| pulse.turn(upload))
}

/// Lets it count until the body of its answer is gone.
pub(super) fn end(pulse: &Pulse, turn: Turn, response: &mut Response) {
    // `/files` checks its own proof.
    if response.status() == StatusCode::UNAUTHORIZED {
        return turn.never();
    }
    pulse.mark(Happening::Rpc);
    response.extensions_mut().insert(Lasting(Arc::new(turn)));
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
