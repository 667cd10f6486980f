//! The body of a request on its way to a VM, the beginning of which is kept while it may have to be sent again.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Bytes of a body that are kept: the calls of the SDKs are smaller, and a thousand waiting ones are 64 MiB.
const KEPT: usize = 64 << 10;
/// How long a body waits for the server's `100 Continue`; servers that don't know it never send one (RFC 9110, 10.1.1).
const CONTINUE: Duration = Duration::from_secs(1);
/// How long a body is read on when its answer is there, and how much of it: a connection that is closed while the
/// client sends is reset, and the answer lost.
const LINGER: (Duration, usize) = (Duration::from_secs(2), 128 << 20);

/// The body of one request. Each attempt to send it has a [`Sending`]; a new one ends those before.
#[derive(Debug)]
pub(super) struct Upload(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// `None` once it ended.
    body: Option<Incoming>,
    /// All that was read so far; `None` when it got too much, or is needed no more.
    kept: Option<Vec<Bytes>>,
    size: usize,
    trailers: Option<HeaderMap>,
    hint: SizeHint,
    /// The client waits until it is told to go on.
    expects: bool,
    /// The head of the answer is there.
    answered: bool,
    /// The attempt that may read.
    attempt: u64,
}

/// One attempt to send a body.
pub(super) struct Sending {
    state: Arc<Mutex<State>>,
    attempt: u64,
    /// Kept pieces that were sent.
    next: usize,
    /// Ends when the server wants the body.
    hold: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    ended: bool,
}

impl Upload {
    /// Takes a body; `expects` when the client sends it only after `100 Continue`.
    pub(super) fn new(body: Incoming, expects: bool) -> Self {
        let hint = body.size_hint();
        let body = Some(body).filter(|body| !body.is_end_stream());
        let state =
            State { body, kept: Some(Vec::new()), size: 0, trailers: None, hint, expects, answered: false, attempt: 0 };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Begins to send from the beginning. The token lets the body go where the client expects to be told; others go
    /// at once.
    pub(super) fn send(&self) -> (Sending, CancellationToken) {
        let go = CancellationToken::new();
        let mut state = lock(&self.0);
        state.attempt += 1;
        let hold: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = state.expects.then(|| {
            let told = go.clone().cancelled_owned();
            Box::pin(async move { drop(timeout(CONTINUE, told).await) }) as Pin<Box<dyn Future<Output = ()> + Send>>
        });
        let sending = Sending { state: Arc::clone(&self.0), attempt: state.attempt, next: 0, hold, ended: false };
        (sending, go)
    }

    /// Tells whether it can be sent from the beginning.
    pub(super) fn is_whole(&self) -> bool {
        lock(&self.0).kept.is_some()
    }

    /// Tells whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        let state = lock(&self.0);
        state.body.is_none() && state.size == 0 && state.trailers.is_none()
    }

    /// The head of the answer is there: nobody will want it from the beginning, and who waited to be told to go on
    /// was told not to.
    pub(super) fn settle(&self) {
        let mut state = lock(&self.0);
        state.answered = true;
        state.kept = None;
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Reads on from the client.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.expects = false;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = match ready!(Pin::new(&mut *body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                self.body = None;
                // What is there is not all: never again.
                self.kept = None;
                return Poll::Ready(Some(Err(io::Error::other(error))));
            }
            None => {
                self.body = None;
                return Poll::Ready(None);
            }
        };
        if let Some(data) = frame.data_ref() {
            self.size = self.size.saturating_add(data.len());
            match &mut self.kept {
                Some(kept) if self.size <= KEPT => kept.push(data.clone()),
                _ => self.kept = None,
            }
        } else {
            self.trailers = frame.trailers_ref().cloned();
        }
        if body.is_end_stream() {
            self.body = None;
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(hold) = &mut self.hold {
            ready!(hold.as_mut().poll(cx));
            self.hold = None;
        }
        let this = &mut *self;
        let mut state = lock(&this.state);
        if state.attempt != this.attempt {
            return Poll::Ready(Some(Err(io::Error::other("the request is sent elsewhere"))));
        }
        if state.expects && state.answered {
            return Poll::Pending;
        }
        if let Some(piece) = state.kept.as_ref().and_then(|kept| kept.get(this.next)).cloned() {
            this.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if state.body.is_none() && !this.ended {
            // Read by an earlier attempt.
            this.ended = true;
            return Poll::Ready(state.trailers.clone().map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let frame = ready!(state.poll_more(cx));
        if state.kept.is_some() && matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
            this.next += 1;
        }
        this.ended |= state.body.is_none();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let state = lock(&self.state);
        let sent = state.kept.as_ref().is_none_or(|kept| self.next >= kept.len());
        state.body.is_none() && sent && (self.ended || state.trailers.is_none())
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.state).hint
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|_| !self.expects) else { return };
        // Outside a runtime there is no connection either. The task ends by itself, within its bounds.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (time, most) = LINGER;
            runtime.spawn(timeout(time, drain(body, most)));
        }
    }
}

/// Reads and drops so many bytes.
async fn drain(mut body: Incoming, mut left: usize) {
    while let Some(Ok(frame)) = body.frame().await {
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
