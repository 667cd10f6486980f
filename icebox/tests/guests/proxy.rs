//! The way from a client to a server in a VM, and what becomes of it when the VM goes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;

use icebox::sandbox::{PauseMode, State, View};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::host::Host;
use crate::sandboxes::lasting;
use crate::support::{PATIENCE, eventually};

/// Gives the proxy of a host.
fn proxy(host: &Host) -> SocketAddr {
    let listener = host.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    drop(host.spawn_on(icebox::proxy::serve(listener, host.all().clone(), CancellationToken::new())));
    address
}

/// Sends a request; the rest is the connection.
fn send(proxy: SocketAddr, head: &str, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(proxy).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("{head}\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    stream
}

/// Sends a request on a connection of its own; gives its answer.
fn said(proxy: SocketAddr, head: &str, body: &[u8]) -> String {
    let mut stream = send(proxy, &format!("{head}\r\nConnection: close"), body);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn to_agent(view: &View, request: &str) -> String {
    let (id, token) = (&view.id, view.token.as_deref().unwrap());
    format!(
        "{request} HTTP/1.1\r\nHost: localhost\r\nE2b-Sandbox-Id: {id}\r\nE2b-Sandbox-Port: 49983\r\nX-Access-Token: {token}"
    )
}

fn to_port(view: &View, port: u16, request: &str) -> String {
    format!("{request} HTTP/1.1\r\nHost: {port}-{}.test", view.id)
}

/// Starts a program and reads its output so far as to know that it runs.
fn stream(proxy: SocketAddr, view: &View) -> TcpStream {
    let message = br#"{"process":{"cmd":"sh","args":["-c","echo here; sleep 1000"]}}"#;
    let mut body = vec![0];
    body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    body.extend(message);
    let head = to_agent(view, "POST /process.Process/Start") + "\r\nContent-Type: application/connect+json";
    let mut stream = send(proxy, &head, &body);
    let mut seen = String::new();
    // "here" and a line's end, as JSON has bytes.
    while !seen.contains("aGVyZQo=") {
        let mut piece = [0; 1024];
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    stream
}

/// Reads what is left of an answer; tells whether it came to its end.
fn is_complete(mut stream: TcpStream) -> bool {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).is_ok() && rest.ends_with(b"0\r\n\r\n")
}

#[test]
fn clients_reach_the_agent_and_servers_and_are_told_when_there_is_none() {
    let host = Host::open("proxy");
    let (proxy, view) = (proxy(&host), host.create(lasting()));
    assert!(said(proxy, &to_agent(&view, "GET /health"), b"").starts_with("HTTP/1.1 204"));
    assert!(said(proxy, &to_agent(&view, "POST /init"), b"{}").starts_with("HTTP/1.1 404"));
    let closed = format!(
        r#"{{"sandboxId":"{}","message":"The sandbox is running but port is not open","port":8000,"code":502}}"#,
        view.id
    );
    for request in ["GET /", "POST /"] {
        let said = said(proxy, &to_port(&view, 8000, request), b"");
        assert!(said.starts_with("HTTP/1.1 502") && said.ends_with(&closed), "{said}");
    }
    host.spawn(&view.id, "mkdir /run/www; echo hello > /run/www/file; sleep 0.3; httpd -f -p 8000 -h /run/www");
    let page = said(proxy, &to_port(&view, 8000, "GET /file"), b"");
    assert!(page.starts_with("HTTP/1.1 200") && page.ends_with("hello\n"), "a server that is just starting: {page}");
    host.block_on(host.all().kill(&view.id)).unwrap();
    let gone = said(proxy, &to_agent(&view, "GET /health"), b"");
    assert!(gone.starts_with("HTTP/1.1 502") && gone.contains("The sandbox was not found"), "{gone}");
}

#[test]
fn requests_wake_a_paused_sandbox_once_and_arrive_whole() {
    let host = Host::open("wakes");
    let (proxy, view) = (proxy(&host), host.create(lasting()));
    host.spawn(&view.id, "mkdir /run/www; echo hello > /run/www/file; httpd -f -p 8000 -h /run/www");
    eventually("the server is there", || said(proxy, &to_port(&view, 8000, "GET /file"), b"").ends_with("hello\n"));
    host.block_on(host.all().pause(&view.id, PauseMode::Full, true)).unwrap();
    assert!(host.qemus().is_empty());
    let all: Vec<_> = (0..12)
        .map(|number| {
            let view = view.clone();
            thread::spawn(move || match number % 2 {
                0 => said(proxy, &to_port(&view, 8000, "GET /file"), b""),
                _ => {
                    let request = format!("POST /files?path=/tmp/{number}");
                    let body = vec![b'x'; 100_000 * number];
                    said(proxy, &(to_agent(&view, &request) + "\r\nContent-Type: application/octet-stream"), &body)
                }
            })
        })
        .collect();
    for (number, one) in all.into_iter().enumerate() {
        let said = one.join().unwrap();
        assert!(said.starts_with("HTTP/1.1 200"), "{number}: {said}");
    }
    assert_eq!(host.qemus().len(), 1);
    for number in [1, 11] {
        assert_eq!(
            host.sh(&view.id, &format!("tr -d x < /tmp/{number}; wc -c < /tmp/{number}")).trim(),
            format!("{}00000", number)
        );
    }
}

#[test]
fn clients_that_come_at_once_with_much_to_say_are_all_heard() {
    let host = Host::open("crowd");
    let (proxy, view) = (proxy(&host), host.create(lasting()));
    let sent: Vec<_> = (0..40)
        .map(|number| {
            let head = to_agent(&view, &format!("POST /files?path=/tmp/{number}"))
                + "\r\nContent-Type: application/octet-stream";
            thread::spawn(move || said(proxy, &head, &vec![b'x'; 300_000]))
        })
        .collect();
    for (number, one) in sent.into_iter().enumerate() {
        let said = one.join().unwrap();
        assert!(said.starts_with("HTTP/1.1 200"), "{number}: {said}");
    }
    assert_eq!(host.sh(&view.id, "cat /tmp/[0-9]* | wc -c").trim(), (40 * 300_000).to_string());
}

#[test]
fn who_is_paused_without_leave_to_wake_is_not_found() {
    let host = Host::open("sleeps");
    let mut wish = lasting();
    wish.lifecycle.auto_resume = false;
    let (proxy, view) = (proxy(&host), host.create(wish));
    host.block_on(host.all().pause(&view.id, PauseMode::Full, true)).unwrap();
    let asleep = said(proxy, &to_agent(&view, "GET /health"), b"");
    assert!(asleep.starts_with("HTTP/1.1 502") && asleep.contains("The sandbox was not found"), "{asleep}");
    assert_eq!(host.view(&view.id).state, State::Paused(PauseMode::Full));
}

#[test]
fn streams_of_a_vm_that_goes_do_not_end_well() {
    let host = Host::open("breaks");
    let (proxy, view) = (proxy(&host), host.create(lasting()));
    let stream_one = stream(proxy, &view);
    for qemu in host.qemus() {
        Command::new("kill").args(["-9", &qemu.to_string()]).status().unwrap();
    }
    assert!(!is_complete(stream_one), "its VM crashed");
    let view = host.create(lasting());
    let stream_two = stream(proxy, &view);
    host.block_on(host.all().kill(&view.id)).unwrap();
    assert!(!is_complete(stream_two), "its sandbox was killed");
}
