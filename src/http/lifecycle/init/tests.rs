use super::*;
use crate::base::{Life, Lives, Tasks};
use crate::host::metadata::Endpoint;
use crate::snapshot::{self, Surroundings};
use crate::sys::place::tests::Folder;
use crate::workload::{Settings, Workload};

struct Guest {
    init: Init,
    folder: Folder,
}

fn guest(name: &str, service: Option<Endpoint>) -> Guest {
    let folder = Folder::new(name);
    let tasks = Tasks::default();
    let (gate, environment): (Arc<Gate>, Arc<Environment>) = Default::default();
    let around = Surroundings {
        workload: Arc::new(Workload::prepare(&Settings { root: None })),
        gate: Arc::clone(&gate),
        part: Box::new(|_| Box::pin(std::future::ready(0))),
        ports: Vec::new(),
        holds: Default::default(),
        loopback_ports: false,
        life: tokio::sync::watch::Sender::new(Life::default()),
    };
    let mut settings = snapshot::Settings { notice: false, ..Default::default() };
    settings.notify.folder = folder.0.join("run");
    let lifecycle = snapshot::start(settings, around, &tasks);
    let root = folder.0.clone();
    let metadata = service.map(|endpoint| {
        let (gate, environment) = (Arc::clone(&gate), Arc::clone(&environment));
        Metadata::start(endpoint, root.clone(), gate, environment, Lives::always(), tasks.clone())
    });
    let defaults: Arc<Defaults> = Arc::default();
    let shared = Shared {
        gate,
        memory: Memory::recall(None, Arc::clone(&defaults), Arc::clone(&environment)),
        defaults,
        services: Services::new(&root, Arc::clone(&environment), tasks.clone()),
        environment,
        metadata,
        authorities: Authorities::new(&root, tasks.clone()),
        mounts: Mounts::new(tasks),
    };
    Guest { init: Init { shared: Arc::new(shared), lifecycle, latest: tokio::sync::Mutex::default() }, folder }
}

impl Guest {
    async fn post(&self, body: &str) -> u16 {
        let request = Request::parse(body.as_bytes()).unwrap();
        self.init.attempt(request, Instant::now()).await.status().as_u16()
    }
}

#[tokio::test]
async fn without_a_metadata_service_a_token_that_is_set_is_confirmed_and_never_replaced() {
    let guest = guest("init-token", None);
    assert!(!guest.init.shared.gate.is_initialised());
    assert_eq!(guest.post(r#"{"accessToken":"A"}"#).await, 204);
    assert_eq!(guest.post(r#"{"accessToken":"A","envVars":{"X":"1"}}"#).await, 204);
    assert_eq!(guest.post(r#"{"accessToken":"B","envVars":{}}"#).await, 401);
    assert_eq!(guest.post("{}").await, 401);
    assert_eq!(guest.init.shared.environment.all().len(), 1);
    assert!(guest.init.shared.gate.is_initialised());
}

#[tokio::test]
async fn a_guest_is_not_set_up_by_a_host_whose_certificates_cannot_be_installed() {
    let guest = guest("init-ca", None);
    assert_eq!(guest.post(r#"{"caBundle":"A","envVars":{"X":"1"}}"#).await, 400);
    assert_eq!(guest.init.shared.environment.all()["X"], "1");
    assert!(!guest.init.shared.gate.is_initialised());
    let bundle = guest.folder.0.join("etc/ssl/certs/ca-certificates.crt");
    std::fs::create_dir_all(bundle.parent().unwrap()).unwrap();
    std::fs::write(&bundle, "").unwrap();
    assert_eq!(guest.post(r#"{"caBundle":"A"}"#).await, 204);
    assert_eq!(std::fs::read_to_string(bundle).unwrap(), "A\n");
    assert!(guest.init.shared.gate.is_initialised());
}

#[tokio::test]
async fn a_volume_that_cannot_be_meant_is_refused_after_the_rest_was_applied() {
    let guest = guest("init-volume", None);
    let body = r#"{"volumeMounts":[{"path":"relative","nfs_target":"127.0.0.1:/v"}],"envVars":{"X":"1"}}"#;
    assert_eq!(guest.post(body).await, 400);
    assert_eq!(guest.init.shared.environment.all()["X"], "1");
    assert!(!guest.init.shared.gate.is_initialised());
    let older = r#"{"timestamp":"2026-01-01T00:00:00Z"}"#;
    *guest.init.latest.lock().await = Duration::from_secs(1 << 40);
    assert_eq!(guest.post(&older.replace('}', r#","volumeMounts":[{"path":"x"}],"caBundle":"A"}"#)).await, 204);
}

#[tokio::test]
async fn a_metadata_service_that_is_not_there_lets_the_first_host_in_and_no_other() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let guest = guest("init-nobody", Some(Endpoint(nobody)));
    assert_eq!(guest.post(r#"{"accessToken":"A"}"#).await, 204);
    assert_eq!(guest.post(r#"{"accessToken":"B"}"#).await, 401);
    assert_eq!(guest.post("").await, 401);
    assert_eq!(guest.post(r#"{"accessToken":"A"}"#).await, 204);
}
