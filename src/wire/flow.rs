//! A unary answer that is sent in pieces: a listing of any length, in flat memory.
//!
//! gRPC puts the length of a message before it, so only a unary Connect answer can begin before its end is known. The
//! request of such a call carries [`Flowing`]. A handler that finds it may answer with an empty message and the
//! extension [`Flow`], whose pieces are encoded with [`Flowing::pieces`] and sent in place of the message.

use std::fmt;
use std::io::Write;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flate2::write::GzEncoder;
use http_body::Frame;
use serde::Serialize;
use tokio_stream::Stream;
use tonic::Status;
use tonic::body::Body;

use super::codec::Format;
use super::deadline::Deadline;
use super::reply::deadline_exceeded;
use super::{gzip, json};

/// Marks a request whose answer may be sent in pieces.
#[derive(Clone, Copy, Debug)]
pub struct Flowing {
    pub(super) format: Format,
    pub(super) gzip: bool,
}

/// What is sent in place of the message, as an extension of the response.
#[derive(Clone)]
pub struct Flow {
    pieces: Arc<Mutex<Option<Stock>>>,
    gzip: bool,
}

type Stock = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// Encodes the parts of a message that has one field, which is repeated: the parts together are the message.
#[derive(Debug)]
pub struct Pieces {
    format: Format,
    gzip: Option<GzEncoder<Vec<u8>>>,
    begun: bool,
}

/// What JSON puts after the last element of the one field.
const TAIL: &[u8] = b"]}";

impl Flowing {
    #[cfg(test)]
    pub(crate) fn of(format: Format, gzip: bool) -> Self {
        Self { format, gzip }
    }

    /// Starts a message.
    #[must_use]
    pub fn pieces(self) -> Pieces {
        let packed = self.gzip.then(|| GzEncoder::new(Vec::new(), gzip::LEVEL));
        Pieces { format: self.format, gzip: packed, begun: false }
    }

    /// Makes the answer of pieces; an error breaks the connection, so that nobody takes a part for the whole.
    #[must_use]
    pub fn answer(self, pieces: impl Stream<Item = Result<Bytes, Status>> + Send + 'static) -> Flow {
        Flow { pieces: Arc::new(Mutex::new(Some(Box::pin(pieces)))), gzip: self.gzip }
    }
}

impl Pieces {
    /// Encodes one part, which has at least one element.
    ///
    /// # Errors
    /// The part has no JSON form.
    pub fn part<M: prost::Message + Serialize>(&mut self, part: &M) -> Result<Bytes, Status> {
        let failed = |error: &dyn fmt::Display| Status::internal(format!("encode message: {error}"));
        let text = match self.format {
            Format::Binary => part.encode_to_vec(),
            Format::Json => {
                let mut text = Vec::new();
                json::write(part, &mut text).map_err(|error| failed(&error))?;
                text.truncate(text.len().saturating_sub(TAIL.len()));
                if self.begun {
                    // Everything up to the bracket was said before.
                    let elements = text.iter().position(|byte| *byte == b'[').unwrap_or_default();
                    text.drain(..elements);
                    text[0] = b',';
                }
                text
            }
        };
        self.begun = true;
        self.pass(text).map_err(|error| failed(&error))
    }

    /// Gives what is left after the last part.
    ///
    /// # Errors
    /// None that memory allows.
    pub fn end(mut self) -> Result<Bytes, Status> {
        let tail = match self.format {
            Format::Json if self.begun => TAIL,
            Format::Json => b"{}",
            Format::Binary => b"",
        };
        let failed = |error: std::io::Error| Status::internal(format!("encode message: {error}"));
        let mut text = self.pass(tail.to_vec()).map_err(failed)?.to_vec();
        if let Some(gzip) = self.gzip {
            text.extend(gzip.finish().map_err(failed)?);
        }
        Ok(text.into())
    }

    fn pass(&mut self, text: Vec<u8>) -> std::io::Result<Bytes> {
        let Some(gzip) = &mut self.gzip else { return Ok(text.into()) };
        gzip.write_all(&text)?;
        Ok(std::mem::take(gzip.get_mut()).into())
    }
}

impl Flow {
    /// Takes the body, once, and whether it is compressed.
    pub(super) fn into_body(self, deadline: Option<Deadline>) -> (Body, bool) {
        let pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner).take();
        (Body::new(FlowBody { pieces, deadline }), self.gzip)
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow").field("gzip", &self.gzip).finish_non_exhaustive()
    }
}

struct FlowBody {
    /// `None` at the end.
    pieces: Option<Stock>,
    deadline: Option<Deadline>,
}

impl http_body::Body for FlowBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.deadline.as_ref().is_some_and(|deadline| deadline.poll(cx).is_ready()) {
            (self.pieces, self.deadline) = (None, None);
            return Poll::Ready(Some(Err(deadline_exceeded())));
        }
        loop {
            let Some(pieces) = &mut self.pieces else { return Poll::Ready(None) };
            match ready!(pieces.as_mut().poll_next(cx)) {
                // The compressor keeps some pieces for later.
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Some(Err(status)) => {
                    self.pieces = None;
                    return Poll::Ready(Some(Err(status)));
                }
                None => self.pieces = None,
            }
        }
    }
}
