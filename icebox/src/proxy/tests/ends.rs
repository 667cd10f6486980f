//! Whoever goes takes the connection with him, and nobody is told that all was well.

use tokio::sync::mpsc;

use super::support::{Field, Talk, proxy, server, soon};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHOST\r\n";

/// A server that begins an answer and leaves its connections to the test.
async fn beginning(answer: &'static str) -> (Field, mpsc::Receiver<Talk>) {
    let (give, talks) = mpsc::channel(16);
    let server = server(move |mut talk| {
        let give = give.clone();
        async move {
            talk.head().await;
            talk.say(answer).await;
            give.send(talk).await.unwrap();
        }
    });
    (Field::of(3000, server.await), talks)
}

#[tokio::test]
async fn a_client_that_goes_takes_the_connection_to_the_vm_with_it() {
    for answer in ["", CHUNKED, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"] {
        let (field, mut talks) = beginning(answer).await;
        let proxy = proxy(&field).await;
        let mut client = Talk::ask(&proxy, GET).await;
        let mut server = soon(talks.recv()).await.unwrap();
        if !answer.is_empty() {
            client.until("hi").await;
        }
        drop(client);
        server.rest().await;
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_not_completed() {
    for (length, sent) in [("Transfer-Encoding: chunked", "3\r\nabc\r\n"), ("Content-Length: 9", "abc")] {
        let (field, mut talks) = beginning("").await;
        let proxy = proxy(&field).await;
        let client = Talk::ask(&proxy, &format!("POST / HTTP/1.1\r\nHOST{length}\r\n\r\n{sent}")).await;
        let mut server = soon(talks.recv()).await.unwrap();
        server.until("abc").await;
        drop(client);
        let (rest, _) = server.rest().await;
        assert!(!rest.contains("0\r\n"), "{rest}");
    }
}

#[tokio::test]
async fn an_answer_whose_server_dies_has_no_end() {
    let sized = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi";
    for (answer, seen) in [(CHUNKED, "2\r\nhi\r\n"), (sized, "hi")] {
        for reset in [false, true] {
            let (field, mut talks) = beginning(answer).await;
            let proxy = proxy(&field).await;
            let mut client = Talk::ask(&proxy, GET).await;
            let server = soon(talks.recv()).await.unwrap();
            client.head().await;
            assert_eq!(client.until(seen).await, seen);
            if reset {
                server.stream.set_zero_linger().unwrap();
            }
            drop(server);
            assert_eq!(client.rest().await.0, "", "no last chunk");
        }
    }
}

#[tokio::test]
async fn an_old_client_sees_a_reset_where_an_answer_breaks() {
    let (field, mut talks) = beginning(CHUNKED).await;
    let proxy = proxy(&field).await;
    let mut client = Talk::ask(&proxy, "GET / HTTP/1.0\r\nHOST\r\n").await;
    client.until("hi").await;
    drop(soon(talks.recv()).await);
    assert_eq!(client.rest().await, (String::new(), false));
}

#[tokio::test]
async fn the_end_of_a_vm_is_not_the_end_of_an_answer() {
    let (field, mut talks) = beginning("HTTP/1.0 200 OK\r\n\r\nhi").await;
    let proxy = proxy(&field).await;
    for gone in [false, true] {
        let mut client = Talk::ask(&proxy, GET).await;
        client.until("hi\r\n").await;
        let server = soon(talks.recv()).await.unwrap();
        drop(server);
        if gone {
            // The connection is seen to end first, as with a QEMU that crashed.
            field.change(|plot| plot.gone.cancel());
        }
        // The client keeps its connection when all is well.
        if gone {
            assert_eq!(client.rest().await.0, "");
        } else {
            client.until("0\r\n\r\n").await;
        }
    }
}

#[tokio::test]
async fn a_vm_that_goes_breaks_its_streams() {
    let (field, mut talks) = beginning(CHUNKED).await;
    let proxy = proxy(&field).await;
    let mut client = Talk::ask(&proxy, GET).await;
    client.until("hi\r\n").await;
    // Its connections do not end by themselves.
    let _server = soon(talks.recv()).await.unwrap();
    field.change(|plot| plot.gone.cancel());
    assert_eq!(client.rest().await, (String::new(), false));
}

#[tokio::test]
async fn a_vm_that_goes_breaks_the_stream_of_a_client_that_does_not_read() {
    let flood = server(|mut talk| async move {
        talk.head().await;
        talk.say(CHUNKED).await;
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(1 << 16));
        loop {
            talk.say(&chunk).await;
        }
    });
    let field = Field::of(3000, flood.await);
    let proxy = proxy(&field).await;
    let mut client = Talk::ask(&proxy, GET).await;
    client.head().await;
    field.change(|plot| plot.gone.cancel());
    assert!(!client.rest().await.1);
}

#[tokio::test]
async fn an_answer_that_is_whole_survives_its_vm() {
    let (field, mut talks) = beginning("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let proxy = proxy(&field).await;
    let mut client = Talk::ask(&proxy, GET).await;
    client.until("hi").await;
    let _server = soon(talks.recv()).await.unwrap();
    field.change(|plot| plot.gone.cancel());
    // The connection is good for the next one.
    client.say("GET / HTTP/1.1\r\nHost: 3000-iabc.test\r\n\r\n").await;
    client.until("hi").await;
}

#[tokio::test]
async fn tunnels_break_with_either_side_and_with_the_vm() {
    let switched = "HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhi";
    let wish = "GET / HTTP/1.1\r\nHOSTConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    for case in ["server", "vm with its connections", "vm", "client"] {
        let (field, mut talks) = beginning(switched).await;
        let proxy = proxy(&field).await;
        let mut client = Talk::ask(&proxy, wish).await;
        client.until("hi").await;
        let mut server = soon(talks.recv()).await.unwrap();
        match case {
            "client" => {
                client.stream.set_zero_linger().unwrap();
                drop(client);
                assert!(!server.rest().await.1, "{case}");
                continue;
            }
            "server" => {
                server.stream.set_zero_linger().unwrap();
                drop(server);
                assert!(!client.rest().await.1, "{case}");
            }
            "vm" => {
                field.change(|plot| plot.gone.cancel());
                assert!(!client.rest().await.1, "{case}");
                server.rest().await;
            }
            _ => {
                drop(server);
                field.change(|plot| plot.gone.cancel());
                assert!(!client.rest().await.1, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn a_proxy_that_ends_lets_answers_end_and_breaks_the_rest() {
    let (field, mut talks) = beginning(CHUNKED).await;
    let mut proxy = proxy(&field).await;
    let (mut one, mut other) = (Talk::ask(&proxy, GET).await, Talk::ask(&proxy, GET).await);
    one.until("hi\r\n").await;
    other.until("hi\r\n").await;
    let mut servers = [soon(talks.recv()).await.unwrap(), soon(talks.recv()).await.unwrap()];
    proxy.closing.cancel();
    servers[0].say("0\r\n\r\n").await;
    let ends = [one.rest().await, other.rest().await];
    assert!(ends.contains(&("0\r\n\r\n".into(), true)), "{ends:?}");
    assert!(ends.contains(&(String::new(), false)), "{ends:?}");
    soon(proxy.tasks.join_next()).await.unwrap().unwrap();
}
