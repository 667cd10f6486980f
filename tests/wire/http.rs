//! The HTTP around the calls: paths, verbs, content types, early answers.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use thawd::wire::{Linger, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Face, INPUT, START, STAT, STREAM, UNARY, call, post, read, send};
use crate::server::{PATIENCE, Server};

#[tokio::test]
async fn an_unknown_method_is_not_found_in_connect_and_unimplemented_in_grpc() {
    let server = Server::start().await;
    for path in ["/filesystem.Filesystem/Nope", "/no.Service/Nope", "/"] {
        for (face, h2) in UNARY.into_iter().chain(STREAM) {
            let request = post(face.content_type(), path, &[], Full::from("{}"));
            let answer = send(&server, h2, request).await;
            if matches!(face, Face::Unary | Face::Stream) {
                assert_eq!(answer.status(), 404, "{face:?} {path}");
                let body = answer.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body, "404 page not found\n");
            } else {
                assert_eq!(read(face, answer).await.code, 12, "{face:?} {path}");
            }
        }
    }
}

#[tokio::test]
async fn only_post_is_allowed() {
    let server = Server::start().await;
    for verb in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
        for path in [STAT, START] {
            let request = Request::builder().method(&verb).uri(path);
            let request = request.header("content-type", "application/json");
            let answer = send(&server, false, request.body(Full::from("")).unwrap()).await;
            assert_eq!(answer.status(), 405, "{verb}");
            assert_eq!(answer.headers()["allow"], "POST");
            assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
        }
    }
}

#[tokio::test]
async fn an_unknown_content_type_is_told_which_are_known() {
    let server = Server::start().await;
    for (path, content_type, offered) in [
        (STAT, "text/plain", "application/json, application/proto, application/grpc"),
        (STAT, "application/connect+json", "application/json"),
        (START, "application/json", "application/connect+json, application/connect+proto"),
        (INPUT, "application/proto", "application/connect+json"),
        (
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "application/connect+json",
            "application/connect+proto, application/grpc",
        ),
    ] {
        let answer = send(&server, false, post(content_type, path, &[], Full::from("{}"))).await;
        assert_eq!(answer.status(), 415, "{path} {content_type}");
        let accepted = answer.headers()["accept-post"].to_str().unwrap();
        assert!(accepted.starts_with(offered), "{accepted}");
    }
    let request = Request::post(STAT).body(Full::from("{}")).unwrap();
    assert_eq!(send(&server, false, request).await.status(), 415);
}

#[tokio::test]
async fn native_grpc_is_refused_over_http_1() {
    let server = Server::start().await;
    let request = post("application/grpc", STAT, &[], Full::from(""));
    assert_eq!(send(&server, false, request).await.status(), 505);
}

#[tokio::test]
async fn the_connect_version_is_one_or_absent() {
    let server = Server::start().await;
    for (face, path) in [(Face::Unary, STAT), (Face::Stream, START)] {
        for (version, code) in [("1", 0), ("2", 3), ("", 3)] {
            let headers = [("connect-protocol-version", version)];
            let answer = call(&server, (face, false), path, &[b"{}"], &headers).await;
            assert_eq!(answer.code, code, "{face:?} {version:?}");
        }
    }
}

#[tokio::test]
async fn a_charset_does_not_matter() {
    let server = Server::start().await;
    let request = post("application/json; charset=utf-8", STAT, &[], Full::from("{}"));
    assert_eq!(send(&server, false, request).await.status(), 200);
}

