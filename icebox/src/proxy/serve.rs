//! The proxy's port: connections, and how many.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::directory::Directory;
use super::forward::{Body, answer};
use super::line::Line;
use super::refusal::Refusal;
use super::socket::Socket;
use super::upstream::BUFFER;
use crate::sandbox::Sandboxes;

/// Clients' connections at once, at most: an SDK keeps up to 200 for each program, and each costs up to two buffers.
const CONNECTIONS: u64 = 4096;
/// Descriptors for all else of this process, when there are few.
const OTHERS: u64 = 128;
/// Connections above those that are told that they are too many; more are closed without a word.
const TOLD: usize = 64;
/// Bytes and number of headers of a request's head; metadata of files takes up to 400 headers.
const HEAD: (usize, usize) = (64 << 10, 512);
/// How long a connection may idle: longer than clients keep theirs, so that none closes under a request.
const IDLE: Duration = Duration::from_secs(640);
/// How long requests may go on when the proxy ends.
const LAST: Duration = Duration::from_secs(3);
/// How long to wait when there are no descriptors left.
const SCARCE: Duration = Duration::from_millis(100);

/// Serves the proxy's port until `closing`; then requests have 3 s to end. Giving it up breaks all at once.
///
/// HTTP/1.1 and 1.0 without TLS: what SDKs speak to a host at an `http://` address.
pub async fn serve(listener: TcpListener, sandboxes: Sandboxes, closing: CancellationToken) {
    run(listener, sandboxes, closing, places()).await;
}

/// How many connections this process can carry, with one to a VM for each.
fn places() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let places = (descriptors.saturating_sub(OTHERS) / 2).clamp(16, CONNECTIONS);
    usize::try_from(places).unwrap_or(usize::MAX)
}

/// [`serve`] for any directory, with so many connections.
pub(super) async fn run<D: Directory>(listener: TcpListener, directory: D, closing: CancellationToken, places: usize) {
    let (places, told) = (Arc::new(Semaphore::new(places)), Arc::new(Semaphore::new(TOLD)));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = closing.cancelled() => break,
            _ = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, client)) = accepted else {
            sleep(SCARCE).await;
            continue;
        };
        let admitted = match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => (Some(directory.clone()), place),
            Err(_) => match Arc::clone(&told).try_acquire_owned() {
                Ok(place) => (None, place),
                Err(_) => continue,
            },
        };
        connections.spawn(connection(stream, client.ip(), admitted, closing.clone()));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Serves one connection to its end, and the tunnel that it may become. Without a directory it is one too many.
async fn connection<D: Directory>(
    stream: TcpStream,
    client: IpAddr,
    (directory, _place): (Option<D>, OwnedSemaphorePermit),
    closing: CancellationToken,
) {
    // A client whose machine is gone does not keep its place for ever.
    rustix::net::sockopt::set_socket_keepalive(&stream, true).ok();
    let line = Line::new();
    let Ok(socket) = Socket::new(stream, Arc::clone(&line)) else { return };
    let service = service_fn(|request: Request<Incoming>| {
        let (directory, line) = (directory.clone(), Arc::clone(&line));
        async move {
            Ok::<_, Infallible>(match directory {
                Some(directory) => answer(&directory, &line, client, request).await,
                None => crowded(),
            })
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE).keep_alive(directory.is_some());
    builder.max_header_size(HEAD.0).max_headers(HEAD.1).max_buf_size(BUFFER);
    let mut served = pin!(builder.serve_connection(TokioIo::new(socket), service).with_upgrades());
    tokio::select! {
        // Its errors are the client's, and the client knows.
        _ = &mut served => {}
        () = line.overdue() => return,
        () = line.parted() => return line.cut(),
        () = closing.cancelled() => {
            served.as_mut().graceful_shutdown();
            tokio::select! {
                _ = &mut served => {}
                () = line.parted() => return line.cut(),
                () = sleep(LAST) => return line.cut(),
            }
        }
    }
    if let Some(tunnel) = line.take_tunnel() {
        let closed = async {
            closing.cancelled().await;
            sleep(LAST).await;
            line.cut();
        };
        tokio::select! {
            () = tunnel.run() => {}
            () = closed => {}
        }
    }
}

fn crowded() -> Response<Body> {
    let answer: Response<Full<Bytes>> = Refusal::Crowded.answer();
    answer.map(Either::Left)
}
