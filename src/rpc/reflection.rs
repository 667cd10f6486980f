//! The services that tell tools which services there are; tools of the field still ask for the older one first.
//!
//! Their tables hold every name of every message, some hundreds of small pieces all over the heap, and hardly any
//! guest is ever asked. So they are made for each call, and are gone with it.

use std::convert::Infallible;
use std::future::ready;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::NamedService;
use tonic_reflection::server::Builder;
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};
use tonic_reflection::server::v1alpha::{
    ServerReflection as OldServerReflection, ServerReflectionServer as OldServerReflectionServer,
};
use tower::Service;

use crate::proto;

/// Makes a service when it is called.
#[derive(Debug)]
pub struct OnDemand<S>(fn() -> Option<S>);

impl<S> Clone for OnDemand<S> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<S: NamedService> NamedService for OnDemand<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for OnDemand<S>
where
    S: Service<
            Request<Body>,
            Response = Response<Body>,
            Error = Infallible,
            Future = BoxFuture<Response<Body>, Infallible>,
        >,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match (self.0)() {
            // Ready at once: nothing of it waits for anything.
            Some(mut service) => service.call(request),
            None => Box::pin(ready(Ok(Status::internal("cannot read the descriptions of services").into_http()))),
        }
    }
}

/// The service as it is today.
#[must_use]
pub fn v1() -> OnDemand<ServerReflectionServer<impl ServerReflection>> {
    OnDemand(|| builder().build_v1().ok())
}

/// The service as it was.
#[must_use]
pub fn v1alpha() -> OnDemand<OldServerReflectionServer<impl OldServerReflection>> {
    OnDemand(|| builder().build_v1alpha().ok())
}

fn builder() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
