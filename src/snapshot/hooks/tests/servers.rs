//! Servers that never answer, answer slowly, or answer something else.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use super::*;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";

/// Opens a server's port and describes it to the den.
async fn listen(den: &Den, name: &str, more: &str) -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    den.write(name, 0o644, &format!("freeze http://{at}/suspend\nthaw http://{at}/resume?a=b\n{more}"));
    listener
}

/// Accepts one connection and reads the request, whose body ends with a brace.
async fn request<S: AsyncReadExt + Unpin>(stream: &mut S) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"}") {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the request ended early");
    }
    String::from_utf8(bytes).unwrap()
}

async fn accept(listener: &TcpListener) -> (TcpStream, String) {
    let mut stream = listener.accept().await.unwrap().0;
    let request = request(&mut stream).await;
    (stream, request)
}

/// Calls the server's freeze hook while `answer` is what the server does with the connection.
async fn freeze_with<F: Future<Output = ()>>(den: &Den, answer: F) -> Outcome {
    tokio::select! {
        mut outcomes = den.freeze() => outcomes.remove(0),
        () = async { answer.await; std::future::pending().await } => unreachable!(),
    }
}

#[tokio::test]
async fn a_server_is_told_what_happens_and_its_answer_is_kept() {
    let den = Den::new(SHORT * 10);
    let listener = listen(&den, "web.http", "timeout_ms 1500").await;
    let outcome = freeze_with(&den, async {
        let (mut stream, request) = accept(&listener).await;
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /suspend HTTP/1.1\r\nHost: 127.0.0.1:"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\nConnection: close", body.len())), "{head}");
        assert_eq!(body, r#"{"event":"freeze","generation":7,"pausedMs":1234,"clone":true,"deadlineMs":1500}"#);
        stream.write_all(OK).await.unwrap();
    });
    let outcome = outcome.await;
    assert_eq!((error(&outcome), text(&outcome), outcome.exit_code), (String::new(), "done".to_owned(), None));
    assert!(den.hooks.thaw_before(LONG, &CONTEXT).await.is_empty(), "the server does not run yet");
    let (outcomes, request) = tokio::join!(den.hooks.thaw_after(LONG, &CONTEXT), async {
        let (mut stream, request) = accept(&listener).await;
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        request
    });
    assert!(request.starts_with("POST /resume?a=b HTTP/1.1\r\n") && request.contains(r#""event":"thaw""#));
    assert_eq!(errors(&outcomes), ["web.http: "]);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_when_its_time_is_over() {
    let den = Den::new(SHORT);
    // The kernel accepts for it.
    let listener = listen(&den, "a.http", "").await;
    let outcomes = den.freeze().await;
    assert_punctual(outcomes[0].took, SHORT);
    assert_eq!(errors(&outcomes), ["a.http: not done after 200 ms"]);
    let (mut stream, _) = accept(&listener).await;
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the connection was closed");
}

#[tokio::test]
async fn a_server_that_answers_byte_by_byte_is_given_up_when_its_time_is_over() {
    let den = Den::new(SHORT);
    let listener = listen(&den, "a.http", "").await;
    let outcome = freeze_with(&den, async {
        let (mut stream, _) = accept(&listener).await;
        for byte in OK {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let outcome = outcome.await;
    assert_punctual(outcome.took, SHORT);
    assert_eq!(error(&outcome), "not done after 200 ms");
}

#[tokio::test]
async fn an_answer_counts_from_its_status_on_whatever_follows() {
    let den = Den::new(LONG);
    let listener = listen(&den, "a.http", "").await;
    for (begin, more, want) in [
        ("HTTP/1.0 200 OK\r\n", "X-Long: 0123456789\r\n", ""),
        ("HTTP/1.1 503 Busy\r\n", "X-Long: 0123456789\r\n", "status 503"),
        ("", "HTTP/1.1 102 Processing\r\n\r\n", "not an HTTP answer"),
        ("HTTP/1.1 200", "0", "not an HTTP answer"),
        ("", "\0", "not an HTTP answer"),
    ] {
        let outcome = freeze_with(&den, async {
            let (mut stream, _) = accept(&listener).await;
            stream.write_all(begin.as_bytes()).await.unwrap();
            while stream.write_all(more.as_bytes()).await.is_ok() {}
        });
        let outcome = outcome.await;
        assert_eq!(error(&outcome), want, "{begin}");
        assert!(outcome.took < LONG / 2);
    }
}

#[tokio::test]
async fn a_server_that_closes_or_is_not_there_is_told_apart() {
    let den = Den::new(LONG);
    let listener = listen(&den, "a.http", "").await;
    let outcome = freeze_with(&den, async { drop(accept(&listener).await) }).await;
    assert_eq!(error(&outcome), "not an HTTP answer");
    drop(listener);
    let outcome = den.freeze().await.remove(0);
    assert!(error(&outcome).starts_with("cannot connect to 127.0.0.1:"), "{outcome:?}");
    den.write("a.http", 0o644, &format!("freeze http://unix:{}:/x", den.path("none.sock").display()));
    let outcome = den.freeze().await.remove(0);
    assert!(error(&outcome).contains("none.sock: No such file or directory"), "{outcome:?}");
}

#[tokio::test]
async fn a_server_at_a_unix_socket_is_asked() {
    let den = Den::new(LONG);
    let listener = UnixListener::bind(den.path(".sock")).unwrap();
    den.write("a.http", 0o644, &format!("freeze http://unix:{}:/x", den.path(".sock").display()));
    let outcome = freeze_with(&den, async {
        let mut stream = listener.accept().await.unwrap().0;
        let request = request(&mut stream).await;
        assert!(request.starts_with("POST /x HTTP/1.1\r\nHost: localhost\r\n"), "{request}");
        stream.write_all(OK).await.unwrap();
    });
    assert_eq!(error(&outcome.await), "");
    assert!(den.hooks.thaw_after(LONG, &CONTEXT).await.is_empty(), "it did not ask to be told");
}

#[tokio::test]
async fn programs_and_servers_share_one_order_and_one_budget() {
    let den = Den::new(LONG);
    let listener = listen(&den, "b.http", "").await;
    den.script("a", "exit 0");
    den.script("c", "exit 0");
    let outcomes = den.hooks.freeze(SHORT * 3, &CONTEXT).await;
    assert_eq!(errors(&outcomes)[2], "c: not asked: no time was left");
    assert!(error(&outcomes[1]).starts_with("not done after "), "{outcomes:?}");
    assert_eq!(errors(&outcomes)[0], "a: ");
    drop(listener);
    let names = |outcomes: Vec<Outcome>| outcomes.into_iter().map(|outcome| outcome.name).collect::<Vec<_>>();
    assert_eq!(names(den.freeze().await), ["a", "b.http", "c"]);
    assert_eq!(names(den.hooks.thaw_before(LONG, &CONTEXT).await), ["c", "a"]);
    assert_eq!(names(den.hooks.thaw_after(LONG, &CONTEXT).await), ["b.http"]);
}
