//! What every request passes, from the outside in.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode, header};
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

use super::admission::{self, Door};
use super::{activity, auth, cors};
use crate::activity::Pulse;
use crate::base::Admission;
use crate::http::status::Refusal;
use crate::identity::{Accounts, Gate};

/// Puts the layers before both faces: `rpc` gets every path of a known service, `http` its own routes.
///
/// 1. cors: a browser's preflight carries no credentials, and error answers must be readable too
/// 2. catch a panic: one broken request answers 500 and the daemon goes on
/// 3. admission: who may come in while the guest is not running; a thaw may bring another token, so before it
/// 4. token: before anything that costs
/// 5. user: only for those who may ask
/// 6. activity: what they do is use of the guest
pub fn stack(
    http: Router,
    rpc: Router,
    services: &[&str],
    gate: Arc<Gate>,
    accounts: Arc<Accounts>,
    admission: Admission,
    pulse: Pulse,
) -> Router {
    let services: Arc<[String]> = services.iter().map(|name| format!("/{name}/")).collect();
    let door = Arc::new(Door { admission, gate: Arc::clone(&gate), services: Arc::clone(&services) });
    let faces = http.fallback(move |request: Request<Body>| route(request, rpc.clone(), Arc::clone(&services)));
    faces
        .layer(from_fn_with_state(pulse, activity::count))
        .layer(from_fn_with_state(accounts, auth::user))
        .layer(from_fn_with_state(gate, auth::token))
        .layer(from_fn_with_state(door, admission::admit))
        .layer(CatchPanicLayer::custom(|_| panicked()))
        .layer(from_fn(cors::cors))
        // Makes every layer once, here; without it axum makes all of them anew for each request.
        .with_state(())
}

async fn route(request: Request<Body>, rpc: Router, services: Arc<[String]>) -> Response {
    if services.iter().any(|service| request.uri().path().starts_with(service.as_str())) {
        return rpc.oneshot(request).await.into_response();
    }
    super::let_finish(request);
    not_found()
}

/// Answers an unknown path in the words of Go's `http.NotFound`, which clients compare with.
fn not_found() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (StatusCode::NOT_FOUND, headers, "404 page not found\n").into_response()
}

fn panicked() -> Response {
    tracing::error!("a request panicked");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error").into_response()
}
