use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot};

use super::{Connection, Incoming};

type Asked = Request<Incoming<DuplexStream>>;
type Sent = http_body_util::combinators::UnsyncBoxBody<Bytes, io::Error>;

fn full(text: impl Into<Bytes>) -> Sent {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body of unknown length, fed by the test.
fn fed() -> (mpsc::UnboundedSender<io::Result<Frame<Bytes>>>, Sent) {
    let (feed, mut fed) = mpsc::unbounded_channel();
    let stream = futures_util::stream::poll_fn(move |cx| fed.poll_recv(cx));
    (feed, StreamBody::new(stream).boxed_unsync())
}

fn data(text: &'static str) -> io::Result<Frame<Bytes>> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

/// Serves one end of a pipe that holds few bytes, so that nothing is whole by luck; gives the other end.
fn served<S, F, B>(service: S) -> (DuplexStream, tokio::task::JoinHandle<bool>)
where
    S: Fn(Asked) -> F + Send + 'static,
    F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (client, server) = duplex(1000);
    (client, tokio::spawn(async move { Connection::new(server, service).await.is_ok() }))
}

async fn echo(request: Asked) -> Result<Response<Sent>, Infallible> {
    let path = request.uri().path().to_owned();
    Ok(match request.into_body().collect().await {
        Ok(body) => Response::new(full([path.as_bytes(), b" ", &body.to_bytes()].concat())),
        Err(error) => {
            let mut response = Response::new(full(error.to_string()));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response
        }
    })
}

/// Answers without a look at the body.
async fn blind(_: Asked) -> Result<Response<Sent>, Infallible> {
    Ok(Response::new(full("blind")))
}

/// Sends `text` in pieces of `step` bytes, leaves the connection open, and reads until the server closes it.
async fn talk(mut client: DuplexStream, text: &str, step: usize) -> String {
    let (mut reader, mut writer) = tokio::io::split(&mut client);
    let mut answer = Vec::new();
    let send = async {
        for piece in text.as_bytes().chunks(step) {
            // Refused once the server has heard enough.
            if writer.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    let read = tokio::time::timeout(Duration::from_secs(20), reader.read_to_end(&mut answer));
    let ((), read) = tokio::join!(send, read);
    read.expect("the server closes").unwrap();
    let text = String::from_utf8(answer).unwrap();
    text.split_inclusive("\r\n").filter(|line| !line.starts_with("date: ")).collect()
}

/// Reads until `end` was read.
async fn until(client: &mut DuplexStream, end: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        let byte = tokio::time::timeout(Duration::from_secs(20), client.read_u8()).await.expect("a byte");
        answer.push(byte.unwrap_or_else(|_| panic!("ended behind {:?}", String::from_utf8_lossy(&answer))));
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn requests_are_answered_in_turn_however_their_bytes_are_cut() {
    let text = "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc\r\nPOST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
                2\r\nde\r\n1;x\r\nf\r\n0\r\n\r\nGET /c HTTP/1.1\r\nConnection: close\r\n\r\n";
    let expected = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n/a abcHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n/b def\
                    HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\n/c ";
    for step in [1, 2, 3, 7, 50, 1000] {
        assert_eq!(talk(served(echo).0, text, step).await, expected, "{step}");
    }
}

#[tokio::test]
async fn large_bodies_come_and_go_whole() {
    let body = "0123456789".repeat(100_000);
    let head = format!("POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    let answer = talk(served(echo).0, &(head + &body), 10_000).await;
    assert!(answer.ends_with(&format!("\r\n\r\n/ {body}")), "{}", answer.len());
}

#[tokio::test]
async fn a_body_is_asked_for_when_it_is_read() {
    let head = "POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
    let (mut client, _) = served(echo);
    client.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(until(&mut client, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"hi").await.unwrap();
    assert!(until(&mut client, "/ hi").await.starts_with("HTTP/1.1 200 OK\r\n"));
    // The connection stays.
    client.write_all(b"GET /again HTTP/1.1\r\n\r\n").await.unwrap();
    until(&mut client, "/again ").await;

    // Nobody knows whether the client sends its body now or the next request.
    let answer = talk(served(blind).0, head, 1000).await;
    assert_eq!(answer, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nblind");
    // Who has begun to send needs no word.
    let answer = talk(served(echo).0, &format!("{head}hiGET / HTTP/1.0\r\n\r\n"), 1000).await;
    assert!(!answer.contains("100 Continue") && answer.contains("/ hiHTTP/1.0 200 OK"), "{answer}");
}

#[tokio::test]
async fn the_framing_of_an_answer_is_what_its_client_understands() {
    let ask = |head: &'static str, status: u16, exact: bool| async move {
        let service = move |_: Asked| async move {
            let (feed, unknown) = fed();
            for piece in ["one", "", "two"] {
                feed.send(data(piece)).unwrap();
            }
            let mut response = Response::new(if exact { full("onetwo") } else { unknown });
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            Ok::<_, Infallible>(response)
        };
        talk(served(service).0, head, 1000).await.split_once("\r\n").unwrap().1.to_owned()
    };
    let (get, head) = ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n");
    let (old, kept) =
        ("GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n");
    assert_eq!(ask(get, 200, true).await, "content-length: 6\r\nconnection: close\r\n\r\nonetwo");
    let chunks = "transfer-encoding: chunked\r\nconnection: close\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n";
    assert_eq!(ask(get, 200, false).await, chunks);
    assert_eq!(ask(head, 200, true).await, "content-length: 6\r\nconnection: close\r\n\r\n");
    assert_eq!(ask(head, 200, false).await, "connection: close\r\n\r\n");
    assert_eq!(ask(get, 204, true).await, "connection: close\r\n\r\n");
    assert_eq!(ask(get, 304, false).await, "connection: close\r\n\r\n");
    assert_eq!(ask(old, 200, true).await, "content-length: 6\r\n\r\nonetwo");
    assert_eq!(ask(old, 200, false).await, "\r\nonetwo");
    let twice =
        "content-length: 6\r\nconnection: keep-alive\r\n\r\nonetwoHTTP/1.0 200 OK\r\ncontent-length: 6\r\n\r\nonetwo";
    assert_eq!(ask(kept, 200, true).await, twice);
    // The end of the connection is the end of the body, whatever the client wants.
    assert_eq!(ask(kept, 200, false).await, "\r\nonetwo");
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_ends_the_connection() {
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(70_000));
    let endless = "A".repeat(super::head::LONGEST + 1000);
    let fields = format!("GET / HTTP/1.1\r\n{endless}");
    for (text, status) in [
        ("nonsense\r\n\r\nGET / HTTP/1.1\r\n\r\n", "400 Bad Request"),
        ("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "400 Bad Request"),
        (&long, "414 URI Too Long"),
        (&fields, "431 Request Header Fields Too Large"),
    ] {
        let answer = talk(served(echo).0, text, 1000).await;
        assert_eq!(answer, format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"));
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_or_is_malformed_is_told_to_the_service() {
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n";
    let answer = talk(served(echo).0, chunked, 1000).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.ends_with("malformed"), "{answer}");

    let (mut client, ended) = served(echo);
    client.write_all(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab").await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("the client left in the middle of a body"), "{answer}");
    assert!(ended.await.unwrap());
}

#[tokio::test]
async fn an_unread_body_that_has_come_is_passed_over_and_one_that_has_not_ends_the_connection() {
    for body in ["Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"] {
        let text = format!("POST / HTTP/1.1\r\n{body}GET / HTTP/1.0\r\n\r\n");
        let answer = talk(served(blind).0, &text, 1000).await;
        assert_eq!(answer.matches("blind").count(), 2, "{answer}");
    }
    let (mut client, ended) = served(blind);
    client.write_all(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("blind") && ended.await.unwrap(), "{answer}");
}

#[tokio::test]
async fn a_body_may_be_read_on_behind_the_answer() {
    let (tell, told) = oneshot::channel();
    let tell = Arc::new(std::sync::Mutex::new(Some(tell)));
    let service = move |request: Asked| {
        let tell = tell.lock().unwrap().take();
        if let Some(tell) = tell {
            tokio::spawn(async move { tell.send(request.into_body().collect().await.unwrap().to_bytes()) });
        }
        async { Ok::<_, Infallible>(Response::new(full("early"))) }
    };
    let (mut client, _) = served(service);
    client.write_all(b"POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc").await.unwrap();
    until(&mut client, "early").await;
    client.write_all(b"defGET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(told.await.unwrap(), "abcdef");
    until(&mut client, "early").await;
}

/// Tells when it is dropped.
struct Held(Option<oneshot::Sender<()>>);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.take().map(|tell| tell.send(()));
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_what_is_done_for_it() {
    for head in ["GET / HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"] {
        let (tell, told) = oneshot::channel();
        let held = Arc::new(std::sync::Mutex::new(Some(Held(Some(tell)))));
        let (begun, mut begins) = mpsc::unbounded_channel();
        let service = move |request: Asked| {
            let (held, begun) = (held.lock().unwrap().take(), begun.clone());
            async move {
                let _held = held;
                let _ = request.into_body().collect().await;
                let _ = begun.send(());
                std::future::pending::<Result<Response<Sent>, Infallible>>().await
            }
        };
        let (mut client, ended) = served(service);
        client.write_all(head.as_bytes()).await.unwrap();
        begins.recv().await.unwrap();
        drop(client);
        told.await.unwrap();
        assert!(!ended.await.unwrap());
    }
}

#[tokio::test]
async fn a_connection_that_is_dropped_ends_the_body_that_somebody_still_reads() {
    let (client, server) = duplex(1000);
    let mut client = client;
    let (pass, mut passed) = mpsc::unbounded_channel();
    let mut connection = Box::pin(Connection::new(server, move |request: Asked| {
        let _ = pass.send(request.into_body());
        std::future::pending::<Result<Response<Sent>, Infallible>>()
    }));
    client.write_all(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n").await.unwrap();
    assert!(futures_util::poll!(connection.as_mut()).is_pending());
    let mut body = passed.recv().await.unwrap();
    let reading = tokio::spawn(async move { body.frame().await });
    tokio::task::yield_now().await;
    drop(connection);
    assert!(matches!(reading.await.unwrap(), Some(Err(_))));
    assert_eq!(client.read(&mut [0; 10]).await.unwrap(), 0);
}

#[tokio::test]
async fn what_came_before_a_broken_end_is_sent_and_the_end_is_not() {
    let (feed, body) = fed();
    let body = std::sync::Mutex::new(Some(body));
    let (client, ended) = served(move |_: Asked| {
        let body = body.lock().unwrap().take().unwrap();
        async { Ok::<_, Infallible>(Response::new(body)) }
    });
    feed.send(data("last words")).unwrap();
    feed.send(Err(io::ErrorKind::Other.into())).unwrap();
    let answer = talk(client, "GET / HTTP/1.1\r\n\r\n", 1000).await;
    assert!(answer.ends_with("\r\n\r\nA\r\nlast words\r\n"), "{answer}");
    assert!(!ended.await.unwrap());
}

#[tokio::test]
async fn a_body_of_another_length_than_was_promised_breaks_the_connection() {
    for (text, sent) in [("abcd", ""), ("ab", "ab")] {
        let (client, ended) = served(move |_: Asked| async move {
            let (feed, body) = fed();
            feed.send(data(text)).unwrap();
            let mut response = Response::new(body);
            response.headers_mut().insert("content-length", "3".parse().unwrap());
            Ok::<_, Infallible>(response)
        });
        let answer = talk(client, "GET / HTTP/1.1\r\n\r\n", 1000).await;
        assert_eq!(answer, format!("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{sent}"));
        assert!(!ended.await.unwrap());
    }
}

#[tokio::test]
async fn each_piece_of_an_answer_goes_out_when_it_is_there() {
    let (feed, body) = fed();
    let body = std::sync::Mutex::new(Some(body));
    let (mut client, _) = served(move |_: Asked| {
        let body = body.lock().unwrap().take().unwrap();
        async { Ok::<_, Infallible>(Response::new(body)) }
    });
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    // The head does not wait for the body.
    until(&mut client, "\r\n\r\n").await;
    for text in ["one", "two"] {
        feed.send(data(text)).unwrap();
        assert_eq!(until(&mut client, &format!("{text}\r\n")).await, format!("3\r\n{text}\r\n"));
    }
    drop(feed);
    assert_eq!(until(&mut client, "0\r\n\r\n").await, "0\r\n\r\n");
}

/// Shuts the connection down as soon as it was polled once.
struct Closing<F>(F, bool);

impl<S, B> Future for Closing<Connection<DuplexStream, S, B>>
where
    Connection<DuplexStream, S, B>: Future + Unpin,
{
    type Output = <Connection<DuplexStream, S, B> as Future>::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(ended) = Pin::new(&mut self.0).poll(cx) {
            return Poll::Ready(ended);
        }
        if !std::mem::replace(&mut self.1, true) {
            self.0.shut_down();
            return Pin::new(&mut self.0).poll(cx);
        }
        Poll::Pending
    }
}

#[tokio::test]
async fn a_connection_is_shut_down_behind_what_has_begun() {
    for (sent, rest, answered) in [
        ("", "GET / HTTP/1.1\r\n\r\n", false),
        ("GET / HT", "TP/1.1\r\n\r\n", true),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n", "a", true),
    ] {
        let (mut client, server) = duplex(1000);
        client.write_all(sent.as_bytes()).await.unwrap();
        let ended = tokio::spawn(async move { Closing(Connection::new(server, echo), false).await.is_ok() });
        tokio::task::yield_now().await;
        let answer = talk(client, rest, 1000).await;
        assert_eq!(answer.contains("200 OK\r\n"), answered, "{answer}");
        assert!(!answered || answer.contains("connection: close\r\n"), "{answer}");
        assert!(ended.await.unwrap());
    }
}

#[tokio::test]
async fn a_connection_that_waits_holds_no_buffer() {
    let (mut client, server) = duplex(1000);
    let mut connection = Box::pin(Connection::new(server, echo));
    client.write_all(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc").await.unwrap();
    assert!(futures_util::poll!(connection.as_mut()).is_pending());
    until(&mut client, "/ abc").await;
    assert!(connection.is_bare());
}
