//! The middleware: one call from its first byte to its last.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use tonic::body::Body;
use tonic::codegen::StdError;
use tower::{Layer, Service};

use super::call::Call;
use super::codec::in_format;
use super::dialect::Dialect;
use super::linger::Lingering;
use super::method::Methods;
use super::reply::deadline_exceeded;
use super::request::RequestBody;
use super::settings::Settings;
use super::{reply, unary};

/// Makes the layer that puts every dialect before tonic services.
pub fn layer(methods: Methods, settings: Settings) -> WireLayer {
    WireLayer { shared: Arc::new(Shared { methods, settings }) }
}

#[derive(Debug)]
struct Shared {
    methods: Methods,
    settings: Settings,
}

/// Wraps tonic services in a [`Wire`].
#[derive(Clone, Debug)]
pub struct WireLayer {
    shared: Arc<Shared>,
}

impl<S> Layer<S> for WireLayer {
    type Service = Wire<S>;

    fn layer(&self, inner: S) -> Wire<S> {
        Wire { inner, shared: Arc::clone(&self.shared) }
    }
}

/// Tonic services that speak Connect, gRPC and gRPC-Web.
#[derive(Clone, Debug)]
pub struct Wire<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B, R> Service<Request<B>> for Wire<S>
where
    S: Service<Request<Body>, Response = Response<R>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<StdError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Shared { methods, settings } = &*self.shared;
        let (mut parts, body) = Lingering::wrap(request, settings.linger).into_parts();
        let call = match Call::accept(&mut parts, methods, settings) {
            Ok(call) => call,
            Err(refusal) => return Box::pin(std::future::ready(Ok(*refusal))),
        };
        let body = RequestBody::new(body, call.content_type.dialect, call.rules);
        let request = Request::from_parts(parts, Body::new(body));
        // The clone takes the place of the service that was polled ready.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let answer = in_format(call.format(), async move { inner.call(request).await });
            Ok(within(&call, answer).await)
        })
    }
}

/// Answers a call, before its deadline or with it.
async fn within<R>(call: &Call, answer: impl Future<Output = Result<Response<R>, Infallible>>) -> Response<Body>
where
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<StdError>,
{
    let answer = translated(call, answer);
    let Some(deadline) = &call.deadline else { return answer.await };
    tokio::select! {
        biased;
        answer = answer => answer,
        () = deadline.passed() => call.fail(deadline_exceeded()),
    }
}

/// Awaits the answer of the service and turns it into the dialect of the call.
async fn translated<R>(call: &Call, answer: impl Future<Output = Result<Response<R>, Infallible>>) -> Response<Body>
where
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<StdError>,
{
    let response = match answer.await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    };
    if !is_grpc(&response) {
        // From a layer between us and the services, which knew what it did.
        return response;
    }
    match call.content_type.dialect {
        Dialect::ConnectUnary => unary::answer(call, response).await,
        _ => reply::answer(call, response),
    }
}

fn is_grpc(response: &Response<Body>) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}
