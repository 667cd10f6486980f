//! One request on one connection.

use std::time::Duration;

use ::http::{Method, Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::{Agent, AgentError};

/// Drives a connection; the connection ends with it.
pub(super) type Driver = AbortOnDropHandle<()>;

impl Agent {
    pub(super) async fn get(&self, path: &str, limit: Duration) -> Result<(u16, Bytes), AgentError> {
        let request = self.request(Method::GET, path).body(Full::default());
        self.whole(path, request, limit).await
    }

    pub(super) async fn post(
        &self,
        path: &str,
        kind: &str,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<(u16, Bytes), AgentError> {
        let request = self.request(Method::POST, path).header("content-type", kind).body(Full::from(body));
        self.whole(path, request, limit).await
    }

    /// Starts a request; names host and token.
    pub(super) fn request(&self, method: Method, path: &str) -> ::http::request::Builder {
        let builder = Request::builder().method(method).uri(path).header("host", self.address.to_string());
        match &self.token {
            Some(token) => builder.header("x-access-token", token),
            None => builder,
        }
    }

    async fn whole(
        &self,
        what: &str,
        request: Result<Request<Full<Bytes>>, ::http::Error>,
        limit: Duration,
    ) -> Result<(u16, Bytes), AgentError> {
        let whole = async {
            let (response, _driver) = self.send(what, request).await?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await;
            let body = body.map_err(|source| AgentError::Broken { what: what.into(), source })?;
            Ok((status, body.to_bytes()))
        };
        timeout(limit, whole).await.unwrap_or_else(|_| Err(AgentError::Late { what: what.into(), limit }))
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &self,
        what: &str,
        request: Result<Request<Full<Bytes>>, ::http::Error>,
    ) -> Result<(Response<Incoming>, Driver), AgentError> {
        let request = request.map_err(|error| AgentError::strange(what, error.to_string()))?;
        let broken = |source| AgentError::Broken { what: what.into(), source };
        let stream = TcpStream::connect(self.address).await;
        let stream = stream.map_err(|source| AgentError::Connect { address: self.address, source })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // Its error is also that of the request.
        let driver = Driver::new(tokio::spawn(async move { drop(connection.await) }));
        Ok((sender.send_request(request).await.map_err(broken)?, driver))
    }
}
