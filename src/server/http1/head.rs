//! The head of a request, and how its body is framed.

use bytes::{Bytes, BytesMut};
use http::uri::InvalidUri;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, header};

/// Longest head, in bytes.
pub(super) const LONGEST: usize = 128 << 10;
/// Most header fields: as hyper.
const FIELDS: usize = 100;
/// Longest name of a field: what [`HeaderName`] holds.
const NAME: usize = u16::MAX as usize;
/// Longest target: what [`Uri`] holds.
const TARGET: usize = (u16::MAX - 1) as usize;

/// A request before its body.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) request: Request<()>,
    pub(super) framing: Framing,
    /// The client wants the connection to stay.
    pub(super) keep: bool,
    /// The client sends its body only after it is told to.
    pub(super) expects: bool,
}

/// How the end of a body is told (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// By its length in bytes, which may be 0.
    Length(u64),
    /// By its last chunk.
    Chunked,
}

/// Why a head cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("the head of a request is malformed")]
    Syntax,
    #[error("the head of a request is too long")]
    TooLong,
    #[error("the target of a request is too long")]
    TargetTooLong,
}

impl Malformed {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Syntax => StatusCode::BAD_REQUEST,
            Self::TooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
        }
    }
}

impl From<InvalidUri> for Malformed {
    fn from(_: InvalidUri) -> Self {
        Self::Syntax
    }
}

/// Says whether a head ends at or behind `from`, so that one that trickles in is not parsed anew for each byte.
pub(super) fn is_whole(bytes: &[u8], from: usize) -> bool {
    let bytes = &bytes[from.saturating_sub(3)..];
    let mut ends = (0..bytes.len()).filter(|&at| bytes[at] == b'\n');
    ends.any(|at| bytes[at + 1..].starts_with(b"\n") || bytes[at + 1..].starts_with(b"\r\n"))
}

/// Takes a head off the front of `buffer`; `None` while it is not whole.
// Apart, so that its fields are not on the stack of the service.
#[inline(never)]
pub(super) fn take(buffer: &mut BytesMut) -> Result<Option<Head>, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    let length = match parsed.parse(buffer) {
        Ok(httparse::Status::Complete(length)) if length > LONGEST => return Err(Malformed::TooLong),
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Malformed::TooLong),
        Err(_) => return Err(Malformed::Syntax),
    };
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Malformed::Syntax);
    };
    if target.len() > TARGET {
        return Err(Malformed::TargetTooLong);
    }
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Malformed::Syntax)?;
    // Where each part lies, so that the buffer can be cut while nothing borrows from it.
    let place = |part: &[u8]| part.as_ptr().addr() - buffer.as_ptr().addr();
    let target = place(target.as_bytes())..place(target.as_bytes()) + target.len();
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    let mut values = [(0, 0); FIELDS];
    let mut names = Vec::with_capacity(parsed.headers.len());
    for (field, value) in parsed.headers.iter().zip(&mut values) {
        if field.name.len() > NAME {
            return Err(Malformed::TooLong);
        }
        names.push(HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Malformed::Syntax)?);
        *value = (place(field.value), field.value.len());
    }
    let bytes = buffer.split_to(length).freeze();
    for (name, (at, length)) in names.into_iter().zip(values) {
        let value = HeaderValue::from_maybe_shared(bytes.slice(at..at + length)).map_err(|_| Malformed::Syntax)?;
        headers.append(name, value);
    }
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_maybe_shared::<Bytes>(bytes.slice(target))?;
    *request.version_mut() = if minor == 1 { Version::HTTP_11 } else { Version::HTTP_10 };
    *request.headers_mut() = headers;
    understand(request).map(Some)
}

/// Reads what a head says of the message and the connection.
fn understand(mut request: Request<()>) -> Result<Head, Malformed> {
    let current = request.version() == Version::HTTP_11;
    let length = length(request.headers())?;
    let mut keep = keeps(request.headers(), current);
    let framing = match request.headers().get_all(header::TRANSFER_ENCODING).iter().next_back() {
        Some(last) if current && is_chunked(last) => {
            // Whoever sends both may be about to smuggle a request past a proxy (RFC 9112, 6.1).
            keep &= request.headers_mut().remove(header::CONTENT_LENGTH).is_none();
            Framing::Chunked
        }
        Some(_) => return Err(Malformed::Syntax),
        None => Framing::Length(length.unwrap_or(0)),
    };
    let expects = request.headers().get(header::EXPECT);
    let expects = current && expects.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    Ok(Head { request, framing, keep, expects })
}

/// Reads the length, which may be said more than once if it is the same each time.
fn length(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut told = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let length: u64 = digits.and_then(|text| text.parse().ok()).ok_or(Malformed::Syntax)?;
        if told.is_some_and(|told| told != length) {
            return Err(Malformed::Syntax);
        }
        told = Some(length);
    }
    Ok(told)
}

