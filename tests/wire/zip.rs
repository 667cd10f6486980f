//! Compression, both ways in each dialect.

use http_body_util::Full;

use crate::client::{Face, INPUT, START, STAT, STREAM, UNARY, call, gzip, post, read, seal, send};
use crate::server::Server;

/// A request with its one message compressed.
fn packed(face: Face, message: &[u8]) -> Vec<u8> {
    let small = gzip(message);
    match face {
        Face::Unary => small,
        Face::WebText => base64_simd::STANDARD.encode_to_string(seal(1, &small)).into_bytes(),
        _ => seal(1, &small),
    }
}

#[tokio::test]
async fn a_compressed_request_is_read() {
    let server = Server::start().await;
    for (path, faces) in [(STAT, UNARY), (START, STREAM), (INPUT, STREAM)] {
        for (face, h2) in faces {
            let body = Full::from(packed(face, b"{}"));
            let request = post(face.content_type(), path, &[(face.encoding(), "gzip")], body);
            let answer = read(face, send(&server, h2, request).await).await;
            assert_eq!(answer.code, 0, "{face:?} {}", answer.message);
        }
    }
}

#[tokio::test]
async fn an_announced_compression_may_stay_unused_in_envelopes() {
    let server = Server::start().await;
    for face in STREAM {
        let headers = [(face.0.encoding(), "gzip")];
        let answer = call(&server, face, START, &[b"{}"], &headers).await;
        assert_eq!(answer.code, 0, "{face:?} {}", answer.message);
    }
}

#[tokio::test]
async fn a_large_answer_is_compressed_for_those_who_accept_it() {
    let server = Server::start().await;
    for face in UNARY {
        for (accept, size, compressed) in [
            ("br, gzip", "big/2000", 1),
            ("gzip", "big/10", 0),
            ("identity", "big/2000", 0),
            ("gzip;q=0", "big/2000", 0),
        ] {
            let request = format!(r#"{{"path":"{size}"}}"#);
            let headers = [(face.0.accept_encoding(), accept)];
            let answer = call(&server, face, STAT, &[request.as_bytes()], &headers).await;
            assert_eq!(answer.compressed, compressed, "{face:?} {accept} {size}");
            let name = answer.json(0)["entry"]["name"].as_str().unwrap().len();
            assert_eq!(format!("big/{name}"), size);
        }
    }
}

#[tokio::test]
async fn a_stream_is_compressed_by_message_and_never_as_a_whole() {
    let server = Server::start().await;
    let request = br#"{"process":{"cmd":"echo","args":["3000"]}}"#;
    for face in STREAM {
        let headers = [(face.0.accept_encoding(), "gzip"), ("accept-encoding", "gzip, br")];
        let answer = call(&server, face, START, &[request], &headers).await;
        assert_eq!((answer.messages.len(), answer.compressed), (3, 1), "{face:?}");
        assert_eq!(answer.headers[face.0.encoding()], "gzip");
        assert_eq!(answer.json(1)["event"]["data"]["stdout"].as_str().unwrap().len(), 4000);
        let plain = call(&server, face, START, &[request], &headers[1..]).await;
        assert_eq!((plain.messages, plain.compressed), (answer.messages, 0), "{face:?}");
        assert!(!plain.headers.contains_key("content-encoding"));
    }
}

#[tokio::test]
async fn another_compression_is_unimplemented_and_told_what_is_not() {
    let server = Server::start().await;
    for (path, faces) in [(STAT, UNARY), (START, STREAM)] {
        for face in faces {
            let headers = [(face.0.encoding(), "br")];
            let answer = call(&server, face, path, &[b"{}"], &headers).await;
            assert_eq!(answer.code, 12, "{face:?}");
            assert!(answer.message.contains("gzip,identity"), "{}", answer.message);
            let accepted = face.0.accept_encoding();
            let list = answer.headers.get(accepted).or(answer.trailers.get(accepted));
            assert_eq!(list.unwrap(), "gzip,identity", "{face:?}");
            let headers = [(face.0.encoding(), "identity")];
            assert_eq!(call(&server, face, path, &[b"{}"], &headers).await.code, 0);
        }
    }
}

#[tokio::test]
async fn a_compressed_message_that_nobody_announced_is_an_error() {
    let server = Server::start().await;
    for (face, h2) in STREAM {
        let body = Full::from(packed(face, b"{}"));
        let request = post(face.content_type(), START, &[], body);
        assert_eq!(read(face, send(&server, h2, request).await).await.code, 13, "{face:?}");
    }
}
