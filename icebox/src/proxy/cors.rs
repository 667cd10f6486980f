//! Answers of the proxy itself to requests that a page of another origin makes.
//!
//! A browser asks for leave without the headers that name a sandbox. Where the host names it, the agent or the user's
//! server answers; at an address that is shared by all nobody can be asked, and the proxy answers as the agent does.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;

const METHODS: HeaderValue = HeaderValue::from_static("HEAD, GET, POST, PUT, PATCH, DELETE");
const ANY: HeaderValue = HeaderValue::from_static("*");
/// Seconds for which a browser may remember the answer; as long as the agent says.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// Tells a browser's question from other `OPTIONS`.
pub(super) fn is_preflight(head: &Parts) -> bool {
    head.method == Method::OPTIONS && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Gives leave for all.
pub(super) fn leave(request: &HeaderMap) -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    headers.append(VARY, HeaderValue::from(ACCESS_CONTROL_REQUEST_HEADERS));
    if let Some(wanted) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    response
}

/// Lets the page read an answer of ours: it may tell that a sandbox is gone.
pub(super) fn show(crossing: bool, response: &mut Response<Full<Bytes>>) {
    response.headers_mut().append(VARY, HeaderValue::from(ORIGIN));
    if crossing {
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    }
}
