//! One task a connection.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::Request;
use http_body::{Frame, SizeHint};
use hyper::server::conn::http2;
use hyper_util::rt::TokioTimer;
use nix::libc;
use tower::{Service, ServiceExt};

use super::activity::Lasting;
use super::admission::is_control;
use super::bind::{Listener, Stream};
use super::connections::{Answering, Connections, Entered};
use super::head::{Busy, TimedHead};
use super::part::{self, Ended, Lent};
use super::served::Served;
use crate::base::{Arrived, Lives, Tasks};

/// Bounds of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Time from the first byte of a request head to its last.
    pub head: Duration,
    /// Silence between two requests after which a connection is closed; longer than proxies keep theirs.
    pub idle: Duration,
    /// Silence on an HTTP/2 connection with open streams before a ping.
    pub ping: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { head: Duration::from_secs(30), idle: Duration::from_secs(640), ping: Duration::from_secs(90) }
    }
}

/// How long a ping may stay unanswered.
const PING_ANSWER: Duration = Duration::from_secs(20);
/// HTTP/2 windows: enough for one full-speed stream on a fast network, and for the streams of one connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Streams of one HTTP/2 connection: SDK programs hold hundreds of idle ones.
const STREAMS: u32 = 4096;
/// Pause after an accept that failed for want of descriptors, so that a full table is no busy loop.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves a listener until the tasks are drained; `app` answers every request.
pub fn serve<A>(listener: Listener, app: A, settings: Settings, tasks: &Tasks, connections: &Connections)
where
    A: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    A::Future: Send,
{
    let http2 = Arc::new(http2(settings, tasks));
    let (spawner, connections) = (tasks.clone(), connections.clone());
    let tcp = listener.local_tcp().is_some();
    tasks.spawn(async move {
        loop {
            match listener.accept().await {
                Ok(stream) => {
                    if tcp {
                        connections.accepted();
                    }
                    let entered = connections.enter();
                    let lives = connections.lives().fresh();
                    spawner.spawn(connection(stream, app.clone(), Arc::clone(&http2), settings, entered, lives));
                }
                Err(error) if is_shortage(&error) => {
                    tracing::warn!(%error, "cannot accept connections for now");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
                Err(error) => tracing::debug!(%error, "a connection ended before it was accepted"),
            }
        }
    });
}

/// Tells errors of the machine, which come again at once, from those of one connection.
fn is_shortage(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

fn http2(settings: Settings, tasks: &Tasks) -> http2::Builder<Spawner> {
    let mut http2 = http2::Builder::new(Spawner(tasks.clone()));
    http2
        .timer(TokioTimer::new())
        .keep_alive_interval(settings.ping)
        .keep_alive_timeout(PING_ANSWER)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS);
    http2
}

async fn connection<A>(
    stream: Stream,
    app: A,
    http2: Arc<http2::Builder<Spawner>>,
    settings: Settings,
    entered: Entered,
    lives: Lives,
) where
    A: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    A::Future: Send,
{
    let (stream, back) = Lent::new(stream);
    let busy = Busy::default();
    let stream = TimedHead::new(stream, busy.clone(), settings.head, settings.idle);
    let visit = Arc::clone(entered.visit());
    let service = move |mut request: Request<Body>| {
        request.extensions_mut().insert(Arrived(std::time::Instant::now()));
        let guard = Guard::new(&busy, visit.answering(is_control(request.uri().path())));
        answered(app.clone().oneshot(request), guard)
    };
    let ended = {
        let mut served = Served::new(stream, service, http2);
        part::drive(&mut served, entered.visit(), lives).await
    };
    if ended == Ended::Parted
        && let Ok(stream) = back.await
    {
        part::arrived(stream).await;
    }
}

/// Awaits an answer, unless a pause comes first.
async fn answered<F>(answer: F, guard: Guard) -> Result<Response<Guarded>, Cut>
where
    F: Future<Output = Result<Response, Infallible>>,
{
    tokio::select! {
        biased;
        Ok(mut response) = answer => {
            let lasting = response.extensions_mut().remove();
            Ok(response.map(|body| Guarded::new(body, guard, lasting)))
        }
        () = guard.answering.cut() => Err(Cut),
    }
}

/// Says that an answer was given up for a pause.
#[derive(Debug, thiserror::Error)]
#[error("cut off by a pause")]
struct Cut;

/// Marks the connection as answering until the answer's body is gone.
struct Guard {
    busy: Busy,
    answering: Answering,
}

impl Guard {
    fn new(busy: &Busy, answering: Answering) -> Self {
        busy.begin();
        Self { busy: busy.clone(), answering }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.busy.end();
    }
}

/// Carries an answer's body and the mark that it is being sent.
struct Guarded {
    body: Body,
    guard: Guard,
    /// Counts as use of the guest; behind the body, which tells its own end first.
    _lasting: Option<Lasting>,
    /// Made when the body first has to wait: most never do.
    cut: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Guarded {
    fn new(body: Body, guard: Guard, lasting: Option<Lasting>) -> Self {
        Self { body, guard, _lasting: lasting, cut: None }
    }
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.guard.answering.is_cut() {
            return Poll::Ready(Some(Err(axum::Error::new(Cut))));
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let cut = this.cut.get_or_insert_with(|| Box::pin(this.guard.answering.cut()));
        cut.as_mut().poll(cx).map(|()| Some(Err(axum::Error::new(Cut))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Starts hyper's own tasks (HTTP/2 streams) where all others start.
#[derive(Clone)]
struct Spawner(Tasks);

impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        self.0.spawn(async move {
            future.await;
        });
    }
}
