//! What may be sent again, and what never is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpListener;

use super::support::{Field, Proxy, Talk, canned, proxy, server};
use crate::sandbox::SandboxError;
use crate::vm::AGENT_PORT;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const GET: &str = "GET / HTTP/1.1\r\nHOST\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHOSTContent-Length: 4\r\n\r\nbody";

/// A server that counts requests, reads each, and goes without a word.
async fn mute() -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let address = server(move |mut talk| {
        let counted = Arc::clone(&counted);
        async move {
            let head = talk.head().await;
            if head.starts_with("POST") {
                talk.until("body").await;
            }
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    (address.await, count)
}

async fn said(proxy: &Proxy, request: &str) -> String {
    let mut talk = Talk::ask(proxy, request).await;
    let head = talk.head().await;
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap_or("0");
    let mut body = String::new();
    while body.len() < length.parse().unwrap() {
        body.push_str(&talk.until(if head.contains("application/json") { "}" } else { "k" }).await);
    }
    format!("{head}{body}")
}

#[tokio::test]
async fn a_request_that_was_read_is_not_sent_again() {
    let (address, count) = mute().await;
    let field = Field::of(3000, address);
    let proxy = proxy(&field).await;
    for (number, request) in [GET, POST].into_iter().enumerate() {
        let said = said(&proxy, request).await;
        assert!(said.starts_with("HTTP/1.1 502") && said.contains("port is not open"), "{said}");
        assert_eq!(count.load(Ordering::Relaxed), number + 1);
    }
    // It asks only, and its VM is another one now.
    field.change(|plot| {
        plot.asked = Box::new(|asked| if asked > 4 { Err(SandboxError::Stopping) } else { Ok(()) });
    });
    let cancel = field.clone();
    let going = server(move |mut talk| {
        let field = cancel.clone();
        async move {
            talk.head().await;
            field.change(|plot| plot.gone.cancel());
        }
    });
    let going = going.await;
    field.change(|plot| plot.ports.insert(3000, going));
    let said_post = said(&proxy, POST).await;
    assert!(said_post.starts_with("HTTP/1.1 502") && said_post.contains("was not found"), "{said_post}");
    assert_eq!(field.asked.load(Ordering::Relaxed), 3);
    let said_get = said(&proxy, GET).await;
    assert!(said_get.starts_with("HTTP/1.1 503"), "it is led again: {said_get}");
    assert_eq!(field.asked.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn a_request_that_was_not_sent_waits_for_a_server_that_is_just_starting() {
    for request in [GET, POST] {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let field = Field::of(3000, free);
        let later = field.clone();
        let server = canned(OK).await;
        field.change(|plot| {
            // The second time it is there.
            plot.asked = Box::new(move |asked| {
                if asked == 2 {
                    let later = later.clone();
                    tokio::spawn(async move { later.change(|plot| plot.ports.insert(3000, server)) });
                }
                Ok(())
            });
        });
        let proxy = proxy(&field).await;
        assert!(said(&proxy, request).await.ends_with("ok"));
    }
}

#[tokio::test]
async fn a_port_that_is_not_open_says_so_after_a_moment() {
    // As QEMU does for the guest: takes the connection, and resets it with the request unread.
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    let server = server(move |talk| {
        count.fetch_add(1, Ordering::Relaxed);
        async move {
            talk.stream.peek(&mut [0]).await.unwrap();
            drop(talk);
        }
    });
    let field = Field::of(3000, server.await);
    let proxy = proxy(&field).await;
    let text = r#"{"sandboxId":"iabc","message":"The sandbox is running but port is not open","port":3000,"code":502}"#;
    let get = said(&proxy, GET).await;
    assert!(get.starts_with("HTTP/1.1 502") && get.ends_with(text), "{get}");
    assert_eq!(accepted.load(Ordering::Relaxed), 5, "what only asks is tried again while nobody read it");
    let post = said(&proxy, POST).await;
    assert!(post.ends_with(text), "{post}");
    assert_eq!(accepted.load(Ordering::Relaxed), 6, "nobody knows what a server reads of it");
}

#[tokio::test]
async fn what_the_agent_refused_because_of_a_pause_is_sent_again_with_its_body() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let agent = server(move |mut talk| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        async move {
            talk.head().await;
            talk.until("body").await;
            let refusal = "HTTP/1.1 503 No\r\nx-thawd-unexecuted: pausing\r\nContent-Length: 2\r\n\r\nno";
            talk.say(if number == 0 { refusal } else { OK }).await;
        }
    });
    let field = Field::of(3000, agent.await);
    let proxy = proxy(&field).await;
    let asked = field.clone();
    field.change(|plot| plot.asked = Box::new(|_| Ok(())));
    tokio::spawn(async move {
        while asked.asked.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        asked.change(|plot| plot.gone.cancel());
    });
    let to_agent = POST.replace("HOST", &format!("Host: {AGENT_PORT}-iabc.test\r\n"));
    assert!(said(&proxy, &to_agent).await.ends_with("ok"));
    assert_eq!(field.asked.load(Ordering::Relaxed), 2);
    // Another server's word is its own.
    seen.store(0, Ordering::Relaxed);
    let mut talk = Talk::ask(&proxy, POST).await;
    assert!(talk.until("no").await.starts_with("HTTP/1.1 503"));
}
