//! One question and its answer, in as much of HTTP/1.1 as that takes.
//!
//! Each has a connection of its own: one that was open in a snapshot would be dead after the resume. The service may
//! not close it, though asked to, so the length of the answer counts where it is told.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::MetadataError;

/// Bytes of a whole answer; the service's document has some hundred, and its own limit is 50 KiB.
const MOST: usize = 64 << 10;
/// How long a connection may take: the service is beside the VM, and a lost SYN is repeated after 1 s.
const CONNECT: Duration = Duration::from_secs(3);

/// Sends a request that asks for the connection to be closed; gives the body of a 200. Has no deadline beyond that of
/// connecting.
///
/// # Errors
/// All of [`MetadataError`] but `Document` and `ShuttingDown`.
pub(super) async fn ask(address: SocketAddr, request: &[u8]) -> Result<Vec<u8>, MetadataError> {
    let failed = |source| MetadataError::Connect { address, source };
    let connected = timeout(CONNECT, TcpStream::connect(address)).await;
    let mut stream = connected.map_err(|_| failed(io::ErrorKind::TimedOut.into()))?.map_err(failed)?;
    stream.write_all(request).await.map_err(MetadataError::Exchange)?;
    let mut answer = Vec::with_capacity(2048);
    loop {
        let ended = stream.read_buf(&mut answer).await.map_err(MetadataError::Exchange)? == 0;
        if let Some(body) = body(&answer, ended)? {
            return Ok(body);
        }
        if ended {
            return Err(MetadataError::Odd("half an answer"));
        }
        if answer.len() > MOST {
            return Err(MetadataError::Odd("a long answer"));
        }
    }
}

/// Gives the body once it is whole; `ended` says that no more comes.
fn body(answer: &[u8], ended: bool) -> Result<Option<Vec<u8>>, MetadataError> {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..end]).map_err(|_| MetadataError::Odd("no text as its head"))?;
    let rest = &answer[end + 4..];
    let mut lines = head.split("\r\n");
    let mut status = lines.next().unwrap_or_default().split(' ');
    let version = status.next().unwrap_or_default();
    match status.next().and_then(|code| code.parse().ok()) {
        Some(200) if version.starts_with("HTTP/1.") => {}
        // Informational: the answer itself follows (RFC 9110, 15.2).
        Some(100..200) => return body(rest, ended),
        Some(code) if version.starts_with("HTTP/1.") => return Err(MetadataError::Status(code)),
        _ => return Err(MetadataError::Odd("something that is not HTTP")),
    }
    let field = |name: &str| {
        let mut fields = lines.clone().filter_map(|line| line.split_once(':'));
        fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    if field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return chunks(rest);
    }
    let Some(length) = field("content-length") else { return Ok(ended.then(|| rest.to_vec())) };
    let length: usize = length.parse().map_err(|_| MetadataError::Odd("a length that is no number"))?;
    Ok(rest.get(..length).map(<[u8]>::to_vec))
}

/// Puts chunks together (RFC 9112, 7.1), once the last has come.
fn chunks(mut rest: &[u8]) -> Result<Option<Vec<u8>>, MetadataError> {
    let mut whole = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&rest[..end]).unwrap_or_default();
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| MetadataError::Odd("a chunk without a size"))?;
        if size == 0 {
            return Ok(Some(whole));
        }
        let Some(chunk) = rest.get(end + 2..).and_then(|rest| rest.get(..size)) else { return Ok(None) };
        whole.extend_from_slice(chunk);
        rest = rest.get(end + 2 + size + 2..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(answer: &str, ended: bool) -> Result<Option<String>, String> {
        let body = body(answer.as_bytes(), ended).map_err(|error| error.to_string())?;
        Ok(body.map(|body| String::from_utf8(body).unwrap()))
    }

    #[test]
    fn an_answer_is_whole_by_its_length_its_last_chunk_or_its_end() {
        let long = "HTTP/1.1 200 \r\ncontent-length:3\r\n\r\nabc";
        for length in 0..long.len() {
            assert_eq!(told(&long[..length], false), Ok(None), "{length}");
        }
        assert_eq!(told(long, false), Ok(Some("abc".to_owned())));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r\n1\r\nc\r\n0\r\n";
        assert_eq!(told(chunked, false), Ok(Some("abc".to_owned())));
        assert_eq!(told(&chunked[..chunked.len() - 3], false), Ok(None));
        assert_eq!(told("HTTP/1.0 200 OK\r\n\r\nab", false), Ok(None));
        assert_eq!(told("HTTP/1.0 200 OK\r\n\r\nab", true), Ok(Some("ab".to_owned())));
        let informed = format!("HTTP/1.1 100 Continue\r\n\r\n{long}");
        assert_eq!(told(&informed, false), Ok(Some("abc".to_owned())));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for answer in [
            "SSH-2.0\r\n\r\n",
            "HTTP/1.1 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
            "HTTP/2 500 no\r\n\r\n",
        ] {
            assert!(told(answer, false).unwrap_err().contains("gave"), "{answer}");
        }
        assert!(told("HTTP/1.1 401 no\r\n\r\n", false).unwrap_err().contains("401"));
    }
}
