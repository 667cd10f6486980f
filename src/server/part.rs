//! The end of a connection when the guest is about to be paused: no byte of it may sit in a snapshot.
//!
//! A connection that is idle closes at once. One that answers finishes what it answers and closes; what does not
//! finish in time is cut. A control request, such as the freeze itself, is always answered first. What was written
//! is then given a moment to arrive at the other end, since a socket buffer in a snapshot reaches nobody.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::bind::{Connection, Stream};
use super::connections::Visit;
use super::served::{Broken, Served};
use crate::base::{Lives, Phase};
use crate::sys::socket;

/// How long a request may go on once programs are being stopped: short answers finish, and a freeze stays well below
/// a second.
const GRACE: Duration = Duration::from_millis(500);
/// How long a connection that was just made may take to say its first request.
const FIRST: Duration = Duration::from_millis(100);
/// How long written bytes may take to be acknowledged: several round trips to anywhere.
const ARRIVAL: Duration = Duration::from_millis(200);
/// Between two looks at what is not acknowledged; the kernel has no event for it.
const LOOK: Duration = Duration::from_millis(1);

/// Says how a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself, or the client left.
    Alone,
    /// For a pause, with everything written.
    Parted,
    /// For a pause, in the middle of something.
    Cut,
}

/// Serves a connection to its end, which the next pause brings at the latest.
pub(super) async fn drive<'a, T, S, E>(connection: &mut Served<'a, T, S, E>, visit: &Visit, mut lives: Lives) -> Ended
where
    Served<'a, T, S, E>: Future<Output = Result<(), Broken>>,
{
    let fresh = lives.now().phase == Phase::Freezing;
    let pause = async {
        if fresh {
            // It came too late to be parted with the others. Its request may be one that undoes the freeze.
            let _ = timeout(FIRST, visit.begun()).await;
        } else {
            lives.parted().await;
        }
    };
    tokio::select! {
        // A request may have come while the agent was busy, and be read only now that its time is up.
        biased;
        result = &mut *connection => {
            if let Err(error) = result {
                // Clients leave in the middle all the time.
                tracing::trace!(?error, "connection ended");
            }
            return Ended::Alone;
        }
        () = pause => {}
    }
    // In a place that the thousands of others do not have.
    Box::pin(end(connection, visit)).await
}

/// Ends a connection for a pause.
async fn end<'a, T, S, E>(connection: &mut Served<'a, T, S, E>, visit: &Visit) -> Ended
where
    Served<'a, T, S, E>: Future<Output = Result<(), Broken>>,
{
    connection.shut_down();
    loop {
        match timeout(GRACE, &mut *connection).await {
            Ok(Ok(())) => return Ended::Parted,
            Ok(Err(_)) => return Ended::Cut,
            Err(_) => visit.cut(),
        }
        if !visit.is_controlling() {
            return Ended::Cut;
        }
        tokio::select! {
            result = &mut *connection => return if result.is_ok() { Ended::Parted } else { Ended::Cut },
            // Its answer gets the same grace to go out.
            () = visit.controlled() => {}
        }
    }
}

/// Waits until the other end has everything, for a moment at most.
pub(super) async fn arrived(stream: Stream) {
    let deadline = Instant::now() + ARRIVAL;
    while socket::unacknowledged(stream.as_fd()) > 0 && Instant::now() < deadline {
        sleep(LOOK).await;
    }
}

/// Lends a stream, which comes back when this is dropped.
pub(super) struct Lent {
    stream: Option<Stream>,
    back: Option<oneshot::Sender<Stream>>,
}

impl Lent {
    pub(super) fn new(stream: Stream) -> (Self, oneshot::Receiver<Stream>) {
        let (back, come) = oneshot::channel();
        (Self { stream: Some(stream), back: Some(back) }, come)
    }

    fn stream(&mut self) -> io::Result<Pin<&mut (dyn Connection + 'static)>> {
        self.stream.as_mut().map(Stream::as_mut).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(stream), Some(back)) = (self.stream.take(), self.back.take()) {
            // Nobody waits for it when the agent goes down.
            let _ = back.send(stream);
        }
    }
}

impl AsyncRead for Lent {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Lent {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.is_write_vectored())
    }
}
