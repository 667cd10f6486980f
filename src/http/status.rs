//! The only table from what went wrong to an HTTP status, and the one shape of an error body.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::base::{Failure, Kind, sentence};

/// Holds an HTTP error answer: `{"code":<status>,"message":"…"}` and a newline, as published clients parse it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status, which the body repeats as `code`.
    pub status: StatusCode,
    /// What the client shows.
    pub message: String,
}

impl Refusal {
    /// Makes an answer whose status the contract fixes, whatever the cause.
    #[must_use]
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// Makes the answer that a failure's kind stands for.
    #[must_use]
    pub fn from_failure<E: Failure + 'static>(error: &E) -> Self {
        Self::new(status(error.kind()), sentence(error))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = serde_json::json!({"code": self.status.as_u16(), "message": self.message}).to_string() + "\n";
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

/// Maps what a caller can do to the status that says so.
#[must_use]
pub fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::InvalidArgument | Kind::FailedPrecondition => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::PermissionDenied => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::AlreadyExists | Kind::Aborted => StatusCode::CONFLICT,
        Kind::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Kind::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
        Kind::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        // nginx's "client closed request"; Connect maps `canceled` to it as well.
        Kind::Canceled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Kind::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
