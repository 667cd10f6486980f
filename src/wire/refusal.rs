//! Answers without a message, in every dialect.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use tonic::Status;
use tonic::body::Body;

use super::code;
use super::dialect::{ContentType, Dialect};
use super::envelope::{END_STREAM, seal};
use super::status::{Outcome, error_json, to_end_stream, to_trailers};

/// Answers a request with an error in the dialect of its content type.
///
/// For layers in front of the services, such as authentication. A request that
/// speaks none of the dialects gets the JSON and HTTP status of unary Connect.
pub fn refuse(headers: &HeaderMap, status: Status) -> Response<Body> {
    match ContentType::of(headers) {
        Some(content_type) => answer(content_type, Outcome::from(status)),
        None => unary(Outcome::from(status)),
    }
}

/// Answers with an outcome and no message.
pub(super) fn answer(content_type: ContentType, outcome: Outcome) -> Response<Body> {
    let mut response = match content_type.dialect {
        Dialect::ConnectUnary => return unary(outcome),
        Dialect::ConnectStream => full(seal(END_STREAM, &to_end_stream(&outcome))),
        Dialect::Grpc | Dialect::GrpcWeb | Dialect::GrpcWebText => {
            let mut response = Response::new(Body::empty());
            *response.headers_mut() = to_trailers(outcome);
            response
        }
    };
    let value = HeaderValue::from_static(content_type.name);
    response.headers_mut().insert(CONTENT_TYPE, value);
    response
}

/// A unary Connect error: the HTTP status and the JSON say the same.
fn unary(outcome: Outcome) -> Response<Body> {
    let missing = || Status::internal("the call ended without a message");
    let status = outcome.error.unwrap_or_else(missing);
    let mut response = full(Bytes::from(error_json(&status).to_string()));
    *response.status_mut() = code::http_status(status.code());
    let length = response.headers_mut().remove(CONTENT_LENGTH);
    *response.headers_mut() = outcome.metadata;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.extend(length.map(|length| (CONTENT_LENGTH, length)));
    response
}

/// An unknown path, in the words of Go's `http.NotFound`.
pub(super) fn not_found() -> Response<Body> {
    let mut response = full(Bytes::from_static(b"404 page not found\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An HTTP status without a body, with one header that explains it.
pub(super) fn bare(status: StatusCode, hint: Option<(http::HeaderName, HeaderValue)>) -> Response<Body> {
    let mut response = full(Bytes::new());
    *response.status_mut() = status;
    response.headers_mut().extend(hint);
    response
}

fn full(body: Bytes) -> Response<Body> {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(Body::new(Full::new(body)));
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}
