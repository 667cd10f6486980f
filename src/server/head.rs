//! The time that a client has for a request head.
//!
//! The silence between two requests may be long (proxies keep connections for ten minutes), a head that trickles in
//! may not (a slow head is an attack or a dead client). hyper has one timer for both, and sets it anew for each
//! request, which costs two system calls; so it has none here, and this wrapper has one timer a connection, which is
//! set anew only where it would come too late. When it comes too early it is set to the rest.
//!
//! The first bytes tell the version of HTTP. They are read here, and handed over with what follows them in one read:
//! hyper takes a second read for a sign that its buffer of 8 KiB is too small.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// First bytes of an HTTP/2 connection (RFC 9113, 3.4). It has no heads in this sense.
const HTTP2: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes of a connection say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
    /// There are none: the client has left.
    None,
}

/// Tells the connection that a request is being answered, so bytes that come are not a slow head.
#[derive(Clone, Debug, Default)]
pub(super) struct Busy(Arc<Turns>);

#[derive(Debug, Default)]
struct Turns {
    busy: AtomicBool,
    /// Requests so far: a head that began before the latest is whole.
    count: AtomicU32,
}

impl Busy {
    pub(super) fn begin(&self) {
        self.0.count.fetch_add(1, Ordering::Relaxed);
        self.0.busy.store(true, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.0.busy.store(false, Ordering::Relaxed);
    }

    fn get(&self) -> (bool, u32) {
        (self.0.busy.load(Ordering::Relaxed), self.0.count.load(Ordering::Relaxed))
    }
}

/// Says what a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// The next request, since then; the count of requests tells this silence from the one before.
    Silence { since: Instant, count: u32 },
    /// The rest of a head that began then.
    Head { since: Instant, count: u32 },
    /// Whatever a request or HTTP/2 takes.
    Unbounded,
}

/// Wraps a connection and fails its reads when a head takes too long, or its first byte.
pub(super) struct TimedHead<S> {
    stream: S,
    busy: Busy,
    limit: Duration,
    idle: Duration,
    wait: Wait,
    timer: Option<Pin<Box<Sleep>>>,
    /// First bytes, of which `known` are there, until they are handed over.
    start: [u8; HTTP2.len()],
    known: usize,
    http2: bool,
}

impl<S> TimedHead<S> {
    /// Gives the first byte `idle`, each head `limit` from its first byte on, and each silence between two requests
    /// `idle` again. Needs a running runtime.
    pub(super) fn new(stream: S, busy: Busy, limit: Duration, idle: Duration) -> Self {
        let wait = Wait::Silence { since: Instant::now(), count: 0 };
        Self { stream, busy, limit, idle, wait, timer: None, start: [0; HTTP2.len()], known: 0, http2: false }
    }

    /// Learns from what was just read what is waited for now.
    fn turn(&mut self, came: bool) {
        let (busy, count) = self.busy.get();
        self.wait = match self.wait {
            _ if self.http2 || busy => Wait::Unbounded,
            Wait::Head { count: began, .. } if began == count => self.wait,
            _ if came => Wait::Head { since: Instant::now(), count },
            Wait::Silence { count: began, .. } if began == count => self.wait,
            _ => Wait::Silence { since: Instant::now(), count },
        };
    }

