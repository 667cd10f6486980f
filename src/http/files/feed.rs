//! A request body as it arrives.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http_body::Body as _;

use super::inflate::Inflate;

/// Most bytes of a multipart head, with the boundary before it.
const MOST_HEAD: u64 = 64 * 1024;
/// Longest time that an answered body is read on, so that the answer is not lost to a connection reset.
const LINGER: Duration = Duration::from_millis(500);
/// Most bytes that are read on.
const MOST_LINGER: u64 = 64 * 1024 * 1024;

/// Says why a body ended early.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum FeedError {
    /// Fewer bytes than announced, a broken chunk, a lost connection.
    #[error("error reading request body: {0}")]
    Broken(String),
    /// Not gzip, or not all of it.
    #[error("error decompressing request body: {0}")]
    Gzip(String),
    /// A multipart head without end.
    #[error("multipart head is longer than {MOST_HEAD} bytes")]
    Head,
}

/// Shares a body between the form parser, which swallows what it reads from, and the code around it.
#[derive(Clone)]
pub(super) struct Feed(Arc<Mutex<Inner>>);

struct Inner {
    body: Body,
    inflate: Option<Inflate>,
    ended: bool,
    /// Gave a piece without waiting: the next poll must let others run, and the form parser write, which takes all
    /// that there is.
    eager: bool,
    /// Bytes that the form parser may take until it has found a head.
    head: Option<u64>,
    touched: bool,
}

impl Feed {
    /// Takes a body over, unpacking it if it is packed.
    pub(super) fn new(body: Body, gzip: bool) -> Self {
        let inflate = gzip.then(Inflate::new);
        let inner = Inner { body, inflate, ended: false, eager: false, head: None, touched: false };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Bounds what follows, which must be a multipart head.
    pub(super) fn expect_head(&self) {
        self.inner().head = Some(MOST_HEAD);
    }

    /// Lifts the bound: what follows is content.
    pub(super) fn expect_content(&self) {
        self.inner().head = None;
    }

    /// Reads to the end, which must be a good one.
    pub(super) async fn finish(&mut self) -> Result<(), FeedError> {
        while let Some(frame) = self.next().await {
            frame?;
        }
        Ok(())
    }

    /// Reads on for a bounded moment after the request was refused; a client that waits for `100 Continue` is not
    /// asked for more.
    pub(super) async fn linger(&self, expects_continue: bool) {
        if expects_continue && !self.inner().touched {
            return;
        }
        let mut left = MOST_LINGER;
        let read_on = std::future::poll_fn(|context| {
            loop {
                match ready!(Pin::new(&mut self.inner().body).poll_frame(context)) {
                    Some(Ok(frame)) => {
                        left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
                        if left == 0 {
                            return Poll::Ready(());
                        }
                    }
                    _ => return Poll::Ready(()),
                }
            }
        });
        let _ = tokio::time::timeout(LINGER, read_on).await;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream for Feed {
    type Item = Result<Bytes, FeedError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut inner = self.inner();
        let item = ready!(inner.poll(context));
        if let (Some(left), Some(Ok(bytes))) = (inner.head, &item) {
            // One frame more than the bound may pass: content behind a short head comes in the same frame.
            if left == 0 {
                return Poll::Ready(Some(Err(FeedError::Head)));
            }
            inner.head = Some(left.saturating_sub(bytes.len() as u64));
        }
        Poll::Ready(item)
    }
}

impl Inner {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, FeedError>>> {
        self.touched = true;
        if std::mem::take(&mut self.eager) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if let Some(inflate) = &mut self.inflate {
                match inflate.next() {
                    Ok(Some(piece)) => {
                        self.eager = true;
                        return Poll::Ready(Some(Ok(piece)));
                    }
                    Ok(None) => {}
                    Err(error) => return Poll::Ready(Some(Err(FeedError::Gzip(error.to_string())))),
                }
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match (frame.into_data(), &mut self.inflate) {
                    (Ok(data), Some(inflate)) => inflate.feed(data),
                    (Ok(data), None) => {
                        self.eager = true;
                        return Poll::Ready(Some(Ok(data)));
                    }
                    // Trailers say nothing here.
                    (Err(_), _) => {}
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(FeedError::Broken(error.to_string())))),
                None => {
                    self.ended = true;
                    if let Some(mut inflate) = self.inflate.take() {
                        let last = inflate.finish().map_err(|error| FeedError::Gzip(error.to_string()));
                        return Poll::Ready(Some(last));
                    }
                }
            }
        }
    }
}
