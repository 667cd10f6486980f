//! Errors: codes, statuses, messages, details.

use crate::client::{INPUT, NAMES, START, STAT, STREAM, UNARY, call};
use crate::server::Server;

const HTTP: [u16; 17] = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];

const DETAIL: (&str, &str) = ("google.rpc.RetryInfo", "CgIIAQ");

#[tokio::test]
async fn every_code_reaches_every_dialect_with_message_and_details() {
    let server = Server::start().await;
    for face in UNARY {
        for code in 1..=16 {
            let request = format!(r#"{{"path":"fail/{code}"}}"#);
            let answer = call(&server, face, STAT, &[request.as_bytes()], &[]).await;
            let name = NAMES[code];
            assert_eq!(answer.code as usize, code, "{face:?} {name}");
            assert_eq!(answer.message, "told to fail: ü", "{face:?} {name}");
            assert_eq!(answer.details, [(DETAIL.0.into(), DETAIL.1.into())], "{face:?}");
            let expected = match face.0 {
                crate::client::Face::Unary => HTTP[code],
                _ => 200,
            };
            assert_eq!(answer.status.as_u16(), expected, "{face:?} {name}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_breaks_keeps_its_messages_and_names_the_error() {
    let server = Server::start().await;
    for face in STREAM {
        let answer = call(&server, face, START, &[br#"{"process":{"cmd":"break"}}"#], &[]).await;
        assert_eq!(answer.status, 200, "{face:?}");
        assert_eq!(answer.messages, [&br#"{"event":{"start":{"pid":7}}}"#[..]], "{face:?}");
        assert_eq!((answer.code, &*answer.message), (10, "told to fail: ü"), "{face:?}");
        assert_eq!(answer.details, [(DETAIL.0.into(), DETAIL.1.into())], "{face:?}");
        assert_eq!(answer.trailers["x-why"], "because", "{face:?}");
    }
}

#[tokio::test]
async fn a_stream_that_is_refused_ends_in_its_dialect() {
    let server = Server::start().await;
    for face in STREAM {
        let answer = call(&server, face, START, &[br#"{"process":{"cmd":"refuse"}}"#], &[]).await;
        assert_eq!((answer.status.as_u16(), answer.code), (200, 5), "{face:?}");
        assert_eq!(answer.trailers["x-why"], "because", "{face:?}");
        assert!(answer.messages.is_empty(), "{face:?}");
    }
}

#[tokio::test]
async fn one_message_where_one_is_due_or_unimplemented() {
    let server = Server::start().await;
    let one: &[u8] = b"{}";
    for face in STREAM {
        for messages in [&[][..], &[one, one][..]] {
            let answer = call(&server, face, START, messages, &[]).await;
            assert_eq!(answer.code, 12, "{face:?} {}", messages.len());
        }
    }
    for face in UNARY.into_iter().filter(|face| face.0 != crate::client::Face::Unary) {
        for messages in [&[][..], &[one, one][..]] {
            let answer = call(&server, face, STAT, messages, &[]).await;
            assert_eq!(answer.code, 12, "{face:?} {}", messages.len());
        }
    }
}

#[tokio::test]
async fn a_client_stream_takes_any_number_of_messages() {
    let server = Server::start().await;
    for face in STREAM {
        for count in [0, 1, 5] {
            let messages = vec![&b"{}"[..]; count];
            let answer = call(&server, face, INPUT, &messages, &[]).await;
            assert_eq!(answer.code, 0, "{face:?} {}", answer.message);
            assert_eq!(answer.headers["x-count"], count.to_string(), "{face:?}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_an_invalid_argument() {
    let server = Server::start().await;
    for face in UNARY {
        for request in ["", "null", "[]", "{", r#"{"path":7}"#, r#"{"path":"a"}x"#] {
            let answer = call(&server, face, STAT, &[request.as_bytes()], &[]).await;
            assert_eq!(answer.code, 3, "{face:?} {request}: {}", answer.message);
        }
    }
    for face in STREAM {
        let answer = call(&server, face, INPUT, &[b"{}", b"{"], &[]).await;
        assert_eq!(answer.code, 3, "{face:?}");
    }
}
