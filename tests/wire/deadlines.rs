//! Time: its grammar, and what happens when it is over.

use http_body_util::{BodyExt, Full};

use crate::client::{Face, START, STAT, STREAM, UNARY, call, post, read, send};
use crate::server::Server;

#[tokio::test]
async fn a_deadline_ends_a_call_that_does_not_answer() {
    let server = Server::start().await;
    for face in UNARY {
        let (name, value) = face.0.timeout(50);
        let answer = call(&server, face, STAT, &[br#"{"path":"hang"}"#], &[(name, &value)]).await;
        assert_eq!(answer.code, 4, "{face:?}");
        server.reaches(0).await;
    }
}

#[tokio::test]
async fn a_deadline_ends_a_stream_wherever_it_is_blocked() {
    let server = Server::start().await;
    for face in STREAM {
        let (name, value) = face.0.timeout(100);
        for (cmd, messages) in [("never", 0), ("silent", 0), ("hang", 1)] {
            let request = format!(r#"{{"process":{{"cmd":"{cmd}"}}}}"#);
            let headers = [(name, value.as_str())];
            let answer = call(&server, face, START, &[request.as_bytes()], &headers).await;
            assert_eq!((answer.code, answer.messages.len()), (4, messages), "{face:?} {cmd}");
            server.reaches(0).await;
        }
    }
}

#[tokio::test]
async fn a_deadline_ends_a_stream_whose_consumer_is_slow() {
    let server = Server::start().await;
    for (face, h2) in STREAM {
        let (name, value) = face.timeout(100);
        let body = Full::from(face.body(&[br#"{"process":{"cmd":"flood"}}"#]));
        let request = post(face.content_type(), START, &[(name, &value)], body);
        let mut answer = send(&server, h2, request).await;
        // The consumer reads one piece and then nothing until the time is over.
        answer.body_mut().frame().await.unwrap().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        let mut body = answer.into_body();
        let mut tail = Vec::new();
        let mut status = None;
        while let Some(frame) = body.frame().await {
            match frame.unwrap().into_data() {
                Ok(data) => tail.extend_from_slice(&data),
                Err(frame) => status = frame.into_trailers().unwrap().remove("grpc-status"),
            }
            tail.drain(..tail.len().saturating_sub(400));
        }
        let text = String::from_utf8_lossy(&tail);
        match face {
            Face::Grpc => assert_eq!(status.unwrap(), "4"),
            Face::Stream => assert!(text.contains(r#""code":"deadline_exceeded""#), "{text}"),
            Face::Web => assert!(text.contains("grpc-status: 4\r\n"), "{text}"),
            _ => {}
        }
        server.reaches(0).await;
    }
}

#[tokio::test]
async fn no_time_at_all_is_over_at_once() {
    let server = Server::start().await;
    for (path, faces) in [(STAT, UNARY), (START, STREAM)] {
        for face in faces {
            let (name, value) = face.0.timeout(0);
            let answer = call(&server, face, path, &[b"{}"], &[(name, &value)]).await;
            assert_eq!(answer.code, 4, "{face:?}");
        }
    }
}

#[tokio::test]
async fn a_malformed_timeout_is_an_invalid_argument() {
    let server = Server::start().await;
    for (path, faces) in [(STAT, UNARY), (START, STREAM)] {
        for face in faces {
            let name = face.0.timeout(0).0;
            for value in ["", "x", "-1m", "10000000000", "123456789m", "1 m", "1.5m"] {
                let answer = call(&server, face, path, &[b"{}"], &[(name, value)]).await;
                assert_eq!(answer.code, 3, "{face:?} {value:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_longest_time_is_no_deadline_at_all() {
    let server = Server::start().await;
    for (face, name, value) in
        [((Face::Unary, false), "connect-timeout-ms", "9999999999"), ((Face::Grpc, true), "grpc-timeout", "99999999H")]
    {
        let answer = call(&server, face, STAT, &[b"{}"], &[(name, value)]).await;
        assert_eq!(answer.code, 0);
    }
}

#[tokio::test]
async fn a_handler_sees_the_time_it_was_given() {
    let server = Server::start().await;
    let request: &[u8] = br#"{"path":"timeout"}"#;
    let headers = [("connect-timeout-ms", "60000")];
    let answer = call(&server, (Face::Unary, false), STAT, &[request], &headers).await;
    assert_eq!(answer.json(0)["entry"]["name"], "60s Some(\"60000\")");
    let headers = [("grpc-timeout", "1M")];
    let answer = call(&server, (Face::Grpc, true), STAT, &[request], &headers).await;
    assert_eq!(answer.json(0)["entry"]["name"], "60s None");
}

#[tokio::test]
async fn a_call_in_time_is_left_alone() {
    let server = Server::start().await;
    for (face, h2) in STREAM {
        let (name, value) = face.timeout(60_000);
        let body = Full::from(face.body(&[b"{}"]));
        let request = post(face.content_type(), START, &[(name, &value)], body);
        let answer = read(face, send(&server, h2, request).await).await;
        assert_eq!((answer.code, answer.messages.len()), (0, 3), "{face:?}");
    }
}
