//! The composition root: settings become rooms, rooms become one router, the router is served until a signal.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tonic::service::Routes;
use tower::Layer;

use crate::activity::{self, Activity, Holds, Pulse};
use crate::base::{Admission, Life, Lives, Tasks};
use crate::config::Config;
use crate::fs::Files;
use crate::host::{Authorities, Environment, Memory, Metadata, Mounts, Services, marker};
use crate::identity::{Accounts, Defaults, Gate, Kept};
use crate::ports::Ports;
use crate::process::Table;
use crate::proto::filesystem::filesystem_server::FilesystemServer;
use crate::proto::process::process_server::ProcessServer;
use crate::proto::thawd::v1::activity_server::ActivityServer;
use crate::proto::thawd::v1::lifecycle_server::LifecycleServer;
use crate::server::{
    Address, BindError, Connections, Listener, bind, serve,
    stack::{Stack, stack},
};
use crate::snapshot::{self, Lifecycle, Surroundings};
use crate::wire::Wire;
use crate::workload::Workload;
use crate::{http, proto, rpc, wire};

/// How long connections and programs may take to end after a signal.
const DRAIN: Duration = Duration::from_secs(2);

/// The RPC services, by the names in their paths.
const SERVICES: [&str; 7] = [
    "process.Process",
    "filesystem.Filesystem",
    "thawd.v1.Lifecycle",
    "thawd.v1.Activity",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// Holds everything that serves, with its listeners open.
pub struct App {
    listeners: Vec<Listener>,
    stack: Stack<Wire<Routes>>,
    server: crate::server::Settings,
    table: Table,
    tasks: Tasks,
    connections: Connections,
    /// Attached for as long as it is kept.
    _ports: Option<Ports>,
}

impl App {
    /// Builds the rooms and opens the listeners. Needs a running runtime.
    ///
    /// # Errors
    /// A listener that cannot be opened.
    pub async fn build(config: Config) -> Result<Self, BindError> {
        let listeners = open(&config.listen).await?;
        let tasks = Tasks::default();
        let accounts = Arc::new(Accounts::default());
        let told = told(&config);
        let Told { gate, defaults, environment, .. } = told.clone();
        let workload = Arc::new(Workload::prepare(&config.workload));
        let life = watch::Sender::new(Life::default());
        let lives = Lives::new(life.subscribe());
        let pulse = Pulse::default();
        let holds = Holds::new(pulse.clone());
        let connections = Connections::new(lives.clone()).counted(pulse.clone());
        let table = Table::new(config.process, Arc::clone(&workload), tasks.clone(), lives.clone(), pulse.clone());
        let own: Vec<_> = listeners.iter().filter_map(Listener::local_tcp).map(|address| address.port()).collect();
        let ports = config.ports.and_then(|settings| reach(&settings, &own, &tasks));
        let cgroups = config.workload.root.filter(|_| workload.has_cgroups());
        let around = Surroundings {
            workload,
            gate: Arc::clone(&gate),
            part: parting(connections.clone()),
            ports: own.clone(),
            loopback_ports: ports.is_some(),
            holds: holds.clone(),
            life,
        };
        let lifecycle = snapshot::start(config.snapshot, around, &tasks);
        let admission = Admission::new(lives.clone(), lifecycle.gap());
        let sources = sources(table.clone(), lifecycle.clone(), cgroups, own);
        let activity = Activity::start(holds, sources, &lives, &tasks);
        let files = Files::new(config.access, Arc::clone(&accounts)).counted(pulse.clone());

        let process = rpc::process::Process::new(
            table.clone(),
            Arc::clone(&accounts),
            Arc::clone(&defaults),
            Arc::clone(&environment),
            admission.clone(),
        );
        let (owners, user) = (Arc::clone(&accounts), Arc::clone(&defaults));
        let filesystem = rpc::filesystem::Filesystem::new(files.clone(), owners, user, lives.clone());
        let plain = http::facts::router(Arc::clone(&environment))
            .merge(http::lifecycle::router(guest(config.host, told, lives.clone(), &tasks), lifecycle.clone()))
            .merge(http::files::router(http::files::Shared {
                files,
                accounts: Arc::clone(&accounts),
                defaults,
                gate: Arc::clone(&gate),
            }));
        let activity = rpc::activity::Activity::new(activity, lives.clone());
        let rpc =
            services(process, filesystem, rpc::lifecycle::Lifecycle::new(lifecycle), activity, lives.clone()).await;
        let stack = stack(plain, rpc, &SERVICES, gate, accounts, admission, pulse);
        Ok(Self { listeners, stack, server: config.server, table, tasks, connections, _ports: ports })
    }

    /// Tells the TCP addresses that are open, in the order of the configuration.
    #[must_use]
    pub fn addresses(&self) -> Vec<std::net::SocketAddr> {
        self.listeners.iter().filter_map(Listener::local_tcp).collect()
    }

    /// Serves until `shutdown`, then kills what runs and ends every task; says how many did not end in time.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> usize {
        for listener in self.listeners {
            serve(listener, self.stack.clone(), self.server, &self.tasks, &self.connections);
        }
        shutdown.await;
        self.table.shut_down();
        self.table.emptied(DRAIN).await;
        self.tasks.drain(DRAIN).await
    }
}

