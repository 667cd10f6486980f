//! Requests as bytes.

use std::io::Write as _;

use serde_json::Value;

pub(crate) use crate::support::connect::envelope;

/// Tag of the programs that rows start.
pub(crate) const TAG: &str = "hostile";

/// Headers of a request, or variables of anything.
pub(crate) type Pairs<'a> = &'a [(&'a str, &'a str)];

/// A request with a Content-Length.
pub(crate) fn request(method: &str, target: &str, headers: Pairs<'_>, body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    raw(method, target, &[&[("content-length", &*length)], headers].concat(), body)
}

/// A request with these headers and no other but the host.
pub(crate) fn raw(method: &str, target: &str, headers: Pairs<'_>, body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: test\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

pub(crate) fn get(target: &str, headers: Pairs<'_>) -> Vec<u8> {
    raw("GET", target, headers, b"")
}

/// A unary Connect call with JSON.
pub(crate) fn unary(method: &str, headers: Pairs<'_>, body: &[u8]) -> Vec<u8> {
    typed("application/json", method, headers, body)
}

/// A Connect stream with JSON; the body brings its own envelopes.
pub(crate) fn stream(method: &str, headers: Pairs<'_>, body: &[u8]) -> Vec<u8> {
    typed("application/connect+json", method, headers, body)
}

/// A Connect stream of one message.
pub(crate) fn one(method: &str, headers: Pairs<'_>, message: &[u8]) -> Vec<u8> {
    stream(method, headers, &envelope(0, message))
}

/// A Connect stream of these messages.
pub(crate) fn many(method: &str, messages: &[Value]) -> Vec<u8> {
    let body: Vec<u8> = messages.iter().flat_map(|message| envelope(0, message.to_string().as_bytes())).collect();
    stream(method, &[], &body)
}

pub(crate) fn typed(content_type: &str, method: &str, headers: Pairs<'_>, body: &[u8]) -> Vec<u8> {
    request("POST", &format!("/{method}"), &[&[("content-type", content_type)], headers].concat(), body)
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Zeros that inflate to more than any message may have.
pub(crate) fn bomb() -> Vec<u8> {
    static BOMB: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BOMB.get_or_init(|| gzip(&vec![b' '; (64 << 20) + 1])).clone()
}

/// Percent-encodes everything but letters, digits and slashes.
pub(crate) fn escape(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'/';
    text.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}
