//! One connection, served in the version of HTTP that its first bytes tell.
//!
//! hyper-util's `auto` does the same with one place for both versions: it is as large as HTTP/2 needs it, is polled from
//! 28 KiB of stack, and reads the first request in two pieces, for which hyper doubles its buffer
//! (docs/performance.md).

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};

use super::head::{TimedHead, Version};

/// Why a connection ended early.
pub(super) type Broken = Box<dyn Error + Send + Sync>;

/// How each version is served.
#[derive(Debug)]
pub(super) struct Versions<E> {
    pub(super) http1: http1::Builder,
    pub(super) http2: http2::Builder<E>,
}

/// Serves a connection; ready when that has ended.
pub(super) struct Served<'a, T, S, E>(State<'a, T, S, E>);

enum State<'a, T, S, E> {
    /// What the client speaks is not known yet.
    Opening(TimedHead<T>, S, Arc<Versions<E>>),
    Open(Pin<Box<Open<'a>>>),
    Ended,
}

type Open<'a> = dyn GracefulConnection<Error = hyper::Error, Output = hyper::Result<()>> + Send + 'a;

impl<T, S, E> Served<'_, T, S, E> {
    /// Prepares to serve what comes on `stream`.
    pub(super) fn new(stream: TimedHead<T>, service: S, versions: Arc<Versions<E>>) -> Self {
        Self(State::Opening(stream, service, versions))
    }

    /// Lets it end as soon as what is being answered is answered.
    pub(super) fn shut_down(&mut self) {
        match &mut self.0 {
            State::Opening(..) => self.0 = State::Ended,
            State::Open(connection) => connection.as_mut().graceful_shutdown(),
            State::Ended => {}
        }
    }
}

// Nothing in it is pinned: what is open has a box of its own.
impl<T, S, E> Unpin for Served<'_, T, S, E> {}

impl<'a, T, S, E, B> Future for Served<'a, T, S, E>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'a,
    S::Error: Into<Broken>,
    S::Future: Send + 'a,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Broken>,
    E: Http2ServerConnExec<S::Future, B> + Send + Unpin + 'a,
{
    type Output = Result<(), Broken>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Opening(stream, ..) = &mut self.0 {
            let version = ready!(stream.poll_version(cx))?;
            self.open(version);
        }
        match &mut self.0 {
            State::Open(connection) => connection.as_mut().poll(cx).map_err(Into::into),
            State::Opening(..) | State::Ended => Poll::Ready(Ok(())),
        }
    }
}

impl<'a, T, S, E, B> Served<'a, T, S, E>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'a,
    S::Error: Into<Broken>,
    S::Future: Send + 'a,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Broken>,
    E: Http2ServerConnExec<S::Future, B> + Send + Unpin + 'a,
{
    // Apart, so that the stack which this takes is not that of every poll.
    #[inline(never)]
    fn open(&mut self, version: Version) {
        let State::Opening(stream, service, versions) = std::mem::replace(&mut self.0, State::Ended) else { return };
        let stream = TokioIo::new(stream);
        self.0 = match version {
            Version::Http1 => State::Open(Box::pin(versions.http1.serve_connection(stream, service))),
            Version::Http2 => State::Open(Box::pin(versions.http2.serve_connection(stream, service))),
            Version::None => State::Ended,
        };
    }
}
