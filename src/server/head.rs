//! The time that a client has for a request head.
//!
//! hyper has one timer for both the silence between requests and a head that trickles in. The first must be long
//! (proxies keep connections for ten minutes), the second short (a slow head is an attack or a dead client). So
//! hyper gets the long one, and this wrapper starts the short one at the first byte of a head.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// First bytes of an HTTP/2 connection (RFC 9113, 3.4). It has no heads in this sense.
const HTTP2: &[u8] = b"PRI";

/// Tells the connection that a request is being answered, so bytes that come are not a slow head.
#[derive(Clone, Debug, Default)]
pub(super) struct Busy(Arc<AtomicBool>);

impl Busy {
    pub(super) fn set(&self, busy: bool) {
        self.0.store(busy, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Wraps a connection and fails its reads when a head takes too long.
pub(super) struct TimedHead<S> {
    stream: S,
    busy: Busy,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    fresh: bool,
    http2: bool,
}

impl<S> TimedHead<S> {
    pub(super) fn new(stream: S, busy: Busy, limit: Duration) -> Self {
        Self { stream, busy, limit, timer: None, fresh: true, http2: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedHead<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let read = &buffer.filled()[before..];
        if this.fresh && !read.is_empty() {
            this.fresh = false;
            this.http2 = read.starts_with(HTTP2);
        }
        if this.http2 || this.busy.get() {
            this.timer = None;
        } else if !read.is_empty() && this.timer.is_none() {
            this.timer = Some(Box::pin(tokio::time::sleep(this.limit)));
        }
        let late = this.timer.as_mut().is_some_and(|timer| polled.is_pending() && timer.as_mut().poll(cx).is_ready());
        if late { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { polled }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedHead<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_in_is_given_up_and_a_silent_connection_is_not() {
        let (mut client, server) = duplex(100);
        let mut server = TimedHead::new(server, Busy::default(), LIMIT);
        let mut buffer = [0; 10];
        let silent = tokio::time::timeout(LIMIT * 10, server.read(&mut buffer)).await;
        assert!(silent.is_err());
        client.write_all(b"GET").await.unwrap();
        assert_eq!(server.read(&mut buffer).await.unwrap(), 3);
        let error = server.read(&mut buffer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_and_an_http2_connection_may_take_their_time() {
        for (first, busy) in [(&b"PRI * HTTP/2.0"[..], false), (b"POST", true)] {
            let (mut client, server) = duplex(100);
            let state = Busy::default();
            let mut server = TimedHead::new(server, state.clone(), LIMIT);
            let mut buffer = [0; 20];
            client.write_all(first).await.unwrap();
            assert_eq!(server.read(&mut buffer).await.unwrap(), first.len());
            state.set(busy);
            assert!(tokio::time::timeout(LIMIT * 10, server.read(&mut buffer)).await.is_err());
        }
    }
}
