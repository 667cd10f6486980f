//! What arrives is what was sent.

use super::support::{Field, Talk, canned, proxy, server, soon};

/// A server that tells what it got.
async fn telling() -> std::net::SocketAddr {
    server(|mut talk| async move {
        let head = talk.head().await;
        let body =
            if head.contains("transfer-encoding: chunked") { talk.until("0\r\n\r\n").await } else { String::new() };
        let said = format!("{head}{body}");
        talk.say(&format!("HTTP/1.1 200 Fine\r\nContent-Length: {}\r\n\r\n{said}", said.len())).await;
    })
    .await
}

async fn told(request: &str) -> String {
    let field = Field::of(3000, telling().await);
    let proxy = proxy(&field).await;
    let mut talk = Talk::ask(&proxy, request).await;
    let head = talk.head().await;
    assert!(head.starts_with("HTTP/1.1 200 Fine\r\n") || head.starts_with("HTTP/1.0 200 Fine\r\n"), "{head}");
    talk.until("\r\n\r\n").await
}

#[tokio::test]
async fn a_target_arrives_byte_for_byte() {
    for (asked, seen) in [
        ("/a%2Fb/../c//d?x=%20&y=a+b&&", "/a%2Fb/../c//d?x=%20&y=a+b&&"),
        ("http://3000-iabc.test/x?y", "/x?y"),
        ("http://3000-iabc.test", "/"),
        ("//3000-iother.test/x", "//3000-iother.test/x"),
    ] {
        let head = told(&format!("GET {asked} HTTP/1.1\r\nHOST\r\n")).await;
        assert!(head.starts_with(&format!("GET {seen} HTTP/1.1\r\n")), "{asked}: {head}");
        assert!(head.contains("host: 3000-iabc.test\r\n"), "{head}");
    }
    let head = told("OPTIONS * HTTP/1.1\r\nHOST\r\n").await;
    assert!(head.starts_with("OPTIONS * HTTP/1.1\r\n"), "{head}");
}

#[tokio::test]
async fn an_old_client_is_served() {
    let head = told("GET /x HTTP/1.0\r\nHOST\r\n").await;
    assert!(head.starts_with("GET /x HTTP/1.1\r\n"), "{head}");
}

#[tokio::test]
async fn bodies_have_one_length() {
    // Chunked wins, and the other length does not arrive.
    for both in ["Content-Length: 3\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 3"] {
        let head = told(&format!("POST / HTTP/1.1\r\nHOST{both}\r\n\r\n2\r\nhi\r\n0\r\n\r\n")).await;
        assert!(head.contains("transfer-encoding: chunked") && !head.contains("content-length"), "{head}");
    }
    let field = Field::of(3000, telling().await);
    let proxy = proxy(&field).await;
    for bad in [
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: +3",
        "Content-Length: 3, 4",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: identity",
        "Transfer-Encoding : chunked",
        "X: a\r\n b\r\nTransfer-Encoding\r\n: chunked",
    ] {
        let mut talk =
            Talk::ask(&proxy, &format!("POST / HTTP/1.1\r\nHOST{bad}\r\n\r\nabcGET /evil HTTP/1.1\r\n\r\n")).await;
        let head = talk.head().await;
        assert!(head.starts_with("HTTP/1.1 400"), "{bad}: {head}");
        assert_eq!(talk.rest().await.0, "", "{bad}: nothing else is answered");
    }
}

#[tokio::test]
async fn a_head_says_how_long_the_body_would_be() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nContent-Encoding: gzip\r\nX-A: 1\r\nX-A: 2\r\nConnection: close\r\n\r\n";
    let proxy = proxy(&Field::of(3000, canned(answer).await)).await;
    let mut talk = Talk::ask(&proxy, "HEAD / HTTP/1.1\r\nHOST\r\n").await;
    let head = talk.head().await;
    for part in ["content-length: 1234\r\n", "content-encoding: gzip\r\n", "x-a: 1\r\n", "x-a: 2\r\n"] {
        assert!(head.contains(part), "{head}");
    }
    assert!(!head.contains("close"), "the server's connection ends, not the client's: {head}");
    talk.say("HEAD / HTTP/1.1\r\nHost: 3000-iabc.test\r\n\r\n").await;
    assert!(talk.head().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_old_server_does_not_end_the_clients_connection() {
    let proxy = proxy(&Field::of(3000, canned("HTTP/1.0 200 OK\r\n\r\nall").await)).await;
    let mut talk = Talk::ask(&proxy, "GET / HTTP/1.1\r\nHOST\r\n").await;
    assert!(talk.head().await.contains("transfer-encoding: chunked"));
    assert_eq!(talk.until("0\r\n\r\n").await, "3\r\nall\r\n0\r\n\r\n");
    talk.say("GET / HTTP/1.1\r\nHost: 3000-iabc.test\r\n\r\n").await;
    talk.until("0\r\n\r\n").await;
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let server = server(|mut talk| async move {
        let head = talk.head().await;
        assert!(head.contains("te: trailers") && head.contains("trailer: x-up"), "{head}");
        talk.until("0\r\nx-up: 1\r\n\r\n").await;
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-down\r\n\r\n";
        talk.say(&format!("{head}2\r\nhi\r\n0\r\nx-down: 2\r\n\r\n")).await;
    });
    let proxy = proxy(&Field::of(3000, server.await)).await;
    let request = "POST / HTTP/1.1\r\nHOSTTE: trailers\r\nTrailer: x-up\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut talk = Talk::ask(&proxy, &format!("{request}2\r\nhi\r\n0\r\nx-up: 1\r\n\r\n")).await;
    talk.head().await;
    talk.until("0\r\nx-down: 2\r\n\r\n").await;
}

#[tokio::test]
async fn a_client_is_told_to_go_on_when_the_server_says_so() {
    let (told, asked) = tokio::sync::oneshot::channel();
    let told = std::sync::Mutex::new(Some(told));
    let server = server(move |mut talk| {
        let told = told.lock().unwrap().take().unwrap();
        async move {
            assert!(talk.head().await.contains("expect: 100-continue"));
            told.send(()).unwrap();
            talk.say("HTTP/1.1 100 Continue\r\n\r\n").await;
            assert_eq!(talk.until("abc").await, "abc");
            talk.say("HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    });
    let proxy = proxy(&Field::of(3000, server.await)).await;
    let mut talk = Talk::ask(&proxy, "POST / HTTP/1.1\r\nHOSTContent-Length: 3\r\nExpect: 100-continue\r\n\r\n").await;
    soon(asked).await.unwrap();
    assert_eq!(talk.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    talk.say("abc").await;
    assert!(talk.head().await.starts_with("HTTP/1.1 204"));
}

#[tokio::test]
async fn a_client_that_waits_is_refused_without_its_body() {
    let answer = "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno";
    let proxy = proxy(&Field::of(3000, canned(answer).await)).await;
    let mut talk = Talk::ask(&proxy, "POST / HTTP/1.1\r\nHOSTContent-Length: 3\r\nExpect: 100-continue\r\n\r\n").await;
    assert!(talk.until("no").await.starts_with("HTTP/1.1 413"));
    assert_eq!(talk.rest().await.0, "", "nobody says that it may go on");
}
