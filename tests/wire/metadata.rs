//! What travels beside the messages, there and back.

use crate::client::{START, STAT, STREAM, UNARY, call};
use crate::server::Server;

#[tokio::test]
async fn metadata_arrives_and_comes_back_in_head_and_trailers() {
    let server = Server::start().await;
    let said = [("x-said", "hello"), ("x-said", "again"), ("authorization", "Basic dTo=")];
    for (path, faces) in [(STAT, UNARY), (START, STREAM)] {
        for face in faces {
            let answer = call(&server, face, path, &[b"{}"], &said).await;
            assert_eq!(answer.code, 0, "{face:?} {}", answer.message);
            let heard: Vec<_> = answer.headers.get_all("x-heard").iter().collect();
            assert_eq!(heard, ["hello", "again"], "{face:?}");
            let tail: Vec<_> = answer.trailers.get_all("x-tail").iter().collect();
            assert_eq!(tail, ["one", "two"], "{face:?}");
            let binary = answer.trailers["x-tail-bin"].to_str().unwrap();
            assert_eq!(binary.trim_end_matches('='), "AP8", "{face:?}");
            assert!(!answer.headers.contains_key("x-tail"), "{face:?}");
        }
    }
}

#[tokio::test]
async fn an_error_keeps_its_metadata() {
    let server = Server::start().await;
    for face in UNARY {
        let answer = call(&server, face, STAT, &[br#"{"path":"fail/5"}"#], &[]).await;
        let why = answer.headers.get("x-why").or(answer.trailers.get("x-why"));
        assert_eq!(why.unwrap(), "because", "{face:?}");
    }
}

#[tokio::test]
async fn an_error_that_ends_a_stream_keeps_its_metadata() {
    let server = Server::start().await;
    for face in STREAM {
        let answer = call(&server, face, START, &[br#"{"process":{"cmd":"break"}}"#], &[]).await;
        assert_eq!((answer.code, answer.trailers.get("x-why").unwrap().to_str().unwrap()), (10, "because"), "{face:?}");
    }
}

#[tokio::test]
async fn the_answer_has_the_content_type_of_the_call_and_nothing_of_tonics() {
    let server = Server::start().await;
    for (path, faces) in [(STAT, UNARY), (START, STREAM)] {
        for face in faces {
            let answer = call(&server, face, path, &[b"{}"], &[]).await;
            assert_eq!(answer.headers["content-type"], face.0.content_type());
            assert!(!answer.headers.contains_key("grpc-status"), "{face:?}");
            assert!(!answer.headers.contains_key("content-encoding"), "{face:?}");
        }
    }
}
