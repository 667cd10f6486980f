//! The request body that a service reads: gRPC envelopes, checked and inflated.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use tonic::{Code, Status};

use super::check::{Checker, Rules};
use super::dialect::Dialect;
use super::envelope::{head, put_message};
use super::gzip;
use super::linger::Lingering;
use super::text;

/// A request in any dialect, read as gRPC.
#[derive(Debug)]
pub(super) struct RequestBody {
    source: Lingering,
    shape: Shape,
    ready: VecDeque<Bytes>,
    failure: Option<Status>,
    done: bool,
}

#[derive(Debug)]
enum Shape {
    /// Messages in envelopes.
    Envelopes(Checker),
    /// The same, in base64.
    Text(text::Decoder, Checker),
    /// One bare message of a size that was promised; it follows its head as it comes.
    Promised,
    /// One bare message, of which nothing is known until its end.
    Bare(Rules, BytesMut),
}

impl RequestBody {
    pub(super) fn new(source: Lingering, dialect: Dialect, rules: Rules) -> Self {
        let mut body = Self {
            source,
            shape: match dialect {
                Dialect::ConnectUnary => Shape::Bare(rules, BytesMut::new()),
                Dialect::GrpcWebText => Shape::Text(text::Decoder::default(), Checker::new(rules)),
                _ => Shape::Envelopes(Checker::new(rules)),
            },
            ready: VecDeque::new(),
            failure: None,
            done: false,
        };
        if matches!(body.shape, Shape::Bare(..)) {
            body.failure = body.open_bare(rules).err();
        }
        body
    }

    /// Uses the promised size of a bare message: to refuse it at once, or to let it pass.
    fn open_bare(&mut self, rules: Rules) -> Result<(), Status> {
        let Some(size) = http_body::Body::size_hint(&self.source).exact() else {
            return Ok(());
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        rules.check_size(size)?;
        if let (false, Some(head)) = (rules.compressed, head(0, size)) {
            self.ready.push_back(Bytes::copy_from_slice(&head));
            self.shape = Shape::Promised;
        }
        Ok(())
    }

    fn feed(&mut self, chunk: Bytes) -> Result<(), Status> {
        match &mut self.shape {
            Shape::Envelopes(checker) => checker.feed(chunk, &mut self.ready),
            Shape::Text(decoder, checker) => checker.feed(decoder.feed(&chunk)?, &mut self.ready),
            Shape::Promised => {
                self.ready.push_back(chunk);
                Ok(())
            }
            Shape::Bare(rules, message) => {
                rules.check_size(message.len() + chunk.len())?;
                message.extend_from_slice(&chunk);
                Ok(())
            }
        }
    }

    fn finish(&mut self) -> Result<(), Status> {
        match &mut self.shape {
            Shape::Envelopes(checker) => checker.finish(),
            Shape::Text(decoder, checker) => decoder.finish().and_then(|()| checker.finish()),
            Shape::Promised => Ok(()),
            Shape::Bare(rules, message) => {
                let message = std::mem::take(message).freeze();
                let message = match rules.compressed {
                    true => gzip::inflate(&message, rules.limit)?,
                    false => message,
                };
                put_message(message, &mut self.ready)
            }
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if let Some(failure) = self.failure.take() {
                self.done = true;
                return Poll::Ready(Some(Err(failure)));
            }
            if self.done {
                return Poll::Ready(None);
            }
            let step = match ready!(Pin::new(&mut self.source).poll_frame(cx)) {
                // Trailers of a request say nothing in any of the dialects.
                Some(Ok(frame)) => frame.into_data().map_or(Ok(()), |chunk| self.feed(chunk)),
                Some(Err(status)) => Err(broken_off(status)),
                None => {
                    self.done = true;
                    self.finish()
                }
            };
            self.failure = step.err();
        }
    }
}

/// What a handler reads when the request breaks off.
///
/// Never `cancelled`: tonic takes that for an orderly end of the stream.
fn broken_off(status: Status) -> Status {
    match status.code() {
        Code::Cancelled | Code::Unknown => Status::unavailable(format!("the request broke off: {}", status.message())),
        _ => status,
    }
}
