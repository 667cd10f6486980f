//! Sandboxes that are servers on this machine, and clients that see every byte.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::proxy::directory::Directory;
use crate::proxy::serve::run;
use crate::sandbox::{Lifecycle, OnTimeout, Reach, SandboxError, SandboxId, State, View};
use crate::vm::AGENT_PORT;

/// For anything that must happen at all.
pub(super) const SOON: Duration = Duration::from_secs(20);

/// Waits for what must happen.
pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("it must happen")
}

/// Waits until something is so.
pub(super) async fn until(what: &str, so: impl Fn() -> bool) {
    let all = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, all).await.unwrap_or_else(|_| panic!("it must be so: {what}"));
}

pub(super) fn id(text: &str) -> SandboxId {
    SandboxId::parse(text).unwrap()
}

pub(in crate::proxy) fn view(name: &str) -> View {
    View {
        id: id(name),
        template: "base".into(),
        alias: None,
        state: State::Running,
        started_ms: 0,
        end_ms: 0,
        timeout_s: 300,
        metadata: Default::default(),
        lifecycle: Lifecycle { on_timeout: OnTimeout::Kill, auto_resume: true },
        token: Some(format!("token-{name}")),
        traffic_token: None,
        allow_internet: None,
        network: None,
        mask_request_host: None,
        cpus: 1,
        memory_mib: 256,
        disk_mib: 1024,
        envd_version: "0.6.13".into(),
        active_ms: 0,
        last_pause: Vec::new(),
        last_resume: Vec::new(),
        snapshot_bytes: None,
        trouble: None,
    }
}

/// One sandbox.
pub(super) struct Plot {
    pub(super) view: View,
    pub(super) ports: HashMap<u16, SocketAddr>,
    pub(super) gone: CancellationToken,
    /// What `reach` does before it answers.
    pub(super) asked: Box<dyn Fn(usize) -> Result<(), SandboxError> + Send>,
}

/// A directory of servers.
#[derive(Clone, Default)]
pub(super) struct Field {
    plots: Arc<Mutex<HashMap<SandboxId, Plot>>>,
    pub(super) asked: Arc<AtomicUsize>,
}

impl Field {
    /// A field with the sandbox `iabc`, which has one server, at a port and as its agent.
    pub(super) fn of(port: u16, server: SocketAddr) -> Self {
        let field = Self::default();
        let ports = HashMap::from([(port, server), (AGENT_PORT, server)]);
        let asked = Box::new(|_| Ok(()));
        let plot = Plot { view: view("iabc"), ports, gone: CancellationToken::new(), asked };
        field.plots.lock().unwrap().insert(id("iabc"), plot);
        field
    }

    /// Changes the sandbox.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Plot) -> T) -> T {
        change(self.plots.lock().unwrap().get_mut(&id("iabc")).unwrap())
    }
}

impl Directory for Field {
    fn view(&self, id: &SandboxId) -> Option<View> {
        self.plots.lock().unwrap().get(id).map(|plot| plot.view.clone())
    }

    fn views(&self) -> Vec<View> {
        self.plots.lock().unwrap().values().map(|plot| plot.view.clone()).collect()
    }

    async fn reach(&self, id: &SandboxId, port: u16) -> Result<Reach, SandboxError> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let mut plots = self.plots.lock().unwrap();
        let plot = plots.get_mut(id).ok_or_else(|| SandboxError::NotFound(id.clone()))?;
        (plot.asked)(asked)?;
        if plot.gone.is_cancelled() {
            // It was woken.
            plot.gone = CancellationToken::new();
        }
        let address = plot.ports.get(&port).copied().unwrap_or(([127, 0, 0, 1], 1).into());
        Ok(Reach { address, view: plot.view.clone(), gone: plot.gone.clone() })
    }
}

/// A proxy; it ends when this is dropped.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    pub(super) closing: CancellationToken,
    pub(super) tasks: JoinSet<()>,
}

pub(super) async fn proxy(field: &Field) -> Proxy {
    crowded_proxy(field, 1000).await
}

pub(super) async fn crowded_proxy(field: &Field, places: usize) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (closing, mut tasks) = (CancellationToken::new(), JoinSet::new());
    tasks.spawn(run(listener, field.clone(), closing.clone(), places));
    Proxy { address, closing, tasks }
}

/// A server that treats each connection alike; it ends with the runtime.
pub(super) async fn server<F>(treat: impl Fn(Talk) -> F + Send + Sync + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(treat(Talk { stream, read: Vec::new() }));
        }
    });
    address
}

/// A server that answers each request alike.
pub(super) async fn canned(answer: &'static str) -> SocketAddr {
    server(move |mut talk| async move {
        talk.head().await;
        talk.say(answer).await;
    })
    .await
}

/// One side of a connection, byte by byte.
pub(super) struct Talk {
    pub(super) stream: TcpStream,
    read: Vec<u8>,
}

impl Talk {
    pub(super) async fn to(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), read: Vec::new() }
    }

    /// Sends a request to port 3000 of the sandbox, whose host is `3000-iabc.test`.
    pub(super) async fn ask(proxy: &Proxy, request: &str) -> Self {
        let mut talk = Self::to(proxy.address).await;
        talk.say(&request.replace("HOST", "Host: 3000-iabc.test\r\n")).await;
        talk
    }

    pub(super) async fn say(&mut self, text: &str) {
        soon(self.stream.write_all(text.as_bytes())).await.unwrap();
    }

    /// Reads up to `end`, which is part of the answer.
    pub(super) async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end.as_bytes()) {
                let rest = self.read.split_off(at + end.len());
                return String::from_utf8_lossy(&std::mem::replace(&mut self.read, rest)).into_owned();
            }
            let read = soon(self.stream.read_buf(&mut self.read)).await;
            let text = || String::from_utf8_lossy(&self.read).into_owned();
            match read {
                Ok(0) => panic!("it ended without {end:?}: {:?}", text()),
                Ok(_) => {}
                Err(error) => panic!("{error} without {end:?}: {:?}", text()),
            }
        }
    }

    /// Drops what was read and not asked for yet; tells how much.
    pub(super) fn taken(&mut self) -> usize {
        std::mem::take(&mut self.read).len()
    }

    pub(super) async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// Reads to the end; tells whether it was one, or a reset.
    pub(super) async fn rest(&mut self) -> (String, bool) {
        let ended = loop {
            match soon(self.stream.read_buf(&mut self.read)).await {
                Ok(0) => break true,
                Ok(_) => {}
                Err(_) => break false,
            }
        };
        (String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned(), ended)
    }
}
