//! What must come of a row, and whether it did.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::row::{Leave, Row};
use crate::support::http::{Answer, Connection};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The typed outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// The client has left; only the daemon is looked at.
    Nothing,
    /// This HTTP status, whatever the body.
    Status(u16),
    /// This HTTP status, and JSON that repeats it with a message.
    Rest(u16),
    /// A unary Connect error.
    Rpc(u16, &'static str),
    /// A Connect stream that ends with this code, or well with "".
    End(&'static str),
    /// A stream of process events that ends well with this exit code.
    Exit(i64),
    /// A gRPC-Web answer with this status.
    Web(u8),
    /// This HTTP status, and the connection is closed after it: what follows cannot be trusted.
    Refused(u16),
    /// One answer of each status on one connection.
    Each(&'static [u16]),
    /// The connection is closed, whatever came before.
    Closed,
    /// The connection is closed without an answer of success.
    Broken,
    /// An HTTP/2 GOAWAY with this error code, and the connection is closed.
    GoAway(u32),
    /// An HTTP/2 RST_STREAM with this error code.
    Reset(u32),
}

/// The errors of the table, by their Connect names.
pub(crate) const INVALID: Want = Want::Rpc(400, "invalid_argument");
pub(crate) const MISSING: Want = Want::Rpc(404, "not_found");
pub(crate) const INTERNAL: Want = Want::Rpc(500, "internal");
pub(crate) const UNIMPLEMENTED: Want = Want::Rpc(501, "unimplemented");
pub(crate) const EXISTS: Want = Want::Rpc(409, "already_exists");
pub(crate) const PRECONDITION: Want = Want::Rpc(400, "failed_precondition");
pub(crate) const STRANGER: Want = Want::Rpc(401, "unauthenticated");

/// Sends what a row sends and judges what comes; panics with the reason.
pub(crate) fn exchange(connection: &mut Connection, row: &Row, bytes: &[u8], leave: Leave) {
    connection.stream().set_read_timeout(Some(PATIENCE)).unwrap();
    // The daemon may have heard enough and closed: then its answer says so.
    let _ = connection.send(bytes);
    match leave {
        Leave::Stay => {}
        Leave::HalfClose => connection.stream().shutdown(std::net::Shutdown::Write).unwrap(),
        Leave::Drop => return,
        Leave::Reset => return reset(connection.stream()),
        Leave::After(text) => return read_until(connection.stream(), text),
    }
    judge(connection, row);
}

fn judge(connection: &mut Connection, row: &Row) {
    match row.want {
        Want::Nothing => {}
        Want::GoAway(code) => assert_eq!(frame(connection.stream(), 7, 4), code, "error code of GOAWAY"),
        Want::Reset(code) => assert_eq!(frame(connection.stream(), 3, 0), code, "error code of RST_STREAM"),
        Want::Each(list) => {
            for want in list {
                assert_eq!(connection.answer().expect("an answer").status, *want);
            }
        }
        Want::Closed => assert_closed(connection.stream()),
        Want::Broken => {
            if let Some(answer) = connection.head() {
                assert!(!(200..300).contains(&answer.status), "success: {answer:?}");
            }
            assert_closed(connection.stream());
        }
        want => {
            let answer = connection.answer().expect("an answer");
            check(want, &answer);
            if let Some(text) = row.saying {
                assert!(answer.text().contains(text), "no {text:?} in {:?}", answer.text());
            }
            if let Some((name, value)) = row.header {
                assert_eq!(answer.header(name), value, "header {name}");
            }
            if matches!(want, Want::Refused(_)) {
                assert_closed(connection.stream());
            }
        }
    }
}

fn check(want: Want, answer: &Answer) {
    let text = answer.text();
    let status = |want| assert_eq!(answer.status, want, "{text:.300}");
    match want {
        Want::Status(want) | Want::Refused(want) => status(want),
        Want::Rest(want) => {
            status(want);
            assert_eq!(answer.json()["code"], want);
            assert!(answer.json()["message"].is_string());
        }
        Want::Rpc(want, code) => {
            status(want);
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(answer.json()["code"], code, "{text:.300}");
        }
        Want::End(code) => assert_eq!(messages(answer).1, code, "{text:.300}"),
        Want::Exit(code) => {
            let (messages, end) = messages(answer);
            assert_eq!(end, "", "{text:.300}");
            let end = messages.last().map_or(Value::Null, |message| message["event"]["end"].clone());
            assert!(end.is_object(), "no end event: {text:.300}");
            assert_eq!(end["exitCode"].as_i64().unwrap_or(0), code, "{text:.300}");
        }
        Want::Web(code) => {
            status(200);
            assert_eq!(grpc_status(answer), code.to_string(), "{text:.300}");
        }
        _ => unreachable!("not judged by one answer"),
    }
}

/// Reads a Connect stream: its messages and the code of its end.
fn messages(answer: &Answer) -> (Vec<Value>, String) {
    assert_eq!(answer.status, 200, "{:.300}", answer.text());
    let mut rest = &answer.body[..];
    let mut messages = Vec::new();
    while rest.len() >= 5 {
        let length = u32::from_be_bytes(rest[1..5].try_into().unwrap()) as usize;
        let (flags, message) = (rest[0], &rest[5..5 + length]);
        let message: Value = serde_json::from_slice(message).unwrap();
        rest = &rest[5 + length..];
        if flags & 2 == 0 {
            messages.push(message);
            continue;
        }
        assert!(rest.is_empty(), "bytes after the end of the stream");
        let code = message["error"]["code"].as_str().unwrap_or("").to_owned();
        return (messages, code);
    }
    panic!("the stream has no end: {:.300}", answer.text());
}

/// Finds the status of gRPC-Web in the head, or in the last frame of the body.
fn grpc_status(answer: &Answer) -> String {
    let head = answer.header("grpc-status");
    if !head.is_empty() {
        return head.to_owned();
    }
    let text = match answer.header("content-type").contains("text") {
        true => String::from_utf8_lossy(&base64_simd::STANDARD.decode_to_vec(&answer.body).unwrap()).into_owned(),
        false => answer.text(),
    };
    let (_, tail) = text.split_once("grpc-status:").expect("a status");
    tail.trim_start().chars().take_while(char::is_ascii_digit).collect()
}

/// Reads HTTP/2 frames up to one of `kind`, and the number at `offset` in it.
fn frame(mut stream: &TcpStream, kind: u8, offset: usize) -> u32 {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).expect("a frame before the end");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).expect("a whole frame");
        if head[3] == kind {
            return u32::from_be_bytes(payload[offset..offset + 4].try_into().unwrap());
        }
    }
}

fn assert_closed(mut stream: &TcpStream) {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                let waiting = matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
                assert!(!waiting, "the connection is still open");
                return;
            }
        }
    }
}

fn read_until(mut stream: &TcpStream, text: &str) {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !seen.windows(text.len()).any(|window| window == text.as_bytes()) {
        let count = stream.read(&mut buffer).unwrap_or(0);
        assert!(count > 0, "no {text:?} in {:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..count]);
    }
}

/// Makes the close that follows a reset.
fn reset(stream: &TcpStream) {
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    nix::sys::socket::setsockopt(stream, nix::sys::socket::sockopt::Linger, &linger).unwrap();
}
