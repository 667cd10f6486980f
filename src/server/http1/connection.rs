//! A connection from its first request to its last answer.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body::Body;
use tokio::io::{AsyncRead, AsyncWrite};

use super::head::{Head, Malformed};
use super::incoming::Incoming;
use super::line::Line;
use super::outgoing::{self, Framing, Question};
use super::output::Output;

/// Bytes of an answer that are taken from its body before they are written: two chunks of a program's output, so that
/// a client that does not read holds no more than that beside them.
const AHEAD: usize = 64 << 10;

/// Why a connection ended early.
type Broken = Box<dyn Error + Send + Sync>;

/// Says that the body of an answer was not as long as its head said.
#[derive(Debug, thiserror::Error)]
enum Wrong {
    #[error("an answer has less than its head promised")]
    Short,
    #[error("an answer has more than its head promised")]
    Long,
}

/// Serves the requests of one client, one behind the other. Ready when the client has left or the last answer is written
/// and the sending side closed; dropped earlier, the client is cut off, and so is a body that is still being read.
pub(in crate::server) struct Connection<T, S, B> {
    line: Line<T>,
    service: S,
    state: State<B>,
    out: Output,
    /// No further request is read.
    closing: bool,
}

enum State<B> {
    /// Between two requests.
    Waiting,
    /// The service works on an answer.
    Asked(Question, Answer<B>),
    /// The answer is sent.
    Sending(Sending<B>),
    /// It is sent; its request may still be read.
    Sent,
    /// What is left is written, then the sending side is closed.
    Closing,
    Ended,
}

type Answer<B> = Pin<Box<dyn Future<Output = Result<Response<B>, Broken>> + Send>>;

struct Sending<B> {
    /// `None` behind its end.
    body: Option<B>,
    framing: Framing,
    /// Why the body ended early; told once what came before it is written.
    broken: Option<Broken>,
}

impl<T, S, B> Connection<T, S, B> {
    /// Prepares to serve what comes on `stream`.
    pub(in crate::server) fn new(stream: T, service: S) -> Self {
        Self { line: Line::new(stream), service, state: State::Waiting, out: Output::default(), closing: false }
    }

    /// Lets it end with the answer that is being given, or with that to a request that has begun to come. To be polled
    /// afterwards.
    pub(in crate::server) fn shut_down(&mut self) {
        self.closing = true;
    }

    /// Says whether nothing is kept for what comes or goes.
    #[cfg(test)]
    pub(super) fn is_bare(&self) -> bool {
        self.line.is_bare() && self.out.is_bare()
    }
}

// Nothing in it is pinned: an answer has a box of its own, and a body is `Unpin`.
impl<T, S, B> Unpin for Connection<T, S, B> {}

impl<T, S, B> Drop for Connection<T, S, B> {
    fn drop(&mut self) {
        self.line.close();
    }
}

impl<T, S, F, B, E> Future for Connection<T, S, B>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Fn(Request<Incoming<T>>) -> F,
    F: Future<Output = Result<Response<B>, E>> + Send + 'static,
    E: Into<Broken>,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Broken>,
{
    type Output = Result<(), Broken>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let this = &mut *self;
        loop {
            this.state = match &mut this.state {
                State::Waiting => match ready!(this.line.poll_head(cx, this.closing))? {
                    None => State::Closing,
                    Some(Ok(head)) => this.ask(head),
                    Some(Err(malformed)) => this.refuse(malformed),
                },
                State::Asked(_, answer) => match answer.as_mut().poll(cx) {
                    Poll::Ready(answer) => this.answer(answer?),
                    Poll::Pending => return this.line.poll_left(cx).map(|error| Err(error.into())),
                },
                State::Sending(sending) => match sending.poll(cx, &mut this.out, &this.line) {
                    Poll::Ready(sent) => {
                        sent?;
                        State::Sent
                    }
                    Poll::Pending => return this.line.poll_left(cx).map(|error| Err(error.into())),
                },
                State::Sent => {
                    let is_over = ready!(this.line.poll_over(cx));
                    if is_over && !this.closing { State::Waiting } else { State::Closing }
                }
                State::Closing => {
                    ready!(this.out.poll_write(cx, &this.line))?;
                    ready!(this.line.poll_shutdown(cx))?;
                    State::Ended
                }
                State::Ended => return Poll::Ready(Ok(())),
            };
        }
    }
}

