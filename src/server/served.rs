//! One connection, served in the version of HTTP that its first bytes tell.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::server::conn::http2;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::head::{TimedHead, Version};
use super::http1;

/// Why a connection ended early.
pub(super) type Broken = Box<dyn Error + Send + Sync>;

/// Serves a connection; ready when that has ended.
pub(super) struct Served<'a, T, S, E>(State<'a, T, S, E>);

enum State<'a, T, S, E> {
    /// What the client speaks is not known yet. In a box, so that a connection is no larger for it later.
    Opening(Box<Opening<T, S, E>>),
    Open(Pin<Box<dyn Open + Send + 'a>>),
    Ended,
}

struct Opening<T, S, E> {
    stream: TimedHead<T>,
    service: S,
    http2: Arc<http2::Builder<E>>,
}

/// A connection of either version.
trait Open: Future<Output = Result<(), Broken>> {
    /// Lets it end as soon as what is being answered is answered.
    fn shut_down(self: Pin<&mut Self>);
}

impl<T, S, E> Served<'_, T, S, E> {
    /// Prepares to serve what comes on `stream`; HTTP/2 as `http2` says.
    pub(super) fn new(stream: TimedHead<T>, service: S, http2: Arc<http2::Builder<E>>) -> Self {
        Self(State::Opening(Box::new(Opening { stream, service, http2 })))
    }

    /// Lets it end as soon as what is being answered is answered.
    pub(super) fn shut_down(&mut self) {
        match &mut self.0 {
            State::Opening(..) => self.0 = State::Ended,
            State::Open(connection) => connection.as_mut().shut_down(),
            State::Ended => {}
        }
    }
}

// Nothing in it is pinned: what is open has a box of its own.
impl<T, S, E> Unpin for Served<'_, T, S, E> {}

impl<'a, T, S, E, F, B, R> Future for Served<'a, T, S, E>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Fn(Request<Body>) -> F + Send + 'a,
    F: Future<Output = Result<Response<B>, R>> + Send + 'static,
    R: Into<Broken>,
    B: http_body::Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Broken>,
    E: Http2ServerConnExec<F, B> + Send + Unpin + 'a,
{
    type Output = Result<(), Broken>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Opening(opening) = &mut self.0 {
            let version = ready!(opening.stream.poll_version(cx))?;
            self.open(version);
        }
        match &mut self.0 {
            State::Open(connection) => connection.as_mut().poll(cx),
            State::Opening(..) | State::Ended => Poll::Ready(Ok(())),
        }
    }
}

impl<'a, T, S, E, F, B, R> Served<'a, T, S, E>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Fn(Request<Body>) -> F + Send + 'a,
    F: Future<Output = Result<Response<B>, R>> + Send + 'static,
    R: Into<Broken>,
    B: http_body::Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Broken>,
    E: Http2ServerConnExec<F, B> + Send + Unpin + 'a,
{
    // Apart, so that the stack which this takes is not that of every poll.
    #[inline(never)]
    fn open(&mut self, version: Version) {
        let State::Opening(opening) = std::mem::replace(&mut self.0, State::Ended) else { return };
        let Opening { stream, service, http2 } = *opening;
        self.0 = match version {
            Version::Http1 => {
                let service = move |request: Request<http1::Incoming<_>>| service(request.map(Body::new));
                State::Open(Box::pin(http1::Connection::new(stream, service)))
            }
            Version::Http2 => {
                let service = service_fn(move |request: Request<Incoming>| service(request.map(Body::new)));
                State::Open(Box::pin(Http2(http2.serve_connection(TokioIo::new(stream), service))))
            }
            Version::None => State::Ended,
        };
    }
}

impl<T, S, B> Open for http1::Connection<T, S, B>
where
    Self: Future<Output = Result<(), Broken>>,
{
    fn shut_down(mut self: Pin<&mut Self>) {
        http1::Connection::shut_down(&mut self);
    }
}

/// hyper's connection, with our errors.
struct Http2<C>(C);

impl<C> Future for Http2<C>
where
    C: Future<Output = hyper::Result<()>> + Unpin,
{
    type Output = Result<(), Broken>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(Into::into)
    }
}

impl<T, S, B, E> Open for Http2<http2::Connection<TokioIo<TimedHead<T>>, S, E>>
where
    Self: Future<Output = Result<(), Broken>>,
    T: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Broken>,
    B: http_body::Body + 'static,
    B::Error: Into<Broken>,
    E: Http2ServerConnExec<S::Future, B> + Unpin,
    http2::Connection<TokioIo<TimedHead<T>>, S, E>: Unpin,
{
    fn shut_down(mut self: Pin<&mut Self>) {
        Pin::new(&mut self.0).graceful_shutdown();
    }
}