/// Sends a head, then far more body than the kernel buffers, then reads.
async fn refused_while_sending(head: &str, body: usize) -> String {
    let server = Server::start().await;
    let mut socket = TcpStream::connect(server.addr).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b' '; 1 << 16];
    let mut sent = 0;
    while sent < body {
        let size = piece.len().min(body - sent);
        let written = tokio::time::timeout(PATIENCE, socket.write_all(&piece[..size]));
        written.await.expect("the server reads on").unwrap();
        sent += size;
    }
    let mut answer = vec![0; 4096];
    let size = tokio::time::timeout(PATIENCE, socket.read(&mut answer)).await;
    let size = size.expect("an answer").unwrap();
    // The connection is as good as before: another request goes through.
    let again = format!(
        "POST {STAT} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    socket.write_all(again.as_bytes()).await.unwrap();
    let mut rest = String::new();
    socket.read_to_string(&mut rest).await.unwrap();
    assert!(rest.ends_with(r#"{"entry":{}}"#), "{rest}");
    answer.truncate(size);
    String::from_utf8_lossy(&answer).into_owned()
}

const LARGE: usize = 24 << 20;

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_still_sends() {
    for (path, content_type, extra, expected) in [
        (STAT, "text/plain", "", "415 Unsupported"),
        ("/nope", "application/json", "", "404 Not Found"),
        (STAT, "application/json", "connect-timeout-ms: x\r\n", "invalid connect-timeout-ms"),
        (INPUT, "application/connect+json", "x-refuse: 1\r\n", "permission_denied"),
    ] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: {content_type}\r\n{extra}content-length: {LARGE}\r\n\r\n"
        );
        let answer = refused_while_sending(&head, LARGE).await;
        assert!(answer.contains(expected), "{answer}");
    }
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_still_sends_over_http_2() {
    let server = Server::start().await;
    for (path, content_type, status) in [(STAT, "text/plain", 415), ("/nope", "application/json", 404)] {
        let body = Full::from(vec![b' '; LARGE]);
        let answer = send(&server, true, post(content_type, path, &[], body)).await;
        assert_eq!(answer.status(), status);
    }
}

#[tokio::test]
async fn a_size_that_is_promised_too_large_is_refused_before_it_is_sent() {
    let server = Server::start().await;
    let mut socket = TcpStream::connect(server.addr).await.unwrap();
    let head = format!(
        "POST {STAT} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        65 << 20
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let size = tokio::time::timeout(PATIENCE, socket.read(&mut answer)).await;
    let size = size.expect("an answer").unwrap();
    let answer = String::from_utf8_lossy(&answer[..size]);
    assert!(answer.starts_with("HTTP/1.1 429") && answer.contains("resource_exhausted"), "{answer}");
}

#[tokio::test]
async fn reading_on_has_bounds() {
    let bytes = Linger { bytes: 1 << 20, time: PATIENCE * 10 };
    let time = Linger { bytes: u64::MAX, time: Duration::from_millis(50) };
    for linger in [bytes, time] {
        let server = Server::with(Settings { linger, ..Settings::default() }).await;
        let mut socket = TcpStream::connect(server.addr).await.unwrap();
        let head = format!(
            "POST {STAT} HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\ncontent-length: 1000000000000\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let piece = vec![b' '; 1 << 16];
        let closed = async { while socket.write_all(&piece).await.is_ok() {} };
        tokio::time::timeout(PATIENCE, closed).await.expect("the server hangs up");
    }
}

#[tokio::test]
async fn a_client_that_asks_before_sending_is_not_told_to_go_on() {
    let server = Server::start().await;
    let mut socket = TcpStream::connect(server.addr).await.unwrap();
    let head = format!(
        "POST {STAT} HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\nexpect: 100-continue\r\ncontent-length: 100000\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let end = tokio::time::timeout(PATIENCE, socket.read_to_string(&mut answer)).await;
    end.expect("the connection ends").unwrap();
    assert!(answer.starts_with("HTTP/1.1 415"), "{answer}");
}

#[tokio::test]
async fn a_refusal_by_another_layer_speaks_the_callers_dialect() {
    let mut headers = hyper::HeaderMap::new();
    for (content_type, status, body) in [
        ("application/json", 401, r#"{"code":"unauthenticated","message":"no"}"#.to_owned()),
        ("text/html", 401, r#"{"code":"unauthenticated","message":"no"}"#.to_owned()),
        (
            "application/connect+json",
            200,
            "\x02\0\0\0\x33{\"error\":{\"code\":\"unauthenticated\",\"message\":\"no\"}}".to_owned(),
        ),
        ("application/grpc", 200, String::new()),
    ] {
        headers.insert("content-type", content_type.parse().unwrap());
        let answer = thawd::wire::refuse(&headers, tonic::Status::unauthenticated("no"));
        assert_eq!(answer.status(), status, "{content_type}");
        if content_type == "application/grpc" {
            assert_eq!(answer.headers()["grpc-status"], "16");
        }
        let bytes: Bytes = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(String::from_utf8_lossy(&bytes), body, "{content_type}");
    }
}

#[test]
fn a_descriptor_set_gives_the_same_table_as_the_generated_one() {
    let table = thawd::wire::Methods::from_descriptor_set(thawd::proto::DESCRIPTORS).unwrap();
    for method in thawd::proto::METHODS {
        assert_eq!(table.get(method.path()), Some(method));
    }
    assert_eq!(table.into_iter().count(), thawd::proto::METHODS.len());
}
