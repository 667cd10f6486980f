//! The body of an answer on its way to a client.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio_util::sync::CancellationToken;

use super::line::{Claim, Line, is_gone};
use super::upload::Upload;
use super::upstream::Driver;

/// An answer; the connection to the VM lives as long.
pub(super) struct Download {
    pub(super) body: Incoming,
    pub(super) line: Arc<Line>,
    /// The end of this connection is the end of the body, or what a VM that went left of it.
    pub(super) unframed: bool,
    /// A client of before HTTP/1.1 has no other end to see either.
    pub(super) old_client: bool,
    pub(super) ending: Ending,
    pub(super) held: Held,
}

/// What lives as long as an answer.
pub(super) struct Held {
    pub(super) gone: CancellationToken,
    pub(super) _claim: Claim,
    pub(super) _driver: Driver,
    pub(super) _upload: Upload,
}

/// How far the end of an answer is.
pub(super) enum Ending {
    /// Not yet.
    Flowing,
    /// It looks complete: is the VM still there?
    Asking(Pin<Box<dyn Future<Output = bool> + Send>>),
    /// It broke; what came before is on its way first.
    Broken(Option<io::Error>),
    /// It is complete.
    Complete,
}

impl Download {
    /// Breaks, once what came before had its chance to go out.
    fn fail(&mut self, error: io::Error, cx: &Context<'_>) {
        if self.old_client {
            self.line.cut();
        }
        self.ending = Ending::Broken(Some(error));
        cx.waker().wake_by_ref();
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        match &mut this.ending {
            Ending::Flowing => match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => return Poll::Ready(Some(Ok(frame))),
                Some(Err(error)) => {
                    this.fail(io::Error::other(error), cx);
                    return Poll::Pending;
                }
                None if !this.unframed => {
                    this.ending = Ending::Complete;
                    return Poll::Ready(None);
                }
                None => {
                    let gone = this.held.gone.clone();
                    this.ending = Ending::Asking(Box::pin(async move { is_gone(&gone).await }));
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            },
            Ending::Asking(gone) => {
                if ready!(gone.as_mut().poll(cx)) {
                    this.fail(io::Error::from(io::ErrorKind::ConnectionReset), cx);
                    return Poll::Pending;
                }
                this.ending = Ending::Complete;
            }
            Ending::Broken(error) => {
                if let Some(error) = error.take() {
                    return Poll::Ready(Some(Err(error)));
                }
            }
            Ending::Complete => {}
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        match self.ending {
            Ending::Flowing => !self.unframed && self.body.is_end_stream(),
            Ending::Asking(_) | Ending::Broken(_) => false,
            Ending::Complete => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
