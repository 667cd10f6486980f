//! Cross-origin requests, as envd answers them: any origin, no credentials.
//!
//! tower-http's layer answers a preflight with 200, takes every OPTIONS for one, and names the origin in answers to
//! requests that have none; browsers do not mind, clients that compare answers do.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};

const METHODS: HeaderValue = HeaderValue::from_static("HEAD, GET, POST, PUT, PATCH, DELETE");
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin, Location, Cache-Control, X-Content-Type-Options",
);
/// Seconds for which a browser may remember a preflight.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");
const ANY: HeaderValue = HeaderValue::from_static("*");

/// What a browser wants to know of the answer to a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crossing(bool);

impl Crossing {
    /// Looks whether a request comes from another origin; a preflight, which asks for no more than that, is answered.
    pub(super) fn of(request: &Request<Body>) -> Result<Self, Box<Response>> {
        let headers = request.headers();
        let crossing = headers.contains_key(header::ORIGIN);
        if request.method() == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            return Err(Box::new(preflight(headers, crossing)));
        }
        Ok(Self(crossing))
    }

    /// Lets the browser hand the answer to the page.
    pub(super) fn mark(self, headers: &mut HeaderMap) {
        vary(headers, header::ORIGIN);
        if self.0 {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}

fn preflight(request: &HeaderMap, crossing: bool) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    for name in [header::ORIGIN, header::ACCESS_CONTROL_REQUEST_METHOD, header::ACCESS_CONTROL_REQUEST_HEADERS] {
        vary(headers, name);
    }
    if crossing {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        if let Some(wanted) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
    }
    response
}

fn vary(headers: &mut HeaderMap, name: HeaderName) {
    headers.append(header::VARY, HeaderValue::from(name));
}