/// What a host says of a guest.
#[derive(Clone)]
struct Told {
    gate: Arc<Gate>,
    defaults: Arc<Defaults>,
    environment: Arc<Environment>,
    memory: Memory,
}

/// Begins with the flags, or with what a predecessor was told.
fn told(config: &Config) -> Told {
    let kept = config.keep.as_deref().and_then(Kept::on);
    let gate = Arc::new(Gate::new(config.token.clone()).keeping(kept.clone()));
    let defaults = Arc::new(Defaults::new(config.user.clone(), config.workdir.clone()));
    let environment = Arc::new(Environment::new(marker::leave(&config.host.root, config.in_sandbox)));
    let memory = Memory::recall(kept, Arc::clone(&defaults), Arc::clone(&environment));
    Told { gate, defaults, environment, memory }
}

/// Opens the listeners, the port last: who finds it open finds the others open too.
async fn open(places: &[Address]) -> Result<Vec<Listener>, BindError> {
    let mut places: Vec<_> = places.iter().collect();
    places.sort_by_key(|address| matches!(address, Address::Tcp(_)));
    let mut listeners = Vec::new();
    for address in places {
        listeners.push(bind(address).await?);
    }
    Ok(listeners)
}

/// Closes the connections of clients when a freeze asks for it.
fn parting(connections: Connections) -> snapshot::Part {
    Box::new(move |limit| {
        let connections = connections.clone();
        Box::pin(async move { connections.parted(limit).await })
    })
}

/// Says where it is known what goes on in the guest.
fn sources(table: Table, lifecycle: Lifecycle, cgroups: Option<PathBuf>, ports: Vec<u16>) -> activity::Sources {
    activity::Sources {
        programs: Box::new(move || table.programs()),
        paused: Box::new(move || lifecycle.facts().paused),
        cgroups,
        ports,
    }
}

/// Makes servers on loopback addresses reachable; a kernel that cannot do so is told of once.
fn reach(settings: &crate::ports::Settings, own: &[u16], tasks: &Tasks) -> Option<Ports> {
    let opened = Ports::open(settings, own).inspect_err(|error| {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::info!(%error, cause, "servers on loopback addresses are not reached from outside");
    });
    let (ports, relay) = opened.ok()?;
    if let Err(error) = relay.start(tasks) {
        tracing::info!(%error, "some servers on loopback addresses are not reached from outside");
    }
    Some(ports)
}

/// Builds what a host changes with `/init`, and begins to ask which sandbox this is.
fn guest(settings: crate::host::Settings, told: Told, lives: Lives, tasks: &Tasks) -> http::lifecycle::Shared {
    let Told { gate, defaults, environment, memory } = told;
    let root = settings.root;
    let services = Services::new(&root, Arc::clone(&environment), tasks.clone());
    let authorities = Authorities::new(&root, tasks.clone());
    let metadata = settings.metadata.map(|endpoint| {
        Metadata::start(endpoint, root, Arc::clone(&gate), Arc::clone(&environment), lives, tasks.clone())
    });
    let mounts = Mounts::new(tasks.clone());
    http::lifecycle::Shared { gate, defaults, environment, memory, services, metadata, authorities, mounts }
}

/// Puts the RPC services behind the wire.
async fn services(
    process: rpc::process::Process,
    filesystem: rpc::filesystem::Filesystem,
    lifecycle: rpc::lifecycle::Lifecycle,
    activity: rpc::activity::Activity,
    lives: Lives,
) -> Wire<Routes> {
    let process = ProcessServer::new(process).max_decoding_message_size(usize::MAX);
    let filesystem = FilesystemServer::new(filesystem).max_decoding_message_size(usize::MAX);
    let (reporter, health) = tonic_health::server::health_reporter();
    for service in &SERVICES[..4] {
        reporter.set_service_status(service, tonic_health::ServingStatus::Serving).await;
    }
    let routes = Routes::new(process)
        .add_service(filesystem)
        .add_service(LifecycleServer::new(lifecycle))
        .add_service(ActivityServer::new(activity))
        .add_service(health)
        .add_service(rpc::reflection::v1())
        .add_service(rpc::reflection::v1alpha());
    let mut methods: wire::Methods = proto::METHODS.iter().cloned().collect();
    methods.extend(binary(tonic_health::pb::FILE_DESCRIPTOR_SET));
    methods.extend(binary(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET));
    methods.extend(binary(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET));
    wire::layer(methods, wire::Settings { lives, ..wire::Settings::default() }).layer(routes.prepare())
}

/// Reads the methods of a service that is not generated by us, and so has no JSON.
fn binary(descriptors: &[u8]) -> wire::Methods {
    wire::Methods::from_descriptor_set(descriptors).unwrap_or_default().binary_only()
}