    /// Comes when the wait has been too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let due = match self.wait {
            Wait::Silence { since, .. } => since + self.idle,
            Wait::Head { since, .. } => since + self.limit,
            Wait::Unbounded => return Poll::Pending,
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> TimedHead<S> {
    /// Reads as much as tells the version; to be called before anything else is read, until it is ready.
    pub(super) fn poll_version(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Version>> {
        while self.known < HTTP2.len() && HTTP2.starts_with(&self.start[..self.known]) {
            let mut start = self.start;
            let mut rest = ReadBuf::new(&mut start[self.known..]);
            ready!(self.poll_stream(cx, &mut rest))?;
            let read = rest.filled().len();
            if read == 0 {
                return Poll::Ready(Ok(if self.known == 0 { Version::None } else { Version::Http1 }));
            }
            self.start = start;
            self.known += read;
        }
        self.http2 = self.start == *HTTP2;
        Poll::Ready(Ok(if self.http2 { Version::Http2 } else { Version::Http1 }))
    }

    fn poll_stream(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.turn(buffer.filled().len() > before);
        if polled.is_pending() && self.poll_late(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedHead<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.known == 0 {
            return self.poll_stream(cx, buffer);
        }
        let (known, given) = (self.known, self.known.min(buffer.remaining()));
        buffer.put_slice(&self.start[..given]);
        self.start.copy_within(given..known, 0);
        self.known -= given;
        match self.poll_stream(cx, buffer) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
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
    const IDLE: Duration = Duration::from_secs(640);

    async fn version<S: AsyncRead + Unpin>(server: &mut TimedHead<S>) -> Version {
        std::future::poll_fn(|cx| server.poll_version(cx)).await.unwrap()
    }

    #[tokio::test]
    async fn the_first_bytes_tell_the_version_and_come_with_those_behind_them() {
        for (sent, expected) in [
            (&b"GET / HTTP/1.1"[..], Version::Http1),
            (b"PUT / HTTP/1.1", Version::Http1),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore", Version::Http2),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", Version::Http1),
            (b"PRI * HTTP/2.0", Version::Http1),
            (b"P", Version::Http1),
            (b"X", Version::Http1),
            (b"", Version::None),
        ] {
            let (mut client, server) = duplex(100);
            let mut server = TimedHead::new(server, Busy::default(), LIMIT, IDLE);
            client.write_all(sent).await.unwrap();
            drop(client);
            assert_eq!(version(&mut server).await, expected, "{sent:?}");
            let mut buffer = [0; 40];
            assert_eq!(server.read(&mut buffer).await.unwrap(), sent.len());
            assert_eq!(&buffer[..sent.len()], sent);
            assert_eq!(server.read(&mut buffer).await.unwrap(), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn first_bytes_that_trickle_in_are_a_head_and_none_at_all_a_silence() {
        let (mut client, server) = duplex(100);
        let mut server = TimedHead::new(server, Busy::default(), LIMIT, IDLE);
        assert!(tokio::time::timeout(LIMIT * 10, version(&mut server)).await.is_err());
        for byte in [b"P", b"R"] {
            client.write_all(byte).await.unwrap();
            assert!(tokio::time::timeout(LIMIT / 3, version(&mut server)).await.is_err());
        }
        let waited = std::future::poll_fn(|cx| server.poll_version(cx));
        let error = tokio::time::timeout(LIMIT, waited).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_in_is_given_up_long_before_a_silent_connection() {
        let (mut client, server) = duplex(100);
        let mut server = TimedHead::new(server, Busy::default(), LIMIT, IDLE);
        let mut buffer = [0; 10];
        assert!(tokio::time::timeout(LIMIT * 10, server.read(&mut buffer)).await.is_err());
        client.write_all(b"GET").await.unwrap();
        assert_eq!(server.read(&mut buffer).await.unwrap(), 3);
        let error = tokio::time::timeout(LIMIT * 2, server.read(&mut buffer)).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_never_says_a_byte_is_given_up() {
        let (_client, server) = duplex(100);
        let mut server = TimedHead::new(server, Busy::default(), LIMIT, IDLE);
        let read = tokio::time::timeout(IDLE * 2, server.read(&mut [0; 10])).await.unwrap();
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_an_http2_connection_and_a_pause_between_requests_may_take_their_time() {
        for (first, requests) in [(&HTTP2[..], 0), (b"POST", 1), (b"GET", 2)] {
            let (mut client, server) = duplex(100);
            let state = Busy::default();
            let mut server = TimedHead::new(server, state.clone(), LIMIT, IDLE);
            let mut buffer = [0; 40];
            client.write_all(first).await.unwrap();
            version(&mut server).await;
            assert_eq!(server.read(&mut buffer).await.unwrap(), first.len());
            if requests > 0 {
                state.begin();
            }
            if requests > 1 {
                state.end();
            }
            assert!(tokio::time::timeout(LIMIT * 10, server.read(&mut buffer)).await.is_err());
        }
    }
}
