//! What HTTP/1.1 itself refuses, or must bear.

use crate::build::{Pairs, get, raw, request};
use crate::outcome::Want::{Each, Refused, Status};
use crate::row::{Leave, Row};
use crate::stage::Stage;

pub(crate) fn rows(_: &Stage) -> Vec<Row> {
    [lines(), fields(), lengths(), many(), strangers(), slow()].concat()
}

fn lines() -> Vec<Row> {
    let table = [
        ("HTTP/0.9", "GET /health\r\n\r\n"),
        ("a version from the future", "GET /health HTTP/3.7\r\n\r\n"),
        ("a version in small letters", "GET /health http/1.1\r\n\r\n"),
        ("a version that is none", "GET /health HTTP/x.y\r\n\r\n"),
        ("another protocol", "GET /health ICY/1.1\r\n\r\n"),
        ("two targets", "GET /health /health HTTP/1.1\r\n\r\n"),
        ("no target", "GET HTTP/1.1\r\n\r\n"),
        ("a verb with a bracket", "GE{T /health HTTP/1.1\r\n\r\n"),
        ("a target with a NUL", "GET /hea\0lth HTTP/1.1\r\n\r\n"),
        ("a bare carriage return", "GET /health HTTP/1.1\rhost: x\r\n\r\n"),
    ];
    table.into_iter().map(|(name, text)| Row::new(format!("line: {name}"), text.into(), Refused(400))).collect()
}

fn fields() -> Vec<Row> {
    let table = [
        ("without a colon", "nothing"),
        ("without a name", ": x"),
        ("with a space before the colon", "name : x"),
        ("with a space in the name", "na me: x"),
        ("with a NUL in the value", "name: \0"),
        ("with a NUL in the name", "na\0me: x"),
        ("with a bare carriage return", "name: a\rb"),
        ("that goes on in the next line", "name: a\r\n b"),
        ("that begins with a space", " name: a"),
        ("with a control character", "name: \u{1}"),
    ];
    let rows = table.into_iter().map(|(name, field)| {
        let send = format!("GET /health HTTP/1.1\r\nhost: x\r\n{field}\r\n\r\n");
        Row::new(format!("field: {name}"), send.into_bytes(), Refused(400))
    });
    rows.collect()
}

fn lengths() -> Vec<Row> {
    let table: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("a negative length", vec![("content-length", "-1")]),
        ("a length with a sign", vec![("content-length", "+2")]),
        ("a length of letters", vec![("content-length", "two")]),
        ("a length in another base", vec![("content-length", "0x2")]),
        ("no length after all", vec![("content-length", "")]),
        ("a length beyond 64 bits", vec![("content-length", "99999999999999999999")]),
        ("two lengths that differ", vec![("content-length", "2"), ("content-length", "3")]),
        ("two lengths in one field", vec![("content-length", "2, 3")]),
        ("a coding that is not chunked", vec![("transfer-encoding", "gzip")]),
        ("a coding behind chunked", vec![("transfer-encoding", "chunked, gzip")]),
        ("a coding of nothing", vec![("transfer-encoding", "")]),
    ];
    let rows = table.into_iter().map(|(name, headers)| {
        let headers = [&[("content-type", "application/json")], &headers[..]].concat();
        let send = raw("POST", "/process.Process/List", &headers, b"{}");
        Row::new(format!("length: {name}"), send, Refused(400))
    });
    let old = b"POST /process.Process/List HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_vec();
    rows.chain([Row::new("length: chunks in HTTP/1.0", old, Refused(400))]).collect()
}

fn many() -> Vec<Row> {
    let names: Vec<String> = (0..1000).map(|number| format!("x-{number}")).collect();
    let thousand: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "x")).collect();
    let value = "x".repeat(1 << 20);
    let name = "x".repeat(70_000);
    let health = |headers: Pairs<'_>| get("/health", headers);
    vec![
        Row::new("head: 1,000 fields", health(&thousand), Refused(431)),
        Row::new("head: a field of 1 MB", health(&[("x", &value)]), Refused(431)),
        Row::new("head: a name of 70,000 letters", health(&[(&name, "x")]), Refused(431)),
        Row::new("head: a token of 1 MB", health(&[("x-access-token", &value)]), Refused(431)),
    ]
}

/// Bytes of other protocols, and requests that follow each other.
fn strangers() -> Vec<Row> {
    let mut hello = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    hello.extend([0xa5; 506]);
    let noise: Vec<u8> =
        (0..5000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[0] | 0x80).collect();
    let health = get("/health", &[]);
    let bogus = request("POST", "/process.Process/Bogus", &[("content-type", "application/json")], b"{}");
    let list = request("POST", "/process.Process/List", &[("content-type", "application/json")], b"{}");
    vec![
        Row::new("bytes: a TLS hello", hello, Refused(400)),
        Row::new("bytes: noise", noise, Refused(400)),
        Row::new("bytes: zeros", vec![0; 5000], Refused(400)),
        Row::new("bytes: SSH", b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(), Refused(400)),
        Row::new("bytes: SMTP", b"EHLO example.com\r\n".to_vec(), Refused(400)),
        Row::new("bytes: a Redis command", b"*1\r\n$4\r\nPING\r\n".to_vec(), Refused(400)),
        Row::new("bytes: a proxy's hello", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n".to_vec(), Refused(400)),
        Row::new("bytes: three requests at once", [&*health, &bogus, &list].concat(), Each(&[204, 404, 200])),
        Row::new("bytes: a request and garbage", [&*health, b"\x01\x02\r\n\r\n"].concat(), Each(&[204, 400])),
        Row::new("bytes: line ends before a request", [b"\r\n\r\n", &*health].concat(), Status(204)),
        Row::new("bytes: a tunnel", raw("CONNECT", "example.com:443", &[], b""), Status(404)),
        Row::new("bytes: an upgrade", get("/health", &[("connection", "upgrade"), ("upgrade", "h2c")]), Status(204)),
        Row::new("bytes: a target without a slash", raw("GET", "health", &[], b""), Status(404)),
        Row::new("bytes: everything", raw("OPTIONS", "*", &[], b""), Status(404)),
    ]
}

/// Clients that take their time, and leave.
fn slow() -> Vec<Row> {
    let send = get("/health", &[("name", "value")]);
    let mut rows = Vec::new();
    for at in [1, 3, 10, 22, send.len() - 3, send.len() - 1] {
        for leave in [Leave::Drop, Leave::HalfClose, Leave::Reset] {
            let name = format!("head: {at} bytes of one, then {leave:?}");
            rows.push(Row::leaving(name, send[..at].to_vec(), leave));
        }
    }
    rows.push(Row::leaving("head: none, then nothing", Vec::new(), Leave::HalfClose));
    rows.push(Row::act("head: byte by byte, then away", |stage| {
        let mut connection = crate::support::http::Connection::open(stage.address);
        for byte in b"GET /health HTTP/1.1\r\nhost: x\r\nx: y" {
            connection.send(&[*byte]).unwrap();
        }
    }));
    rows
}
