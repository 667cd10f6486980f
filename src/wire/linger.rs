//! A request body that is read on for a moment when nobody wants it any more.
//!
//! Over HTTP/1.1 a server that answers early and closes makes the kernel reset
//! the connection, and the answer is lost to a client that still sends. So the
//! rest is read and dropped, within bounds, while the answer goes out; if the
//! body ends within them, the connection stays usable.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Version};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tonic::Status;
use tonic::body::Body;

use super::settings::Linger;

/// A request body that lingers when it is dropped before its end.
#[derive(Debug)]
pub struct Lingering {
    /// `None` once it ended.
    body: Option<Body>,
    /// `None` where a stream can end without its connection (HTTP/2).
    bounds: Option<Linger>,
    /// A client that waits for `100 Continue` has not sent anything yet.
    waiting: bool,
}

impl Lingering {
    /// Wraps the body of a request.
    pub fn wrap<B>(request: Request<B>, bounds: Linger) -> Request<Self>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<tonic::codegen::StdError>,
    {
        let http1 = request.version() <= Version::HTTP_11;
        let waiting = request.headers().contains_key(http::header::EXPECT);
        request.map(|body| Self {
            body: Some(Body::new(body)).filter(|body| !body.is_end_stream()),
            bounds: http1.then_some(bounds),
            waiting,
        })
    }
}

impl http_body::Body for Lingering {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.waiting = false;
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let ended = SizeHint::with_exact(0);
        self.body.as_ref().map_or(ended, Body::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let (Some(body), Some(bounds), false) = (self.body.take(), self.bounds, self.waiting) else {
            return;
        };
        if body.is_end_stream() {
            return;
        }
        // Outside a runtime there is no connection to save. The task ends by
        // itself within its bounds, so nobody has to wait for it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(bounds.time, drain(body, bounds.bytes)));
        }
    }
}

/// Reads and drops up to `most` bytes.
async fn drain(mut body: Body, most: u64) {
    let mut left = most;
    while let Some(Ok(frame)) = body.frame().await {
        let size = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(size as u64) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
