//! One POST to a server in this guest.
//!
//! Enough of HTTP/1.1 for that and no more: the request has a length and asks for the connection to be closed, and
//! only the status line of the answer is understood. It decides; whatever follows is not waited for.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::HookError;
use super::run::OUTPUT;
use super::server::{Address, Place};

/// Bytes of an answer that are looked at: informational answers and a status line fit many times.
const ANSWER_MOST: usize = 16 << 10;
/// Begins every status line (RFC 9112, 4).
const VERSION: &[u8] = b"HTTP/1.";
/// Bytes before the end of a status line's code: `HTTP/1.1 200`.
const CODE_END: usize = 12;
/// Ends the head of an answer.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// Sends `body` and gives what the server said behind its head, as far as it was there already. Dropping it closes
/// the connection. It has no deadline of its own.
///
/// # Errors
/// [`HookError::Connect`], [`HookError::Exchange`], [`HookError::NotHttp`], [`HookError::Status`].
pub(super) async fn post(address: &Address, body: &[u8], said: &mut Bytes) -> Result<(), HookError> {
    let request = request(address, body);
    let failed = |address: String| move |source| HookError::Connect { address, source };
    match &address.place {
        Place::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(failed(path.display().to_string()))?;
            exchange(stream, &request, said).await
        }
        Place::Tcp(places) => {
            // Tries one after another by itself.
            let stream = TcpStream::connect(&places[..]).await.map_err(failed(address.authority.clone()))?;
            exchange(stream, &request, said).await
        }
    }
}

fn request(address: &Address, body: &[u8]) -> Vec<u8> {
    let Address { authority, target, .. } = address;
    let length = body.len();
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: thawd\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

async fn exchange<S>(mut stream: S, request: &[u8], said: &mut Bytes) -> Result<(), HookError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(request).await.map_err(HookError::Exchange)?;
    let mut answer = Vec::with_capacity(1024);
    loop {
        match status(&answer) {
            Status::Code(code, rest) => {
                *said = Bytes::copy_from_slice(&rest[rest.len().saturating_sub(OUTPUT)..]);
                return if (200..300).contains(&code) { Ok(()) } else { Err(HookError::Status(code)) };
            }
            Status::Partial if answer.len() < ANSWER_MOST => {}
            Status::Partial | Status::Nonsense => return Err(HookError::NotHttp),
        }
        match stream.read_buf(&mut answer).await {
            Ok(0) => return Err(HookError::NotHttp),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(HookError::Exchange(error)),
        }
    }
}

/// What the bytes so far say.
#[derive(Debug, PartialEq, Eq)]
enum Status<'a> {
    /// The final code, and what stands behind the head.
    Code(u16, &'a [u8]),
    Partial,
    Nonsense,
}

fn status(mut answer: &[u8]) -> Status<'_> {
    loop {
        let begun = answer.len().min(VERSION.len());
        if answer[..begun] != VERSION[..begun] {
            return Status::Nonsense;
        }
        let Some(line) = answer.iter().position(|&byte| byte == b'\n') else { return Status::Partial };
        let Some(code) = code(&answer[..line]) else { return Status::Nonsense };
        let end = answer.windows(HEAD_END.len()).position(|window| window == HEAD_END);
        let rest = end.map(|end| &answer[end + HEAD_END.len()..]);
        match (code, rest) {
            (200.., rest) => return Status::Code(code, rest.unwrap_or_default()),
            // Informational: the real answer follows (RFC 9110, 15.2).
            (_, Some(rest)) => answer = rest,
            (_, None) => return Status::Partial,
        }
    }
}

fn code(line: &[u8]) -> Option<u16> {
    let digits = line.get(CODE_END - 3..CODE_END)?;
    let framed = line[CODE_END - 4] == b' ' && matches!(line.get(CODE_END), None | Some(b' ' | b'\r'));
    let code = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (framed && digits.iter().all(u8::is_ascii_digit) && code >= 100).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_known_from_the_end_of_its_line_on_and_not_before() {
        let whole = b"HTTP/1.1 503 Busy\r\nA: b\r\n\r\nnot now";
        for length in 0..whole.len() {
            let told = status(&whole[..length]);
            assert_eq!(matches!(told, Status::Code(503, _)), length > 18, "{length}: {told:?}");
        }
        assert_eq!(status(whole), Status::Code(503, b"not now"));
    }

    #[test]
    fn informational_answers_are_passed_over() {
        assert_eq!(status(b"HTTP/1.1 100 Continue\r\n\r\n"), Status::Partial);
        assert_eq!(status(b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.0 204\r\n\r\n"), Status::Code(204, b""));
    }

    #[test]
    fn what_is_not_http_is_known_at_once() {
        for bytes in
            [b"SSH-2.0-x".as_slice(), b"H\0", b"HTTP/2 200 OK\n", b"HTTP/1.1 2x0 OK\n", b"HTTP/1.1 20\n", b"\n"]
        {
            assert_eq!(status(bytes), Status::Nonsense, "{bytes:?}");
        }
    }
}
