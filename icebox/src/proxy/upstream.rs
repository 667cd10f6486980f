//! One connection to a port of a VM, for one request.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::socket::{End, Socket};
use super::upload::Sending;

/// To connect on this machine takes microseconds; a full backlog may keep us waiting.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes and number of headers of an answer's head; servers set many cookies, and ours is not the place to judge.
const HEAD: (usize, usize) = (256 << 10, 512);
/// Bytes that wait here for a side that is slower than the other.
pub(super) const BUFFER: usize = 256 << 10;

/// Drives a connection; the connection ends with it.
pub(super) type Driver = AbortOnDropHandle<()>;

/// What a connection to a VM has seen, and how it is to end.
#[derive(Debug, Default)]
pub(super) struct Ear {
    heard: AtomicBool,
    broken: AtomicBool,
    cut: AtomicBool,
}

impl Ear {
    /// Makes the end of the connection a reset.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }
}

impl End for Ear {
    fn heard(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    fn broken(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}

/// The head of an answer, and what carries the rest.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: Response<Incoming>,
    pub(super) driver: Driver,
    pub(super) ear: Arc<Ear>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Silence {
    /// Nothing of the request was sent.
    #[error("connecting")]
    Unsent,
    /// The other side parted before it had read all that was sent, and without a word.
    #[error("parted with the request unread")]
    Unread,
    /// It parted without a word; it may have read the request.
    #[error("parted without an answer")]
    Mute,
    /// It said something that is no answer.
    #[error("no HTTP")]
    Strange,
    /// The client did not send its body to the end.
    #[error("the request broke off")]
    Cancelled,
}

/// Sends a request and waits for the head of its answer. Giving it up ends the connection.
pub(super) async fn ask(address: SocketAddr, request: Request<Sending>) -> Result<Answer, Silence> {
    let ear = Arc::new(Ear::default());
    let stream = timeout(CONNECT, TcpStream::connect(address)).await;
    let stream = stream.map_err(io::Error::from).and_then(|stream| stream).map_err(|_| Silence::Unsent)?;
    let socket = Socket::new(stream, Arc::clone(&ear)).map_err(|_| Silence::Unsent)?;
    let mut builder = http1::Builder::new();
    builder.max_header_size(HEAD.0).max_headers(HEAD.1).max_buf_size(BUFFER);
    let (mut sender, connection) = builder.handshake(TokioIo::new(socket)).await.map_err(|_| Silence::Unsent)?;
    // Its error is also that of the request.
    let driver = Driver::new(tokio::spawn(async move { drop(connection.with_upgrades().await) }));
    match sender.try_send_request(request).await {
        Ok(response) => Ok(Answer { response, driver, ear }),
        Err(mut failed) => {
            let unsent = failed.take_message().is_some();
            Err(if unsent { Silence::Unsent } else { silence(failed.error(), &ear) })
        }
    }
}

fn silence(error: &hyper::Error, ear: &Ear) -> Silence {
    if error.is_user() {
        return Silence::Cancelled;
    }
    if error.is_parse() || ear.heard.load(Ordering::Relaxed) {
        return Silence::Strange;
    }
    // A kernel resets a connection that is closed with something unread.
    if ear.broken.load(Ordering::Relaxed) { Silence::Unread } else { Silence::Mute }
}
