//! An agent inside the test, whose life the test decides.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use thawd::base::{Admission, Life, Lives, Phase, Tasks};
use thawd::fs::{Access, Files};
use thawd::host::Environment;
use thawd::identity::{Accounts, Defaults, Gate, Secret};
use thawd::process::{self, Table};
use thawd::proto::filesystem::filesystem_server::FilesystemServer;
use thawd::proto::process::process_server::ProcessServer;
use thawd::server::{Address, Connections, Settings, bind, serve, stack::stack};
use thawd::workload::{self, Workload};
use thawd::{http, proto, rpc, wire};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tower::Layer as _;

const SERVICES: [&str; 2] = ["process.Process", "filesystem.Filesystem"];

pub(crate) struct Guest {
    pub(crate) address: SocketAddr,
    pub(crate) life: Arc<watch::Sender<Life>>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) table: Table,
    /// What the guest believes its wall clock to be behind by.
    pub(crate) gap: Arc<Mutex<Option<Duration>>>,
    connections: Connections,
    tasks: Tasks,
    runtime: Runtime,
}

impl Guest {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let _context = runtime.enter();
        let life = Arc::new(watch::Sender::new(Life::default()));
        let lives = Lives::new(life.subscribe());
        let gap = Arc::<Mutex<Option<Duration>>>::default();
        let asked = Arc::clone(&gap);
        let admission = Admission::new(lives.clone(), Arc::new(move || *asked.lock().unwrap()));
        let (tasks, gate, accounts) = (Tasks::default(), Arc::<Gate>::default(), Arc::<Accounts>::default());
        let defaults = Arc::new(Defaults::new("root".into(), Some("/".into())));
        let environment = Arc::new(Environment::new([]));
        let workload = Arc::new(Workload::prepare(&workload::Settings { root: None }));
        let table =
            Table::new(process::Settings::default(), workload, tasks.clone(), lives.clone(), Default::default());
        let files = Files::new(Access::Root, Arc::clone(&accounts));
        let connections = Connections::new(lives.clone());

        let programs = rpc::process::Process::new(
            table.clone(),
            Arc::clone(&accounts),
            Arc::clone(&defaults),
            Arc::clone(&environment),
            admission.clone(),
        );
        let tree = rpc::filesystem::Filesystem::new(files.clone(), Arc::clone(&accounts), Arc::clone(&defaults), lives);
        let routes = tonic::service::Routes::new(ProcessServer::new(programs))
            .add_service(FilesystemServer::new(tree))
            .prepare();
        let methods = proto::METHODS.iter().cloned().collect();
        let rpc = Router::new().fallback_service(wire::layer(methods, wire::Settings::default()).layer(routes));
        let plain = http::facts::router(environment)
            .merge(http::files::router(http::files::Shared {
                files,
                accounts: Arc::clone(&accounts),
                defaults,
                gate: Arc::clone(&gate),
            }))
            .merge(freezing(Arc::clone(&life), connections.clone()));
        let router = stack(plain, rpc, &SERVICES, Arc::clone(&gate), accounts, admission, Default::default());
        let listener = runtime.block_on(bind(&Address::Tcp(([127, 0, 0, 1], 0).into()))).unwrap();
        let address = listener.local_tcp().unwrap();
        serve(listener, router, Settings::default(), &tasks, &connections);
        Self { address, life, gate, table, gap, connections, tasks, runtime }
    }

    pub(crate) fn phase(&self, phase: Phase) {
        self.life.send_modify(|life| {
            life.phase = phase;
            life.guarded = phase != Phase::Running;
            life.partings += u64::from(phase == Phase::Freezing);
        });
    }

    /// Parts everybody, as a freeze does first; says how many connections are left.
    pub(crate) fn part(&self, limit: Duration) -> usize {
        self.phase(Phase::Freezing);
        self.runtime.block_on(self.connections.parted(limit))
    }

    /// Runs again after a pause that the wall clock shows.
    pub(crate) fn resume(&self, step: Duration) {
        self.life.send_modify(|life| {
            let (generation, partings, notices) = (life.generation + 1, life.partings, life.notices + 1);
            *life = Life { generation, partings, notices, step, ..Life::default() };
        });
    }

    pub(crate) fn token(&self, token: &str) {
        self.gate.set(Some(Secret::new(token.to_owned())));
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.table.shut_down();
        self.runtime.block_on(self.table.emptied(Duration::from_secs(2)));
        self.runtime.block_on(self.tasks.drain(Duration::from_secs(2)));
    }
}

/// The endpoint of hosts, as far as connections see it: the answer says how many others were left.
fn freezing(life: Arc<watch::Sender<Life>>, connections: Connections) -> Router {
    let freeze = async move || {
        life.send_modify(|life| {
            life.phase = Phase::Freezing;
            life.partings += 1;
        });
        let left = connections.parted(Duration::from_secs(3)).await;
        life.send_modify(|life| life.phase = Phase::Frozen);
        left.to_string()
    };
    Router::new().route("/freeze", post(freeze))
}
