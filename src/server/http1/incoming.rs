//! The body of a request.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite};

use super::line::{Line, Torn};

/// Reads the body of a request from its connection as it is asked for. Dropped before its end, the rest is passed over if
/// it has come already; otherwise the connection ends with the answer.
pub(in crate::server) struct Incoming<T>(Option<Line<T>>);

impl<T> Incoming<T> {
    pub(super) fn new(line: Option<Line<T>>) -> Self {
        Self(line)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> http_body::Body for Incoming<T> {
    type Data = Bytes;
    type Error = Torn;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Torn>>> {
        let Some(line) = &self.0 else { return Poll::Ready(None) };
        let polled = line.poll_body(cx);
        // The line goes on to the next request, whose body is not this one.
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) || line.is_over() {
            self.0 = None;
        }
        polled.map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.as_ref().map(Line::left) {
            None => SizeHint::with_exact(0),
            Some(Some(left)) => SizeHint::with_exact(left),
            Some(None) => SizeHint::new(),
        }
    }
}

impl<T> Drop for Incoming<T> {
    fn drop(&mut self) {
        if let Some(line) = &self.0 {
            line.give_up();
        }
    }
}
