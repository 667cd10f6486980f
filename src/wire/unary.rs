//! The answer of a unary Connect call: a bare message with a length and an HTTP status.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::{BodyExt as _, Full};
use tonic::Status;
use tonic::body::Body;

use super::call::Call;
use super::envelope::{Cutter, HEAD};
use super::reply::Trailers;
use super::status::{Outcome, strip};
use super::{gzip, refusal};

/// Turns the answer of a service into a unary Connect answer.
pub(super) async fn answer(call: &Call, response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    if parts.headers.contains_key(Status::GRPC_STATUS) {
        return refusal::answer(call.content_type, Outcome::read(parts.headers));
    }
    strip(&mut parts.headers);
    let trailers = parts.extensions.remove::<Trailers>().unwrap_or_default();
    let (message, mut outcome) = collect(body).await;
    outcome.metadata.extend(trailers.0.into_headers());
    put_trailers(outcome.metadata, &mut parts.headers);
    let message = match (outcome.error, message) {
        (None, Some(message)) => message,
        (error, _) => {
            let missing = || Status::internal("the call ended without a message");
            let mut outcome = Outcome::from(error.unwrap_or_else(missing));
            outcome.metadata = parts.headers;
            return refusal::answer(call.content_type, outcome);
        }
    };
    let gzip = call.gzip_from.filter(|from| message.len() >= *from);
    let (message, encoding) = match gzip.and_then(|_| gzip::deflate(&message, 0)) {
        Some(small) => (Bytes::from(small), Some("gzip")),
        None => (message, None),
    };
    if let Some(encoding) = encoding {
        parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    let content_type = HeaderValue::from_static(call.content_type.name);
    parts.headers.insert(CONTENT_TYPE, content_type);
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(message.len()));
    Response::from_parts(parts, Body::new(Full::new(message)))
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
