//! Heads that HTTP allows and the protocols do not: verbs, types, versions, times, paths.

use crate::build::{Pairs, envelope, get, one, raw, request, typed, unary};
use crate::outcome::Want::{self, End, Exit, Refused, Rpc, Status};
use crate::outcome::{INVALID, STRANGER};
use crate::row::Row;
use crate::stage::Stage;

const LIST: &str = "process.Process/List";
const START: &str = "process.Process/Start";
const TRUE: &[u8] = br#"{"process":{"cmd":"true"}}"#;

pub(crate) fn rows(_: &Stage) -> Vec<Row> {
    [verbs(), types(), times(), paths(), users(), chunks()].concat()
}

fn verbs() -> Vec<Row> {
    let json: Pairs<'_> = &[("content-type", "application/json")];
    let rpc = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"].into_iter().map(|verb| {
        let send = request(verb, "/process.Process/List", json, b"{}");
        Row::new(format!("verb: {verb} on an RPC"), send, Status(405)).header("allow", "POST")
    });
    let plain = [
        ("POST", "/health"),
        ("DELETE", "/metrics"),
        ("PUT", "/envs"),
        ("GET", "/init"),
        ("DELETE", "/files"),
        ("PUT", "/files"),
        ("GET", "/files/compose"),
    ];
    let plain = plain
        .into_iter()
        .map(|(verb, path)| Row::new(format!("verb: {verb} on {path}"), request(verb, path, &[], b""), Status(405)));
    rpc.chain(plain).collect()
}

fn types() -> Vec<Row> {
    let unary = ["text/plain", "application/connect+json", "application/jsonx", "application", ";", "\u{fc}"];
    let unary = unary.into_iter().map(|kind| {
        let row =
            Row::new(format!("content type: {kind:?} for a unary call"), typed(kind, LIST, &[], b"{}"), Status(415));
        if kind == "text/plain" { row.header("accept-post", ACCEPTED) } else { row }
    });
    let streams = ["application/json", "application/proto", "application/connect", "multipart/form-data"];
    let streams = streams.into_iter().map(|kind| {
        let send = typed(kind, START, &[], &envelope(0, TRUE));
        Row::new(format!("content type: {kind:?} for a stream"), send, Status(415))
    });
    let none = request("POST", "/process.Process/List", &[], b"{}");
    unary.chain(streams).chain([Row::new("content type: none", none, Status(415))]).collect()
}

const ACCEPTED: &str = "application/json, application/proto, application/grpc, application/grpc+proto, \
                        application/grpc+json, application/grpc-web, application/grpc-web+proto, \
                        application/grpc-web+json, application/grpc-web-text, application/grpc-web-text+proto, \
                        application/grpc-web-text+json";

fn times() -> Vec<Row> {
    let mut rows = Vec::new();
    for text in ["soon", "-1", "+1", "1.5", "1e3", "0x10", "10000000000", "9223372036854775808", "1 2", "\u{663}"] {
        let headers: Pairs<'_> = &[("connect-timeout-ms", text)];
        rows.push(Row::new(format!("time: {text:?} for a unary call"), unary(LIST, headers, b"{}"), INVALID));
        let start = one(START, headers, TRUE);
        rows.push(Row::new(format!("time: {text:?} for a stream"), start, End("invalid_argument")));
    }
    let none: Pairs<'_> = &[("connect-timeout-ms", "0")];
    rows.push(Row::new("time: none for a unary call", unary(LIST, none, b"{}"), Rpc(504, "deadline_exceeded")));
    rows.push(Row::new("time: none for a stream", one(START, none, TRUE), End("deadline_exceeded")));
    let most: Pairs<'_> = &[("connect-timeout-ms", "9999999999")];
    rows.push(Row::new("time: the longest", one(START, most, TRUE), Exit(0)));
    for version in ["", "0", "2", "1.0", "one"] {
        let headers: Pairs<'_> = &[("connect-protocol-version", version)];
        rows.push(Row::new(format!("protocol version: {version:?}"), unary(LIST, headers, b"{}"), INVALID));
    }
    for text in ["0", "-1", "-9223372036854775808", "9223372036854775807", "99999999999999999999", "x", "1.5", ""] {
        let start = one(START, &[("keepalive-ping-interval", text)], TRUE);
        rows.push(Row::new(format!("keepalive: every {text:?} seconds"), start, Exit(0)));
    }
    rows
}

