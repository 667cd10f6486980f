//! Stub services behind the wire, on a loopback port.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use prost_types::Any;
use thawd::proto::filesystem::filesystem_server::{Filesystem, FilesystemServer};
use thawd::proto::filesystem::{EntryInfo, StatRequest, StatResponse};
use thawd::proto::process::process_event::{DataEvent, EndEvent, Event, StartEvent, data_event::Output};
use thawd::proto::process::process_server::{Process, ProcessServer};
use thawd::proto::process::{ProcessEvent, StartRequest, StartResponse, StreamInputRequest, StreamInputResponse};
use thawd::{proto, wire};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::metadata::{BinaryMetadataValue, MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status, Streaming};
use tower::Layer as _;

/// How long any condition may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    live: watch::Receiver<usize>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(wire::Settings::default()).await
    }

    pub(crate) async fn with(settings: wire::Settings) -> Self {
        let (sender, live) = watch::channel(0);
        let stub = Stub { live: Arc::new(sender) };
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .build_v1()
            .unwrap();
        let routes =
            tonic::service::Routes::new(FilesystemServer::new(stub.clone()).max_decoding_message_size(usize::MAX))
                .add_service(ProcessServer::new(stub).max_decoding_message_size(usize::MAX))
                .add_service(reflection)
                .prepare();
        let mut methods = wire::Methods::new(proto::METHODS.iter().cloned());
        methods.extend(
            wire::Methods::from_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET).unwrap().binary_only(),
        );
        let rpc = wire::layer(methods, settings).layer(routes);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                socket.set_nodelay(true).unwrap();
                let service = TowerToHyperService::new(rpc.clone());
                tokio::spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let io = TokioIo::new(socket);
                    // Clients come and go as they like in these tests.
                    let _ = builder.serve_connection(io, service).await;
                });
            }
        });
        Self { addr, live }
    }

    /// Waits until so many calls are inside the service.
    pub(crate) async fn reaches(&self, count: usize) {
        let mut live = self.live.clone();
        let reached = live.wait_for(|live| *live == count);
        tokio::time::timeout(PATIENCE, reached)
            .await
            .unwrap_or_else(|_| panic!("{count} live calls expected"))
            .unwrap();
    }
}

#[derive(Clone)]
struct Stub {
    live: Arc<watch::Sender<usize>>,
}

/// Counts a call until it is dropped.
struct Guard(Arc<watch::Sender<usize>>);

impl Guard {
    fn new(stub: &Stub) -> Self {
        stub.live.send_modify(|live| *live += 1);
        Self(Arc::clone(&stub.live))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.send_modify(|live| *live -= 1);
    }
}

/// Events, then an end, an error, silence, or the same again for ever.
struct Events {
    events: std::vec::IntoIter<ProcessEvent>,
    then: Then,
    _guard: Guard,
}

enum Then {
    End,
    Fail(Status),
    Hang,
    Flood(ProcessEvent),
}

impl Stream for Events {
    type Item = Result<StartResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = match (self.events.next(), &self.then) {
            (Some(event), _) => event,
            (None, Then::End) => return Poll::Ready(None),
            (None, Then::Hang) => return Poll::Pending,
            (None, Then::Flood(event)) => event.clone(),
            (None, Then::Fail(status)) => {
                let status = status.clone();
                self.then = Then::End;
                return Poll::Ready(Some(Err(status)));
            }
        };
        Poll::Ready(Some(Ok(StartResponse { event: Some(event) })))
    }
}

fn event(event: Event) -> ProcessEvent {
    ProcessEvent { event: Some(event) }
}

fn stdout(bytes: Vec<u8>) -> ProcessEvent {
    let output = Some(Output::Stdout(Bytes::from(bytes)));
    event(Event::Data(DataEvent { output }))
}

/// A status with a detail and metadata.
fn failure(code: Code) -> Status {
    let detail = Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".into(), value: vec![10, 2, 8, 1] };
    let mut status = wire::with_details(code, "told to fail: ü", vec![detail]);
    status.metadata_mut().insert("x-why", MetadataValue::from_static("because"));
    status
}

/// Leading and trailing metadata on an answer, with what the request said.
fn decorate<T>(asked: &MetadataMap, response: &mut Response<T>) {
    let head = response.metadata_mut();
    for said in asked.get_all("x-said") {
        head.append("x-heard", said.clone());
    }
    let mut tail = MetadataMap::new();
    tail.append("x-tail", MetadataValue::from_static("one"));
    tail.append("x-tail", MetadataValue::from_static("two"));
    tail.insert_bin("x-tail-bin", BinaryMetadataValue::from_bytes(&[0, 255]));
    response.extensions_mut().insert(wire::Trailers(tail));
}

#[tonic::async_trait]
impl Filesystem for Stub {
    async fn stat(&self, request: Request<StatRequest>) -> Result<Response<StatResponse>, Status> {
        let _guard = Guard::new(self);
        let (asked, extensions, request) = request.into_parts();
        let (verb, number) = request.path.split_once('/').unwrap_or((&request.path, "0"));
        let number: usize = number.parse().unwrap_or(0);
        let name = match verb {
            "fail" => return Err(failure(Code::from_i32(number as i32))),
            "hang" => std::future::pending().await,
            "big" => "x".repeat(number),
            "timeout" => {
                let header = asked.get("connect-timeout-ms").map(|ms| ms.to_str().unwrap());
                format!("{:?} {header:?}", extensions.get::<wire::Timeout>().unwrap().0)
            }
            _ => request.path.clone(),
        };
        let entry = EntryInfo { name, ..Default::default() };
        let mut response = Response::new(StatResponse { entry: Some(entry) });
        decorate(&asked, &mut response);
        Ok(response)
    }
}

#[tonic::async_trait]
impl Process for Stub {
    async fn start(
        &self,
        request: Request<StartRequest>,
    ) -> Result<Response<tonic::codegen::BoxStream<StartResponse>>, Status> {
        let (asked, _, request) = request.into_parts();
        let config = request.process.unwrap_or_default();
        let number: usize = config.args.first().map_or(0, |size| size.parse().unwrap());
        let start = event(Event::Start(StartEvent { pid: 7 }));
        let (events, then) = match config.cmd.as_str() {
            "refuse" => return Err(failure(Code::NotFound)),
            "never" => std::future::pending().await,
            "silent" => (vec![], Then::Hang),
            "hang" => (vec![start], Then::Hang),
            "break" => (vec![start], Then::Fail(failure(Code::Aborted))),
            "flood" => (vec![start], Then::Flood(stdout(vec![b'x'; 32 << 10]))),
            _ => {
                let end = event(Event::End(EndEvent { exit_code: -1, ..Default::default() }));
                (vec![start, stdout(vec![b'x'; number]), end], Then::End)
            }
        };
        let events = Events { events: events.into_iter(), then, _guard: Guard::new(self) };
        let mut response = Response::new(Box::pin(events) as _);
        decorate(&asked, &mut response);
        Ok(response)
    }

    async fn stream_input(
        &self,
        request: Request<Streaming<StreamInputRequest>>,
    ) -> Result<Response<StreamInputResponse>, Status> {
        let _guard = Guard::new(self);
        if request.metadata().contains_key("x-refuse") {
            return Err(failure(Code::PermissionDenied));
        }
        let mut messages = request.into_inner();
        let mut count = 0;
        while messages.message().await?.is_some() {
            count += 1;
        }
        let mut response = Response::new(StreamInputResponse {});
        response.metadata_mut().insert("x-count", MetadataValue::from(count));
        Ok(response)
    }
}