impl<T, S, F, B, E> Connection<T, S, B>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Fn(Request<Incoming<T>>) -> F,
    F: Future<Output = Result<Response<B>, E>> + Send + 'static,
    E: Into<Broken>,
    B: Body<Data = Bytes>,
{
    /// Hands a request to the service.
    // Apart, so that the stack which this takes is not that of every poll.
    #[inline(never)]
    fn ask(&mut self, head: Head) -> State<B> {
        let Head { request, framing, keep, expects } = head;
        self.closing |= !keep;
        let question = Question { method: request.method().clone(), version: request.version(), keep };
        let body = self.line.begin(framing, expects).then(|| self.line.clone());
        let answer = (self.service)(request.map(|()| Incoming::new(body)));
        State::Asked(question, Box::pin(async move { answer.await.map_err(Into::into) }))
    }

    /// Begins to send an answer.
    #[inline(never)]
    fn answer(&mut self, response: Response<B>) -> State<B> {
        let State::Asked(mut question, answer) = std::mem::replace(&mut self.state, State::Ended) else {
            return State::Ended;
        };
        // What the service still has of the request goes with it.
        drop(answer);
        question.keep = self.line.answers() && !self.closing;
        let (parts, body) = response.into_parts();
        let exact = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
        let (framing, keep) = outgoing::begin(&question, parts, exact, &mut self.out);
        self.closing |= !keep;
        let has_body = !matches!(framing, Framing::None | Framing::Length(0));
        let mut sending = Sending { body: has_body.then_some(body), framing, broken: None };
        if !has_body {
            sending.end(&mut self.out);
        }
        State::Sending(sending)
    }
}

impl<T, S, B> Connection<T, S, B> {
    /// Answers what is no request, and ends.
    fn refuse(&mut self, malformed: Malformed) -> State<B> {
        tracing::debug!(error = %malformed, "a request is refused");
        let (mut parts, ()) = Response::new(()).into_parts();
        parts.status = malformed.status();
        let question = Question { method: Method::GET, version: Version::HTTP_11, keep: false };
        let _ = outgoing::begin(&question, parts, Some(0), &mut self.out);
        State::Closing
    }
}

impl<B> Sending<B> {
    /// Ends the body, and says how in its framing.
    fn end(&mut self, out: &mut Output) {
        self.body = None;
        if !self.framing.end(out) {
            self.broken = Some(Wrong::Short.into());
        }
    }
}

impl<B> Sending<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Broken>,
{
    /// Sends the answer to its end. What the body has at a time goes out together, and at once.
    fn poll<T>(&mut self, cx: &mut Context<'_>, out: &mut Output, line: &Line<T>) -> Poll<Result<(), Broken>>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let filled = self.poll_fill(cx, out);
            ready!(out.poll_write(cx, line))?;
            ready!(filled);
            if self.body.is_none() {
                return Poll::Ready(self.broken.take().map_or(Ok(()), Err));
            }
        }
    }

    /// Takes what the body has; ready when that is enough, or all.
    fn poll_fill(&mut self, cx: &mut Context<'_>, out: &mut Output) -> Poll<()> {
        while out.len() < AHEAD
            && let Some(body) = &mut self.body
        {
            match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let is_last = body.is_end_stream();
                    // Trailers have no place here: what needs them says so in its body (`wire`).
                    let is_long = frame.into_data().is_ok_and(|data| !self.framing.add(data, out));
                    if is_long {
                        self.body = None;
                        self.broken = Some(Wrong::Long.into());
                    } else if is_last || self.framing == Framing::Length(0) {
                        self.end(out);
                    }
                }
                Some(Err(error)) => {
                    self.body = None;
                    self.broken = Some(error.into());
                }
                None => self.end(out),
            }
        }
        Poll::Ready(())
    }
}
