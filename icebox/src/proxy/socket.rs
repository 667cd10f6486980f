//! A connection that can end in two ways.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Who decides how a connection ends, and hears what comes on it.
pub(super) trait End {
    /// Something came.
    fn heard(&self);
    /// It was reset, or could not be read or written for another reason.
    fn broken(&self);
    /// Whether it ends with a reset, and not as if all were said.
    fn is_cut(&self) -> bool;
}

/// A connection whose end is decided elsewhere.
#[derive(Debug)]
pub(super) struct Socket<E: End> {
    stream: TcpStream,
    end: Arc<E>,
}

impl<E: End> Socket<E> {
    /// Small messages go out at once: each is one that somebody waits for.
    pub(super) fn new(stream: TcpStream, end: Arc<E>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, end })
    }

    /// Tells of an error. A reset is told once, to whoever reads or writes first.
    fn noted<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.is_err() {
            self.end.broken();
        }
        result
    }
}

impl<E: End> Drop for Socket<E> {
    fn drop(&mut self) {
        if self.end.is_cut() {
            // Where this fails the connection is broken already.
            drop(self.stream.set_zero_linger());
        }
    }
}

impl<E: End> AsyncRead for Socket<E> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        self.noted(read)?;
        if buffer.filled().len() > before {
            self.end.heard();
        }
        Poll::Ready(Ok(()))
    }
}

impl<E: End> AsyncWrite for Socket<E> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        Poll::Ready(self.noted(written))
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
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices));
        Poll::Ready(self.noted(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
