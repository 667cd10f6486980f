//! Sizes: what is too large is exhausted, before and after inflating.

use bytes::Bytes;
use http_body_util::Full;
use thawd::wire::Settings;

use crate::client::{Face, INPUT, START, STAT, STREAM, UNARY, call, gzip, post, read, seal, send};
use crate::server::Server;

const LIMIT: usize = 1000;

async fn server() -> Server {
    Server::with(Settings { max_request_message: LIMIT, ..Settings::default() }).await
}

/// A message of exactly `size` bytes.
fn message(size: usize) -> Vec<u8> {
    format!("{{{}}}", " ".repeat(size - 2)).into_bytes()
}

#[tokio::test]
async fn a_message_at_the_limit_passes_and_one_byte_more_does_not() {
    let server = server().await;
    for (path, faces) in [(STAT, UNARY), (START, STREAM), (INPUT, STREAM)] {
        for face in faces {
            let fits = call(&server, face, path, &[&message(LIMIT)], &[]).await;
            assert_eq!(fits.code, 0, "{face:?} {}", fits.message);
            let large = call(&server, face, path, &[&message(LIMIT + 1)], &[]).await;
            assert_eq!(large.code, 8, "{face:?} {}", large.message);
            assert!(large.message.contains("1001 is larger than configured max 1000"));
        }
    }
}

#[tokio::test]
async fn any_message_of_a_stream_can_be_too_large() {
    let server = server().await;
    for face in STREAM {
        let (small, large) = (message(LIMIT), message(LIMIT + 1));
        let answer = call(&server, face, INPUT, &[&small, &small, &large], &[]).await;
        assert_eq!(answer.code, 8, "{face:?} {}", answer.message);
    }
}

#[tokio::test]
async fn a_message_without_a_promised_size_is_limited_as_well() {
    let server = server().await;
    let pieces = (0..3).map(|_| Ok::<_, std::io::Error>(hyper::body::Frame::data(Bytes::from(vec![b' '; 500]))));
    let body = http_body_util::StreamBody::new(tokio_stream::iter(pieces));
    let answer = send(&server, false, post("application/json", STAT, &[], body)).await;
    assert_eq!(read(Face::Unary, answer).await.code, 8);
}

#[tokio::test]
async fn a_message_that_inflates_beyond_the_limit_is_refused() {
    let server = server().await;
    let bomb = gzip(&message(LIMIT + 1));
    assert!(bomb.len() < 100);
    for (path, faces) in [(STAT, UNARY), (START, STREAM), (INPUT, STREAM)] {
        for (face, h2) in faces {
            let body = match face {
                Face::Unary => bomb.clone(),
                Face::WebText => base64_simd::STANDARD.encode_to_string(seal(1, &bomb)).into(),
                _ => seal(1, &bomb),
            };
            let headers = [(face.encoding(), "gzip")];
            let request = post(face.content_type(), path, &headers, Full::from(body));
            let answer = read(face, send(&server, h2, request).await).await;
            assert_eq!(answer.code, 8, "{face:?} {}", answer.message);
        }
    }
}

#[tokio::test]
async fn an_answer_has_no_limit() {
    let server = Server::start().await;
    for face in UNARY {
        let answer = call(&server, face, STAT, &[br#"{"path":"big/9000000"}"#], &[]).await;
        assert_eq!(answer.code, 0, "{face:?}");
        assert!(answer.messages[0].len() > 9_000_000);
    }
}

#[tokio::test]
async fn a_very_large_answer_is_compressed_as_well() {
    let server = Server::start().await;
    let (face, request) = ((Face::Unary, false), br#"{"path":"big/9000000"}"#);
    let answer = call(&server, face, STAT, &[request], &[("accept-encoding", "gzip")]).await;
    assert_eq!(answer.compressed, 1);
    assert_eq!(answer.json(0)["entry"]["name"].as_str().unwrap().len(), 9_000_000);
}

/// Bytes without a pattern, the same in every run (a linear congruential generator).
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

#[tokio::test]
async fn noise_is_answered_with_an_error_and_breaks_nothing() {
    let server = server().await;
    for (path, faces) in [(STAT, UNARY), (START, STREAM), (INPUT, STREAM)] {
        for (face, h2) in faces {
            for seed in 0..40 {
                let len = usize::try_from(seed).unwrap() * 7 + 1;
                let mut body = noise(seed, len);
                // Half of them begin like an envelope that fits.
                if seed % 2 == 0 {
                    body.splice(0..0, [u8::try_from(seed).unwrap() & 3, 0, 0, 0, 9]);
                }
                let headers = [(face.encoding(), ["gzip", "identity"][len % 2])];
                let request = post(face.content_type(), path, &headers, Full::from(body));
                let answer = read(face, send(&server, h2, request).await).await;
                assert_ne!(answer.code, 0, "{face:?} {path} {seed}");
                assert_ne!(answer.code, 2, "{face:?} {path} {seed}");
            }
            server.reaches(0).await;
        }
    }
}
