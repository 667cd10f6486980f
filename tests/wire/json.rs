//! Proto3 JSON and binary, side by side.

use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use thawd::proto::filesystem::filesystem_client::FilesystemClient;
use thawd::proto::filesystem::{StatRequest, StatResponse};
use thawd::proto::process::process_client::ProcessClient;
use thawd::proto::process::process_event::{Event, data_event::Output};
use thawd::proto::process::{ProcessConfig, StartRequest, StreamInputRequest};

use crate::client::{Face, START, STAT, UNARY, call, post, send};
use crate::server::Server;

#[tokio::test]
async fn unknown_fields_are_ignored_and_null_is_the_default() {
    let server = Server::start().await;
    for face in UNARY {
        for request in [r#"{"new":{"x":[1,null]},"path":"a"}"#, r#"{"path":null}"#, "{}"] {
            let answer = call(&server, face, STAT, &[request.as_bytes()], &[]).await;
            assert_eq!(answer.code, 0, "{face:?} {request} {}", answer.message);
        }
    }
}

#[tokio::test]
async fn bytes_of_a_stream_are_base64() {
    let server = Server::start().await;
    let request = br#"{"process":{"cmd":"echo","args":["4"]}}"#;
    let answer = call(&server, (Face::Stream, false), START, &[request], &[]).await;
    assert_eq!(answer.messages[1], br#"{"event":{"data":{"stdout":"eHh4eA=="}}}"#[..]);
    assert_eq!(answer.messages[2], br#"{"event":{"end":{"exitCode":-1}}}"#[..]);
}

#[tokio::test]
async fn binary_connect_is_plain_protobuf() {
    let server = Server::start().await;
    let request = StatRequest { path: "a".into() }.encode_to_vec();
    for h2 in [false, true] {
        let request = post("application/proto", STAT, &[], Full::from(request.clone()));
        let answer = send(&server, h2, request).await;
        assert_eq!(answer.headers()["content-type"], "application/proto");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let answer = StatResponse::decode(body).unwrap();
        assert_eq!(answer.entry.unwrap().name, "a");
    }
}

#[tokio::test]
async fn a_request_without_bytes_is_the_default_in_binary() {
    let server = Server::start().await;
    let answer = send(&server, false, post("application/proto", STAT, &[], Full::from(""))).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_generated_tonic_client_is_at_home() {
    let server = Server::start().await;
    let socket = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket));
    let (sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let channel = tower::service_fn(move |request: hyper::Request<tonic::body::Body>| {
        let mut sender = sender.clone();
        async move { sender.send_request(request).await }
    });
    let origin: hyper::Uri = format!("http://{}", server.addr).parse().unwrap();

    let mut files = FilesystemClient::with_origin(channel.clone(), origin.clone());
    let answer = files.stat(StatRequest { path: "a".into() }).await.unwrap();
    assert_eq!(answer.into_inner().entry.unwrap().name, "a");
    let error = files.stat(StatRequest { path: "fail/5".into() }).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::NotFound);
    assert_eq!(error.message(), "told to fail: ü");

    let mut processes = ProcessClient::with_origin(channel, origin);
    let process = ProcessConfig { cmd: "echo".into(), args: vec!["3".into()], ..Default::default() };
    let request = StartRequest { process: Some(process), ..Default::default() };
    let mut events = processes.start(request).await.unwrap().into_inner();
    let mut seen = Vec::new();
    while let Some(event) = events.message().await.unwrap() {
        seen.push(event.event.unwrap().event.unwrap());
    }
    assert_eq!(seen.len(), 3);
    let Event::Data(data) = &seen[1] else { panic!("{seen:?}") };
    assert_eq!(data.output, Some(Output::Stdout(bytes::Bytes::from_static(b"xxx"))));
    assert_eq!(events.trailers().await.unwrap().unwrap().get("x-tail").unwrap(), "one");

    let input = tokio_stream::iter(vec![StreamInputRequest::default(); 3]);
    let answer = processes.stream_input(input).await.unwrap();
    assert_eq!(answer.metadata().get("x-count").unwrap(), "3");
}