fn keeps(headers: &HeaderMap, current: bool) -> bool {
    if says(headers, "close") { false } else { current || says(headers, "keep-alive") }
}

/// Says whether `Connection` has an option, in this or in an answer.
pub(super) fn says(headers: &HeaderMap, option: &str) -> bool {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|said| said.trim().eq_ignore_ascii_case(option))
}

fn is_chunked(value: &HeaderValue) -> bool {
    let last = value.to_str().ok().and_then(|value| value.rsplit(',').next());
    last.is_some_and(|last| last.trim().eq_ignore_ascii_case("chunked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<Head>, Malformed> {
        take(&mut BytesMut::from(text))
    }

    fn whole(text: &str) -> Head {
        parse(text).unwrap().unwrap()
    }

    #[test]
    fn a_head_is_taken_and_what_follows_it_stays() {
        let mut buffer =
            BytesMut::from("POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nX: 1\r\nX: 2\r\n\r\nabcGET");
        let head = take(&mut buffer).unwrap().unwrap();
        assert_eq!(&buffer[..], b"abcGET");
        assert_eq!(
            (head.request.method(), head.request.uri().to_string().as_str(), head.request.version()),
            (&Method::POST, "/a?b=c", Version::HTTP_11)
        );
        assert_eq!(head.request.headers().get_all("x").iter().count(), 2);
        assert_eq!((head.framing, head.keep, head.expects), (Framing::Length(3), true, false));
    }

    #[test]
    fn half_a_head_waits_for_the_rest() {
        let text = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        for cut in 0..text.len() {
            assert!(parse(&text[..cut]).unwrap().is_none(), "{cut}");
            assert!(!is_whole(&text.as_bytes()[..cut], 0), "{cut}");
        }
        for from in 0..text.len() {
            assert!(is_whole(text.as_bytes(), from), "{from}");
        }
        assert!(is_whole(b"GET / HTTP/1.1\n\n", 0));
    }

    #[test]
    fn the_framing_is_what_the_headers_say() {
        let framing =
            |fields: &str| parse(&format!("POST / HTTP/1.1\r\n{fields}\r\n")).map(|head| head.unwrap().framing);
        assert_eq!(framing(""), Ok(Framing::Length(0)));
        assert_eq!(framing("Content-Length: 5\r\nContent-Length: 5\r\n"), Ok(Framing::Length(5)));
        assert_eq!(framing("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
        assert_eq!(framing("Transfer-Encoding: gzip, chunked\r\n"), Ok(Framing::Chunked));
        for wrong in [
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: \r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: chunked, gzip\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
        ] {
            assert_eq!(framing(wrong), Err(Malformed::Syntax), "{wrong}");
        }
        assert!(parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn both_framings_at_once_are_chunks_and_the_end_of_the_connection() {
        let head = whole("POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!((head.framing, head.keep), (Framing::Chunked, false));
        assert!(!head.request.headers().contains_key(header::CONTENT_LENGTH));
    }

    #[test]
    fn the_connection_stays_as_its_version_and_options_say() {
        let keep = |version: &str, option: &str| whole(&format!("GET / HTTP/{version}\r\n{option}\r\n")).keep;
        assert!(keep("1.1", "") && !keep("1.0", ""));
        assert!(!keep("1.1", "Connection: foo, Close\r\n") && keep("1.0", "Connection: Keep-Alive\r\n"));
        assert!(!keep("1.1", "Connection: close\r\nConnection: keep-alive\r\n"));
    }

    #[test]
    fn what_is_no_head_is_told_from_one_that_is_too_long() {
        for wrong in ["GET\r\n\r\n", "G(T / HTTP/1.1\r\n\r\n", "GET / HTTP/3.0\r\n\r\n", "GET / HTTP/1.1\r\nA\r\n\r\n"]
        {
            assert_eq!(parse(wrong).unwrap_err(), Malformed::Syntax, "{wrong}");
        }
        assert_eq!(parse("GET / HTTP/1.1\r\nA: \u{1}\r\n\r\n").unwrap_err(), Malformed::Syntax);
        let long = format!("GET / HTTP/1.1\r\n{}: b\r\n\r\n", "a".repeat(NAME + 1));
        assert_eq!(parse(&long).unwrap_err(), Malformed::TooLong);
        let many = "A: b\r\n".repeat(FIELDS + 1);
        assert_eq!(parse(&format!("GET / HTTP/1.1\r\n{many}\r\n")).unwrap_err(), Malformed::TooLong);
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(TARGET));
        assert_eq!(parse(&long).unwrap_err(), Malformed::TargetTooLong);
    }
}
