//! The answer of a unary Connect call: a bare message with a length and an HTTP status.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::{BodyExt as _, Full};
use tonic::Status;
use tonic::body::Body;

use super::call::Call;
use super::envelope::{Cutter, HEAD};
use super::flow::Flow;
use super::reply::Trailers;
use super::status::{Outcome, strip};
use super::{gzip, refusal};

/// Compressing this many bytes takes milliseconds, and other calls wait for this
/// thread: it is left to another.
const LONG_WORK: usize = 256 * 1024;

/// Turns the answer of a service into a unary Connect answer.
pub(super) async fn answer(call: &Call, response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    if parts.headers.contains_key(Status::GRPC_STATUS) {
        return refusal::answer(call.content_type, Outcome::read(parts.headers));
    }
    strip(&mut parts.headers);
    let content_type = HeaderValue::from_static(call.content_type.name);
    if let Some(flow) = parts.extensions.remove::<Flow>() {
        parts.headers.insert(CONTENT_TYPE, content_type);
        let (body, zipped) = flow.into_body(call.deadline.clone());
        if zipped {
            parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        return Response::from_parts(parts, body);
    }
    let trailers = parts.extensions.remove::<Trailers>().unwrap_or_default();
    let (message, mut outcome) = collect(body).await;
    let mut metadata = trailers.0.into_headers();
    metadata.extend(std::mem::take(&mut outcome.metadata));
    put_trailers(metadata, &mut parts.headers);
    let message = match (outcome.error, message) {
        (None, Some(message)) => message,
        (error, _) => {
            let missing = || Status::internal("the call ended without a message");
            let mut outcome = Outcome::from(error.unwrap_or_else(missing));
            outcome.metadata = parts.headers;
            return refusal::answer(call.content_type, outcome);
        }
    };
    let (message, zipped) = squeeze(call, message).await;
    if zipped {
        parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    parts.headers.insert(CONTENT_TYPE, content_type);
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(message.len()));
    Response::from_parts(parts, Body::new(Full::new(message)))
}

/// Compresses the message if the client wants that and it pays; says whether it did.
async fn squeeze(call: &Call, message: Bytes) -> (Bytes, bool) {
    if call.gzip_from.is_none_or(|from| message.len() < from) {
        return (message, false);
    }
    let small = if message.len() < LONG_WORK {
        gzip::deflate(&message, 0)
    } else {
        let message = message.clone();
        let work = tokio::task::spawn_blocking(move || gzip::deflate(&message, 0));
        work.await.ok().flatten()
    };
    match small {
        Some(small) => (Bytes::from(small), true),
        None => (message, false),
    }
}

/// Reads the one message and the outcome.
async fn collect(mut body: Body) -> (Option<Bytes>, Outcome) {
    let mut cutter = Cutter::default();
    loop {
        match body.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(chunk) => cutter.push(chunk),
                Err(frame) => {
                    let message = cutter.next().map(|envelope| envelope.slice(HEAD..));
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return (message, Outcome::read(trailers));
                }
            },
            Some(Err(status)) => return (None, Outcome::from(status)),
            None => return (None, Outcome::read(HeaderMap::new())),
        }
    }
}

/// Trailing metadata travels in the header, under names of its own.
fn put_trailers(trailers: HeaderMap, headers: &mut HeaderMap) {
    for (name, value) in &trailers {
        if let Ok(name) = HeaderName::try_from(format!("trailer-{name}")) {
            headers.append(name, value.clone());
        }
    }
}
