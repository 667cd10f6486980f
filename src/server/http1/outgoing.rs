//! The head of an answer, and how its body is framed.

use std::fmt::Write;
use std::time::SystemTime;

use bytes::{BufMut, Bytes};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};

use super::head::says;
use super::output::Output;

/// Place for a head: most fit.
const HEAD: usize = 512;

/// How the end of an answer's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none, whatever the head says of its length.
    None,
    /// So many bytes.
    Length(u64),
    Chunked,
    /// By the end of the connection, for clients of HTTP/1.0.
    Close,
}

/// What an answer needs to know of its question.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) method: Method,
    pub(super) version: Version,
    /// The connection may stay.
    pub(super) keep: bool,
}

/// Writes the head of an answer whose body has `exact` bytes, if that is known. Says how the body is framed, and whether
/// the connection stays.
// Apart, so that this is not on the stack of a body.
#[inline(never)]
pub(super) fn begin(question: &Question, mut parts: Parts, exact: Option<u64>, out: &mut Output) -> (Framing, bool) {
    let current = question.version == Version::HTTP_11;
    let framing = frame(question, parts.status, &mut parts.headers, exact);
    let keep = question.keep && framing != Framing::Close && !says(&parts.headers, "close");
    let option = match (keep, current) {
        _ if parts.headers.contains_key(header::CONNECTION) => None,
        (false, true) => Some("close"),
        (true, false) => Some("keep-alive"),
        _ => None,
    };
    if let Some(option) = option {
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static(option));
    }
    let text = out.text();
    text.reserve(HEAD);
    text.put_slice(if current { b"HTTP/1.1 " } else { b"HTTP/1.0 " });
    text.put_slice(parts.status.as_str().as_bytes());
    text.put_u8(b' ');
    text.put_slice(parts.status.canonical_reason().unwrap_or_default().as_bytes());
    text.put_slice(b"\r\n");
    for (name, value) in &parts.headers {
        text.put_slice(name.as_str().as_bytes());
        text.put_slice(b": ");
        text.put_slice(value.as_bytes());
        text.put_slice(b"\r\n");
    }
    if !parts.headers.contains_key(header::DATE) {
        let _ = write!(text, "date: {}\r\n", httpdate::HttpDate::from(SystemTime::now()));
    }
    text.put_slice(b"\r\n");
    (framing, keep)
}

/// Chooses the framing (RFC 9112, 6) and says it in the headers.
fn frame(question: &Question, status: StatusCode, headers: &mut HeaderMap, exact: Option<u64>) -> Framing {
    headers.remove(header::TRANSFER_ENCODING);
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        headers.remove(header::CONTENT_LENGTH);
        return Framing::None;
    }
    let told = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let is_bare = question.method == Method::HEAD || status == StatusCode::NOT_MODIFIED;
    match (told.or(exact), question.version) {
        (Some(length), _) => {
            if told.is_none() && status != StatusCode::NOT_MODIFIED {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            }
            if is_bare { Framing::None } else { Framing::Length(length) }
        }
        _ if is_bare => Framing::None,
        (None, Version::HTTP_11) => {
            headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            Framing::Chunked
        }
        (None, _) => Framing::Close,
    }
}

impl Framing {
    /// Adds a piece of the body. Says no when it has more than its head promised.
    pub(super) fn add(&mut self, data: Bytes, out: &mut Output) -> bool {
        match self {
            Self::None => {}
            Self::Length(left) => match left.checked_sub(data.len() as u64) {
                Some(rest) => {
                    *left = rest;
                    out.push(data);
                }
                None => return false,
            },
            // A chunk without data would be the last.
            Self::Chunked if data.is_empty() => {}
            Self::Chunked => {
                let _ = write!(out.text(), "{:X}\r\n", data.len());
                out.push(data);
                out.text().put_slice(b"\r\n");
            }
            Self::Close => out.push(data),
        }
        true
    }

    /// Adds the end of the body. Says no when it has less than its head promised.
    pub(super) fn end(self, out: &mut Output) -> bool {
        if self == Self::Chunked {
            out.text().put_slice(b"0\r\n\r\n");
        }
        !matches!(self, Self::Length(1..))
    }
}
