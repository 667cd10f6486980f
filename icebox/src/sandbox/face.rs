//! What is seen of a sandbox from outside, without waiting for its keeper.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::metrics::Ring;
use super::rules::milliseconds;
use super::{Reach, SandboxId, State, View};
use crate::agent::unix_time;

/// Ports of one VM that are forwarded at once; the one that was not asked for the longest makes room for another.
pub(super) const MOST_PORTS: usize = 64;

/// Shared by a keeper, who writes, and all who read.
#[derive(Debug)]
pub(super) struct Face {
    view: watch::Sender<View>,
    /// When a client last spoke to it, in milliseconds since the epoch.
    active_ms: AtomicU64,
    routes: RwLock<Option<Routes>>,
    pub(super) metrics: Mutex<Ring>,
    /// Somebody wants it gone.
    pub(super) kill: CancellationToken,
    /// Its keeper is to end at once, and to leave what is on the disk.
    pub(super) stop: CancellationToken,
    /// Nothing is left of it, or nobody keeps it any more.
    pub(super) done: CancellationToken,
}

/// The ways into a running VM.
#[derive(Debug)]
struct Routes {
    gone: CancellationToken,
    ports: HashMap<u16, Route>,
}

#[derive(Debug)]
struct Route {
    address: SocketAddr,
    used_ms: AtomicU64,
}

impl Face {
    pub(super) fn new(view: View) -> Self {
        let active_ms = view.active_ms.into();
        let (kill, stop, done) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let (routes, metrics) = (RwLock::default(), Mutex::default());
        Self { view: watch::Sender::new(view), active_ms, routes, metrics, kill, stop, done }
    }

    /// What is known now; `None` when it is on its way out.
    pub(super) fn view(&self) -> Option<View> {
        let gone = self.kill.is_cancelled() || self.done.is_cancelled();
        (!gone).then(|| View { active_ms: self.active_ms(), ..self.view.borrow().clone() })
    }

    pub(super) fn id(&self) -> SandboxId {
        self.view.borrow().id.clone()
    }

    pub(super) fn show(&self, view: View) {
        self.view.send_replace(view);
    }

    pub(super) fn active_ms(&self) -> u64 {
        self.active_ms.load(Ordering::Relaxed)
    }

    /// A client speaks to it.
    pub(super) fn touch(&self) {
        self.active_ms.store(now_ms(), Ordering::Relaxed);
    }

    /// Leads to a port that is forwarded already, if it runs.
    pub(super) fn reach(&self, port: u16) -> Option<Reach> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let routes = routes.as_ref()?;
        let route = routes.ports.get(&port)?;
        let view = self.view().filter(|view| view.state == State::Running)?;
        route.used_ms.store(now_ms(), Ordering::Relaxed);
        Some(Reach { address: route.address, view, gone: routes.gone.clone() })
    }

    /// A VM runs; its ports end with `gone`.
    pub(super) fn open(&self, gone: CancellationToken) {
        let ports = HashMap::new();
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = Some(Routes { gone, ports });
    }

    /// No VM runs any more.
    pub(super) fn shut(&self) {
        let routes = self.routes.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(routes) = routes {
            routes.gone.cancel();
        }
    }

    /// Remembers where a port is forwarded.
    pub(super) fn add(&self, port: u16, address: SocketAddr) {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(routes) = routes.as_mut() {
            routes.ports.insert(port, Route { address, used_ms: now_ms().into() });
        }
    }

    /// Forgets the port that must make room for another one, if one must.
    pub(super) fn make_room(&self) -> Option<u16> {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let routes = routes.as_mut().filter(|routes| routes.ports.len() >= MOST_PORTS)?;
        let oldest = routes.ports.iter().min_by_key(|(_, route)| route.used_ms.load(Ordering::Relaxed));
        let oldest = oldest.map(|(port, _)| *port)?;
        routes.ports.remove(&oldest);
        Some(oldest)
    }
}

/// Our clock.
pub(super) fn now_ms() -> u64 {
    milliseconds(unix_time())
}
