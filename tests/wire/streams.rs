//! Streams while they live: heads, flushes, disconnects, both directions.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use crate::client::{Face, START, STAT, STREAM, UNARY, post, seal, send};
use crate::server::{PATIENCE, Server};

const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

fn start(cmd: &str) -> Vec<u8> {
    format!(r#"{{"process":{{"cmd":"{cmd}"}}}}"#).into_bytes()
}

#[tokio::test]
async fn the_head_goes_out_before_the_first_message() {
    let server = Server::start().await;
    for (face, h2) in STREAM {
        let body = Full::from(face.body(&[&start("silent")]));
        let answer = send(&server, h2, post(face.content_type(), START, &[], body)).await;
        assert_eq!(answer.status(), 200, "{face:?}");
        drop(answer);
        server.reaches(0).await;
    }
}

#[tokio::test]
async fn each_message_goes_out_at_once() {
    let server = Server::start().await;
    for (face, h2) in STREAM {
        for accept in ["identity", "gzip"] {
            let body = Full::from(face.body(&[&start("hang")]));
            let headers = [(face.accept_encoding(), accept)];
            let mut answer = send(&server, h2, post(face.content_type(), START, &headers, body)).await;
            let first = tokio::time::timeout(PATIENCE, answer.body_mut().frame()).await;
            let first = first.expect("a message").unwrap().unwrap().into_data().unwrap();
            assert!(!first.is_empty(), "{face:?}");
        }
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_stream() {
    let server = Server::start().await;
    for cmd in ["silent", "hang", "flood"] {
        for (face, h2) in STREAM {
            let body = Full::from(face.body(&[&start(cmd)]));
            let answer = send(&server, h2, post(face.content_type(), START, &[], body)).await;
            server.reaches(1).await;
            drop(answer);
            server.reaches(0).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_call() {
    let server = Server::start().await;
    for (face, h2) in UNARY {
        let body = Full::from(face.body(&[br#"{"path":"hang"}"#]));
        let request = post(face.content_type(), STAT, &[], body);
        let call = send(&server, h2, request);
        tokio::select! {
            _ = call => panic!("nobody answers"),
            () = server.reaches(1) => {}
        }
        server.reaches(0).await;
    }
}

#[tokio::test]
async fn a_socket_that_closes_ends_its_stream() {
    let server = Server::start().await;
    let mut socket = TcpStream::connect(server.addr).await.unwrap();
    let body = seal(0, &start("hang"));
    let head = format!(
        "POST {START} HTTP/1.1\r\nhost: a\r\ncontent-type: application/connect+json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    socket.read_u8().await.unwrap();
    server.reaches(1).await;
    drop(socket);
    server.reaches(0).await;
}

/// Asks reflection for `service`, in binary.
fn ask(service: &str) -> Vec<u8> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::FileContainingSymbol(service.into())),
    };
    seal(0, &request.encode_to_vec())
}

/// Takes the next whole envelope out of a body.
async fn next(body: &mut hyper::body::Incoming, rest: &mut Vec<u8>) -> (u8, Bytes) {
    loop {
        if rest.len() >= 5 {
            let size = 5 + u32::from_be_bytes(rest[1..5].try_into().unwrap()) as usize;
            if rest.len() >= size {
                let envelope: Vec<u8> = rest.drain(..size).collect();
                return (envelope[0], Bytes::from(envelope).slice(5..));
            }
        }
        let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("an envelope");
        rest.extend_from_slice(&frame.unwrap().unwrap().into_data().unwrap());
    }
}

#[tokio::test]
async fn both_sides_talk_in_turns_over_http_2() {
    let server = Server::start().await;
    for content_type in ["application/connect+proto", "application/grpc", "application/grpc-web"] {
        let (sender, receiver) = mpsc::channel(1);
        let frames = tokio_stream::StreamExt::map(tokio_stream::wrappers::ReceiverStream::new(receiver), |message| {
            Ok::<_, std::io::Error>(Frame::data(Bytes::from(message)))
        });
        let request = post(content_type, REFLECTION, &[], StreamBody::new(frames));
        let mut answer = send(&server, true, request).await;
        let mut rest = Vec::new();
        for service in ["process.Process", "filesystem.Filesystem", "process.Process"] {
            sender.send(ask(service)).await.unwrap();
            let (flags, message) = next(answer.body_mut(), &mut rest).await;
            let message = ServerReflectionResponse::decode(message).unwrap();
            let echoed = message.original_request.unwrap().message_request.unwrap();
            assert_eq!(flags, 0);
            assert_eq!(echoed, MessageRequest::FileContainingSymbol(service.into()));
        }
        drop(sender);
        if content_type != "application/grpc" {
            let (flags, _) = next(answer.body_mut(), &mut rest).await;
            assert!(matches!(flags, 2 | 0x80), "{content_type} {flags}");
        }
    }
}

#[tokio::test]
async fn one_side_after_the_other_talks_over_http_1() {
    let server = Server::start().await;
    for (content_type, ending) in [("application/connect+proto", 2), ("application/grpc-web", 0x80)] {
        let body = Full::from([ask("process.Process"), ask("filesystem.Filesystem")].concat());
        let mut answer = send(&server, false, post(content_type, REFLECTION, &[], body)).await;
        let mut rest = Vec::new();
        for expected in [0, 0, ending] {
            let (flags, _) = next(answer.body_mut(), &mut rest).await;
            assert_eq!(flags, expected, "{content_type}");
        }
    }
}

#[tokio::test]
async fn a_request_that_breaks_off_in_a_message_is_an_error() {
    let server = Server::start().await;
    for (face, h2) in STREAM.into_iter().filter(|(face, _)| *face != Face::WebText) {
        for cut in [3, 7] {
            let mut body = seal(0, b"{\"a\":1}");
            body.truncate(cut);
            let request = post(face.content_type(), START, &[], Full::from(body));
            let answer = crate::client::read(face, send(&server, h2, request).await).await;
            assert_eq!(answer.code, 3, "{face:?} {}", answer.message);
        }
    }
}
