//! Who is there: the access token first, then the user that the request names.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, Request, StatusCode, header};

use crate::http::status::Refusal;
use crate::identity::{Accounts, Caller, Gate};

/// Carries the access token.
pub(super) const TOKEN: &str = "x-access-token";
/// What published clients recognise.
const NO_TOKEN: &str = "unauthorized access, please provide a valid access token or method signing if supported";

/// Refuses requests without the token, but for the four that prove themselves otherwise or need no proof.
pub(super) fn token(gate: &Gate, request: &Request<Body>) -> Result<(), Box<Response>> {
    let offered = request.headers().get(TOKEN).map(http::HeaderValue::as_bytes);
    if gate.admits(offered) || is_open(request.method(), request.uri().path()) {
        return Ok(());
    }
    Err(Box::new(Refusal::new(StatusCode::UNAUTHORIZED, NO_TOKEN).into_response()))
}

/// `/files` checks token or signature itself; `/init` brings the token.
fn is_open(method: &Method, path: &str) -> bool {
    match path {
        "/health" => method == Method::GET,
        "/files" => [Method::GET, Method::HEAD, Method::POST].contains(method),
        "/init" => method == Method::POST,
        _ => false,
    }
}

/// Looks up the user of `Authorization: Basic` (the password is ignored) and hands it on as [`Caller`]; an account
/// that does not exist is refused in the caller's own protocol, on every route.
pub(super) fn user(accounts: &Accounts, request: &mut Request<Body>) -> Result<(), Box<Response>> {
    let find = |name: String| accounts.table().and_then(|table| Ok(Caller::Named(table.user(&name)?, table)));
    let caller = basic_user(request.headers()).map_or(Ok(Caller::Default), find).map_err(|error| {
        let status = crate::rpc::status::from_failure(&error);
        Box::new(crate::wire::refuse(request.headers(), status).map(Body::new))
    })?;
    request.extensions_mut().insert(caller);
    Ok(())
}

fn basic_user(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64_simd::STANDARD.decode_to_vec(encoded.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (name, password) = text.split_once(':')?;
    let is_id = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match password.split_once(':') {
        // `uid:gid:PASSWORD` is a numeric account; no account name has a colon.
        Some((group, _)) if is_id(name) && is_id(group) => Some(format!("{name}:{group}")),
        _ => Some(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_basic_user_is_what_stands_before_the_password() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, text.parse().unwrap());
            basic_user(&headers)
        };
        let basic = |text: &str| of(&format!("Basic {}", base64_simd::STANDARD.encode_to_string(text)));
        assert_eq!(basic("root:"), Some("root".to_owned()));
        assert_eq!(basic("1000:1000:"), Some("1000:1000".to_owned()));
        assert_eq!((basic("root:a:b"), basic("1:pass")), (Some("root".to_owned()), Some("1".to_owned())));
        assert_eq!(basic(":"), Some(String::new()));
        assert_eq!((basic("root"), of("Basic ***"), of("Bearer x")), (None, None, None));
    }
}
