//! What every request passes, from the outside in.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode, header};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_http::catch_panic::CatchPanicLayer;

use super::admission::Door;
use super::{activity, auth, cors};
use crate::activity::Pulse;
use crate::base::Admission;
use crate::http::status::Refusal;
use crate::identity::{Accounts, Gate};

/// Answers every request: `rpc` gets every path of a known service, the plain routes the others. Clones are the same one.
///
/// What stands before them is one function, and not a tower of middleware: each floor of such a tower has a future
/// on the heap and a place on the stack, which every request touches and every resume reads (docs/performance.md).
pub struct Stack<R>(Arc<Faces<R>>);

struct Faces<R> {
    http: Router,
    rpc: R,
    /// Prefixes of the paths that are for `rpc`.
    services: Arc<[String]>,
    gate: Arc<Gate>,
    accounts: Arc<Accounts>,
    door: Door,
    pulse: Pulse,
}

/// Puts what every request passes before both faces.
pub fn stack<R>(
    http: Router,
    rpc: R,
    services: &[&str],
    gate: Arc<Gate>,
    accounts: Arc<Accounts>,
    admission: Admission,
    pulse: Pulse,
) -> Stack<R> {
    let services: Arc<[String]> = services.iter().map(|name| format!("/{name}/")).collect();
    let door = Door { admission, gate: Arc::clone(&gate), services: Arc::clone(&services) };
    let unknown = async |request: Request<Body>| {
        super::let_finish(request);
        not_found()
    };
    // The state makes the routes once, here; without it axum makes all of them anew for each request.
    let http = http.fallback(unknown).with_state(());
    Stack(Arc::new(Faces { http, rpc, services, gate, accounts, door, pulse }))
}

impl<R> Clone for Stack<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R> Service<Request<Body>> for Stack<R>
where
    R: Service<Request<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    R::Response: IntoResponse,
    R::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let crossing = match cors::Crossing::of(&request) {
            Ok(crossing) => crossing,
            // A browser's preflight carries no credentials.
            Err(preflight) => return Box::pin(std::future::ready(Ok(*preflight))),
        };
        let faces = Arc::clone(&self.0);
        // One broken request is answered with 500, and the daemon goes on.
        let caught = CatchPanicLayer::custom(panicked).layer(service_fn(move |request| {
            let faces = Arc::clone(&faces);
            async move { Ok::<_, Infallible>(faces.answer(request).await) }
        }));
        Box::pin(async move {
            let Ok(mut response) = caught.oneshot(request).await.map(IntoResponse::into_response);
            // A browser must be able to read errors too.
            crossing.mark(response.headers_mut());
            Ok(response)
        })
    }
}

impl<R> Faces<R>
where
    R: Service<Request<Body>, Error = Infallible> + Clone,
    R::Response: IntoResponse,
{
    /// Asks, in this order:
    ///
    /// 1. admission: who may come in while the guest is not running; a thaw may bring another token, so before it
    /// 2. token: before anything that costs
    /// 3. user: only for those who may ask
    /// 4. activity: what they do is use of the guest
    async fn answer(&self, mut request: Request<Body>) -> Response {
        if !self.door.is_open(&request)
            && let Err(refused) = self.door.enter().await
        {
            return self.door.refuse(request, refused);
        }
        if let Err(refusal) = auth::token(&self.gate, &request).and_then(|()| auth::user(&self.accounts, &mut request))
        {
            super::let_finish(request);
            return *refusal;
        }
        let turn = activity::begin(&self.pulse, &request);
        let mut response = self.route(request).await;
        if let Some(turn) = turn {
            activity::end(&self.pulse, turn, &mut response);
        }
        response
    }

    async fn route(&self, request: Request<Body>) -> Response {
        let path = request.uri().path();
        if self.services.iter().any(|service| path.starts_with(service.as_str())) {
            let Ok(response) = self.rpc.clone().oneshot(request).await;
            return response.into_response();
        }
        let Ok(response) = self.http.clone().oneshot(request).await;
        response
    }
}

/// Answers an unknown path in the words of Go's `http.NotFound`, which clients compare with.
fn not_found() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (StatusCode::NOT_FOUND, headers, "404 page not found\n").into_response()
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request panicked");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error").into_response()
}
