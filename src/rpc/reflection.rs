//! Telling tools which services there are, in both generations of that service: tools of the field still ask for the
//! older one first.
//!
//! Few guests are ever asked, and the answers take 150 KiB: they are made for the first who asks.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic_reflection::server::{Builder, Error, v1, v1alpha};
use tower::Service;

use crate::proto;

/// Makes the service that tools of today ask for.
#[must_use]
pub fn current() -> Late<v1::ServerReflectionServer<impl v1::ServerReflection>> {
    late(|| builder().build_v1())
}

/// Makes the service of its first version.
#[must_use]
pub fn former() -> Late<v1alpha::ServerReflectionServer<impl v1alpha::ServerReflection>> {
    late(|| builder().build_v1alpha())
}

fn builder() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

fn late<S>(make: fn() -> Result<S, Error>) -> Late<S> {
    Late { make, made: Arc::default() }
}

/// Holds a service that is made at its first call; clones share it.
#[derive(Debug)]
pub struct Late<S> {
    make: fn() -> Result<S, Error>,
    made: Arc<OnceLock<S>>,
}

impl<S: Clone> Late<S> {
    fn get(&self) -> Result<S, Error> {
        if let Some(made) = self.made.get() {
            return Ok(made.clone());
        }
        let made = (self.make)()?;
        Ok(self.made.get_or_init(|| made).clone())
    }
}

impl<S> Clone for Late<S> {
    fn clone(&self) -> Self {
        Self { make: self.make, made: Arc::clone(&self.made) }
    }
}

impl<S: NamedService> NamedService for Late<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Late<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.get() {
            // A generated service is always ready.
            Ok(mut service) => Box::pin(service.call(request)),
            Err(error) => {
                let status = Status::internal(format!("cannot describe the services: {error}"));
                Box::pin(std::future::ready(Ok(status.into_http())))
            }
        }
    }
}
