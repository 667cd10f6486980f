//! The answer of a stream, or of anything that is not unary Connect.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response};
use http_body::Frame;
use tonic::Status;
use tonic::body::Body;

use super::call::Call;
use super::deadline::Deadline;
use super::dialect::Dialect;
use super::envelope::{COMPRESSED, Cutter, END_STREAM, HEAD, TRAILERS, head, seal};
use super::refusal;
use super::status::{Outcome, strip, to_end_stream, to_trailers};
use super::{gzip, text};

/// Trailing metadata of an answer, as an extension of the response.
///
/// Tonic has no other place for that of a success. An error adds the metadata
/// of its status to it.
#[derive(Clone, Debug, Default)]
pub struct Trailers(pub tonic::metadata::MetadataMap);

/// Turns the answer of a service into the dialect of the call.
pub(super) fn answer(call: &Call, response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let content_type = HeaderValue::from_static(call.content_type.name);
    if parts.headers.contains_key(Status::GRPC_STATUS) {
        // An outcome without a body: gRPC and gRPC-Web have that, too.
        if call.content_type.dialect.is_grpc() {
            parts.headers.insert(CONTENT_TYPE, content_type);
            return Response::from_parts(parts, Body::empty());
        }
        return refusal::answer(call.content_type, Outcome::read(parts.headers));
    }
    strip(&mut parts.headers);
    parts.headers.insert(CONTENT_TYPE, content_type);
    if call.gzip_from.is_some() {
        let name = call.content_type.dialect.encoding();
        parts.headers.insert(name, HeaderValue::from_static("gzip"));
    }
    let trailers = parts.extensions.remove::<Trailers>().unwrap_or_default();
    let reply = Reply {
        dialect: call.content_type.dialect,
        inner: Some(body),
        deadline: call.deadline.clone(),
        trailers: trailers.0.into_headers(),
        squeeze: call.gzip_from.map(|from| (from, Cutter::default())),
        ready: VecDeque::new(),
    };
    Response::from_parts(parts, Body::new(reply))
}

/// The body of an answer: gRPC's messages, the ending of the dialect.
#[derive(Debug)]
struct Reply {
    dialect: Dialect,
    /// `None` once the ending was written.
    inner: Option<Body>,
    deadline: Option<Deadline>,
    /// Metadata that the ending carries in any case.
    trailers: HeaderMap,
    /// Compresses messages from a size on.
    squeeze: Option<(usize, Cutter)>,
    ready: VecDeque<Frame<Bytes>>,
}

impl Reply {
    /// Lets messages pass, or compresses them.
    fn pass(&mut self, chunk: Bytes) {
        let Some((from, cutter)) = &mut self.squeeze else {
            return put(self.dialect, chunk, &mut self.ready);
        };
        cutter.push(chunk);
        while let Some(envelope) = cutter.next() {
            let squeezed = squeezed(&envelope, *from).unwrap_or(envelope);
            put(self.dialect, squeezed, &mut self.ready);
        }
    }

    /// Writes the ending and lets go of the service.
    fn end(&mut self, mut outcome: Outcome) {
        self.inner = None;
        self.deadline = None;
        let mut metadata = std::mem::take(&mut self.trailers);
        metadata.extend(std::mem::take(&mut outcome.metadata));
        outcome.metadata = metadata;
        match self.dialect {
            Dialect::Grpc => self.ready.push_back(Frame::trailers(to_trailers(outcome))),
            Dialect::GrpcWeb | Dialect::GrpcWebText => {
                let lines = header_lines(&to_trailers(outcome));
                put(self.dialect, seal(TRAILERS, &lines), &mut self.ready);
            }
            Dialect::ConnectStream | Dialect::ConnectUnary => {
                let end = to_end_stream(&outcome);
                put(self.dialect, seal(END_STREAM, &end), &mut self.ready);
            }
        }
    }

    /// Returns whether the deadline passed. Looks at no clock without one.
    fn expired(&self, cx: &mut Context<'_>) -> bool {
        self.deadline.as_ref().is_some_and(|deadline| deadline.poll(cx).is_ready())
    }
}

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(frame)));
            }
            // The deadline first: a busy service must not outrun it.
            if self.inner.is_some() && self.expired(cx) {
                self.end(Outcome::from(deadline_exceeded()));
                continue;
            }
            let Some(inner) = &mut self.inner else {
                return Poll::Ready(None);
            };
            let Poll::Ready(polled) = Pin::new(inner).poll_frame(cx) else {
                // An answer that waits keeps no room for what comes.
                self.ready = VecDeque::new();
                return Poll::Pending;
            };
            match polled {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => self.pass(chunk),
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        self.end(Outcome::read(trailers));
                    }
                },
                Some(Err(status)) => self.end(Outcome::from(status)),
                None => self.end(Outcome::read(HeaderMap::new())),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_none() && self.ready.is_empty()
    }
}

/// The status of a call whose time is over.
pub(super) fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("the deadline of the call passed")
}

fn put(dialect: Dialect, chunk: Bytes, out: &mut VecDeque<Frame<Bytes>>) {
    let chunk = match dialect {
        Dialect::GrpcWebText => text::encode(&chunk),
        _ => chunk,
    };
    out.push_back(Frame::data(chunk));
}

/// The envelope with its message compressed, if that is worth it.
fn squeezed(envelope: &[u8], from: usize) -> Option<Bytes> {
    let message = envelope.get(HEAD..).filter(|message| message.len() >= from)?;
    let mut out = gzip::deflate(message, HEAD)?;
    let head = head(COMPRESSED, out.len() - HEAD)?;
    out[..HEAD].copy_from_slice(&head);
    Some(Bytes::from(out))
}

/// The trailers of a gRPC-Web answer, as the lines of an HTTP/1.1 header block.
fn header_lines(trailers: &HeaderMap) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in trailers {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    lines
}
