//! Bodies of any size, in little memory.

use std::fs;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::{Field, Talk, proxy, server, soon};

const GIB: u64 = 1 << 30;

/// Memory of this process, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
}

async fn flow(mut from: impl tokio::io::AsyncRead + Unpin, size: u64) {
    let (mut left, mut buffer) = (size, vec![0; 1 << 18]);
    while left > 0 {
        let read = soon(from.read(&mut buffer)).await.unwrap();
        assert!(read > 0, "{left} bytes are missing");
        left -= read as u64;
    }
}

async fn pour(mut to: impl tokio::io::AsyncWrite + Unpin, size: u64) {
    let piece = vec![7; 1 << 18];
    for _ in 0..size / piece.len() as u64 {
        soon(to.write_all(&piece)).await.unwrap();
    }
}

/// `GET` gives a GiB, `POST` takes one.
async fn store() -> std::net::SocketAddr {
    server(|mut talk| async move {
        if talk.head().await.starts_with("GET") {
            talk.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n")).await;
            pour(&mut talk.stream, GIB).await;
        } else {
            talk.flow_rest(GIB).await;
            talk.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    })
    .await
}

impl Talk {
    async fn flow_rest(&mut self, size: u64) {
        let had = self.taken() as u64;
        flow(&mut self.stream, size - had).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gib_flows_through_in_little_memory() {
    let proxy = proxy(&Field::of(3000, store().await)).await;
    let before = resident();
    let mut talk = Talk::ask(&proxy, "GET / HTTP/1.1\r\nHOST\r\n").await;
    talk.head().await;
    talk.flow_rest(GIB).await;
    let mut talk = Talk::ask(&proxy, &format!("POST / HTTP/1.1\r\nHOSTContent-Length: {GIB}\r\n\r\n")).await;
    pour(&mut talk.stream, GIB).await;
    talk.until("ok").await;
    let more = resident().saturating_sub(before);
    assert!(more < 16 << 20, "{more} bytes more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_stall_hold_up_only_themselves() {
    let proxy = proxy(&Field::of(3000, store().await)).await;
    let before = resident();
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let mut talk = Talk::ask(&proxy, "GET / HTTP/1.1\r\nHOST\r\n").await;
        talk.head().await;
        stalled.push(talk);
    }
    let mut talk = Talk::ask(&proxy, "GET / HTTP/1.1\r\nHOST\r\n").await;
    talk.head().await;
    talk.flow_rest(GIB).await;
    let more = resident().saturating_sub(before);
    // Two buffers of 256 KiB each, and what is in the hands of servers and clients of this process.
    assert!(more < 32 << 20, "{more} bytes more");
}