fn paths() -> Vec<Row> {
    let targets = [
        "/process.Process/Bogus",
        "/process.Process/list",
        "/process.Process/",
        "/process.Process",
        "/process.Process/List/",
        "//process.Process/List",
        "/./process.Process/List",
        "/process.Process/../process.Process/List",
        "/process.Process%2FList",
        "/process.Bogus/List",
        "/bogus.Process/List",
        "/filesystem.Filesystem/Bogus",
        "/",
        "/health/",
        "/%00",
        "/..%2f..%2fetc/passwd",
    ];
    let unknown = targets.into_iter().map(|target| {
        let send = request("POST", target, &[("content-type", "application/json")], b"{}");
        Row::new(format!("path: {target}"), send, Status(404)).saying("404 page not found")
    });
    let long = format!("/{}", "a".repeat(20_000));
    let longest = format!("/{}", "a".repeat(70_000));
    let more = [
        Row::new("path: 20,000 characters", get(&long, &[]), Status(404)),
        Row::new("path: 70,000 characters", get(&longest, &[]), Refused(414)),
        Row::new(
            "path: a query behind an RPC",
            request("POST", "/process.Process/List?x=%zz", JSON, b"{}"),
            Status(200),
        ),
        Row::new("path: with a scheme", raw("GET", "http://elsewhere/health", &[], b""), Status(204)),
    ];
    unknown.chain(more).collect()
}

const JSON: Pairs<'static> = &[("content-type", "application/json")];

fn users() -> Vec<Row> {
    let basic = |user: &[u8]| format!("Basic {}", crate::build::base64(user));
    let strangers: [(&str, Vec<u8>); 7] = [
        ("without a name", b":".to_vec()),
        ("nobody by this name", b"no-such-user:".to_vec()),
        ("with a line end", b"root\n:".to_vec()),
        ("with a NUL", b"root\0:".to_vec()),
        ("a path", b"../root:".to_vec()),
        ("of 5,000 letters", [&[b'u'; 5000][..], b":"].concat()),
        ("beyond 32 bits", b"4294967296:".to_vec()),
    ];
    let mut rows = Vec::new();
    for (name, user) in strangers {
        let header = basic(&user);
        let headers: Pairs<'_> = &[("authorization", &header)];
        rows.push(Row::new(format!("user: {name}, unary"), unary(LIST, headers, b"{}"), STRANGER));
        rows.push(Row::new(format!("user: {name}, stream"), one(START, headers, TRUE), End("unauthenticated")));
        rows.push(Row::new(format!("user: {name}, plain"), get("/health", headers), STRANGER));
    }
    // What names nobody is as good as no header.
    for text in ["", "Basic", "Basic ", "Basic ***", "Basic /w==", "Bearer x", "basic", "\u{1F600}"] {
        let send = unary(LIST, &[("authorization", text)], b"{}");
        rows.push(Row::new(format!("user: none in {text:?}"), send, Want::Status(200)));
    }
    rows
}

/// Bodies in chunks that are wrong, behind heads that are right.
fn chunks() -> Vec<Row> {
    let table: [(&str, &str); 9] = [
        ("no size", "\r\n{}\r\n0\r\n\r\n"),
        ("a size of letters", "zz\r\n{}\r\n0\r\n\r\n"),
        ("a negative size", "-2\r\n{}\r\n0\r\n\r\n"),
        ("a size beyond 64 bits", "10000000000000000\r\n{}\r\n0\r\n\r\n"),
        ("a size with a sign", "+2\r\n{}\r\n0\r\n\r\n"),
        ("a size in another base", "0x2\r\n{}\r\n0\r\n\r\n"),
        ("a chunk longer than its size", "1\r\n{}\r\n0\r\n\r\n"),
        ("a size without a line end", "2 {}"),
        ("an endless extension", "2;"),
    ];
    let rows = table.into_iter().map(|(name, body)| {
        let mut body = body.to_owned();
        if body.ends_with(';') {
            body += &"x".repeat(100_000);
        }
        let headers = [("content-type", "application/json"), ("transfer-encoding", "chunked")];
        let send = raw("POST", "/process.Process/List", &headers, body.as_bytes());
        Row::new(format!("chunked: {name}"), send, Rpc(503, "unavailable"))
    });
    rows.collect()
}
