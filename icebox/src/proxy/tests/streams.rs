//! Both ways at once, and nothing waits for more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncWriteExt;

use super::support::{Field, Talk, proxy, server, soon, until};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A server that says each line that it hears, on its way.
async fn echo() -> std::net::SocketAddr {
    server(|mut talk| async move {
        talk.head().await;
        talk.say(CHUNKED).await;
        loop {
            let piece = talk.until("\n\r\n").await;
            talk.say(&piece).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_request_and_its_answer_stream_at_the_same_time() {
    let proxy = proxy(&Field::of(3000, echo().await)).await;
    let mut talk = Talk::ask(&proxy, "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked\r\n\r\n").await;
    // The head comes before any byte of the body is sent.
    talk.head().await;
    for _ in 0..100 {
        talk.say("6\r\nhello\n\r\n").await;
        assert_eq!(talk.until("\n\r\n").await, "6\r\nhello\n\r\n");
    }
}

#[tokio::test]
async fn three_hundred_streams_run_at_once() {
    let proxy = proxy(&Field::of(3000, echo().await)).await;
    let mut talks = Vec::new();
    for _ in 0..300 {
        let mut talk = Talk::ask(&proxy, "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked\r\n\r\n").await;
        talk.head().await;
        talks.push(talk);
    }
    for round in 0..2 {
        for (number, talk) in talks.iter_mut().enumerate() {
            let line = format!("B\r\n{number:05}{round:05}\n\r\n");
            talk.say(&line).await;
            assert_eq!(talk.until("\n\r\n").await, line);
        }
    }
}

#[tokio::test]
async fn an_event_arrives_while_the_next_is_awaited() {
    let (next, awaited) = tokio::sync::watch::channel(());
    let server = server(move |mut talk| {
        let mut awaited = awaited.clone();
        async move {
            talk.head().await;
            talk.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await;
            for number in 0..3 {
                talk.say(&format!("data: {number}\n\n")).await;
                awaited.changed().await.unwrap();
            }
        }
    });
    let proxy = proxy(&Field::of(3000, server.await)).await;
    let mut talk = Talk::ask(&proxy, "GET / HTTP/1.1\r\nHOST\r\n").await;
    assert!(talk.head().await.contains("content-type: text/event-stream"));
    for number in 0..3 {
        talk.until(&format!("data: {number}\n\n")).await;
        next.send(()).unwrap();
    }
    talk.until("0\r\n\r\n").await;
}

#[tokio::test]
async fn a_connection_becomes_a_tunnel() {
    let server = server(|mut talk| async move {
        let head = talk.head().await;
        assert!(head.contains("connection: upgrade\r\n") && head.contains("upgrade: websocket\r\n"), "{head}");
        assert!(head.contains("sec-websocket-key: k\r\n"), "{head}");
        // The first frame may come with the head.
        talk.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX: 1\r\n\r\nhello ")
            .await;
        loop {
            let line = talk.until("\n").await;
            talk.say(&line).await;
            if line == "end\n" {
                // It hears the end of the client's half, and still speaks.
                assert!(talk.rest().await.1);
                return talk.say("bye").await;
            }
        }
    });
    let proxy = proxy(&Field::of(3000, server.await)).await;
    let wish =
        "GET /ws HTTP/1.1\r\nHOSTConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";
    let mut talk = Talk::ask(&proxy, &format!("{wish}early\n")).await;
    let head = talk.head().await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    for part in ["connection: upgrade\r\n", "upgrade: websocket\r\n", "x: 1\r\n"] {
        assert!(head.contains(part), "{head}");
    }
    assert_eq!(talk.until("early\n").await, "hello early\n");
    for _ in 0..100 {
        talk.say("frame\n").await;
        talk.until("frame\n").await;
    }
    talk.say("end\n").await;
    soon(talk.stream.shutdown()).await.unwrap();
    assert_eq!(talk.rest().await, ("end\nbye".into(), true));
}

#[tokio::test]
async fn a_wish_for_another_protocol_may_be_refused() {
    let refusal = "HTTP/1.1 426 No\r\nContent-Length: 2\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\nno";
    let proxy = proxy(&Field::of(3000, super::support::canned(refusal).await)).await;
    let wish = "GET /ws HTTP/1.1\r\nHOSTConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut talk = Talk::ask(&proxy, wish).await;
    assert!(talk.until("no").await.starts_with("HTTP/1.1 426"));
    talk.say(&wish.replace("HOST", "Host: 3000-iabc.test\r\n")).await;
    talk.until("no").await;
}

#[tokio::test]
async fn each_request_is_led_once_and_arrives_once() {
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    let server = server(move |mut talk| {
        let count = Arc::clone(&count);
        async move {
            talk.head().await;
            talk.until("body").await;
            count.fetch_add(1, Ordering::Relaxed);
            talk.say("HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    });
    let field = Field::of(3000, server.await);
    let proxy = proxy(&field).await;
    let mut talks = Vec::new();
    for _ in 0..50 {
        talks.push(Talk::ask(&proxy, "POST / HTTP/1.1\r\nHOSTContent-Length: 4\r\n\r\nbody").await);
    }
    for talk in &mut talks {
        assert!(talk.head().await.starts_with("HTTP/1.1 204"));
    }
    until("each came once", || served.load(Ordering::Relaxed) == 50).await;
    assert_eq!(field.asked.load(Ordering::Relaxed), 50, "one question for each request");
}
