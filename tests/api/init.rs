//! What a host brings: through the built daemon, with a metadata service of our own and a guest in a folder.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha512};

use crate::support::http::{Answer, Connection, get, request};
use crate::support::{Daemon, wait_until};

/// Plays Firecracker's service: a session first, then the document.
struct Service {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Absent: 404.
    document: Mutex<Option<Value>>,
    /// Before the document is sent.
    delay: Mutex<Duration>,
    sessions: AtomicUsize,
    documents: AtomicUsize,
}

impl Service {
    fn start(document: Option<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { document: Mutex::new(document), ..State::default() });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || state.answer(stream));
            }
        });
        Self { address, state }
    }

    fn tell(&self, sandbox: &str, hash: &str) {
        *self.state.document.lock().unwrap() = Some(document(sandbox, hash));
    }

    fn delay(&self, delay: Duration) {
        *self.state.delay.lock().unwrap() = delay;
    }

    fn asked(&self) -> usize {
        self.state.documents.load(Ordering::SeqCst)
    }
}

impl State {
    fn answer(&self, mut stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let Some(line) = head.first().cloned() else { return };
        let has = |field: &str| head.iter().any(|line| line.eq_ignore_ascii_case(field));
        let body = match line.as_str() {
            "PUT /latest/api/token HTTP/1.1" if has("x-metadata-token-ttl-seconds: 60") => {
                Some(format!("session{}", self.sessions.fetch_add(1, Ordering::SeqCst)))
            }
            "GET / HTTP/1.1" if head.iter().any(|line| line.starts_with("X-metadata-token: session")) => {
                self.documents.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(*self.delay.lock().unwrap());
                self.document.lock().unwrap().as_ref().map(Value::to_string)
            }
            _ => None,
        };
        let (status, body) = body.map_or(("404 Not Found", String::new()), |body| ("200 OK", body));
        let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        // As Firecracker, it leaves closing to the client.
        let _ = lines.next();
    }
}

fn document(sandbox: &str, hash: &str) -> Value {
    json!({"instanceID": sandbox, "envID": "base", "address": "http://10.0.0.1/logs", "accessTokenHash": hash})
}

fn hash(token: &str) -> String {
    Sha512::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn asking(service: &Service) -> Daemon {
    Daemon::with(&["-isnotfc=false", "--mmds-url", &format!("http://{}", service.address)])
}

fn init(daemon: &Daemon, body: &Value) -> Answer {
    request(daemon.address, "POST", "/init", &[], body.to_string().as_bytes())
}

fn variable(daemon: &Daemon, name: &str) -> Value {
    get(daemon.address, "/envs").json()[name].clone()
}

/// Calls as a host does: 50 ms each, the next after 5 ms, until the first answer.
fn host_loop(daemon: &Daemon, body: &Value) -> (usize, Answer) {
    let mut answer = None;
    let mut attempts = 0;
    wait_until("a call to /init is answered", || {
        attempts += 1;
        let mut connection = Connection::open(daemon.address);
        connection.request("POST", "/init", &[], body.to_string().as_bytes());
        connection.stream().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        answer = connection.head();
        answer.is_some()
    });
    (attempts, answer.unwrap())
}

fn guest_file(daemon: &Daemon, path: &str) -> PathBuf {
    daemon.folder.join("guest").join(path)
}

fn write_guest_file(daemon: &Daemon, path: &str, text: &str) -> PathBuf {
    let path = guest_file(daemon, path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn programs_learn_from_the_metadata_service_which_sandbox_this_is() {
    let service = Service::start(None);
    let daemon = asking(&service);
    wait_until("the service was asked in vain", || service.asked() >= 2);
    assert_eq!(variable(&daemon, "E2B_SANDBOX"), "true");
    assert_eq!(variable(&daemon, "E2B_SANDBOX_ID"), Value::Null);
    service.tell("sb1", "");
    let marker = |name: &str| std::fs::read_to_string(guest_file(&daemon, &format!("run/e2b/{name}"))).ok();
    wait_until("the marker is there", || marker(".E2B_TEMPLATE_ID").as_deref() == Some("base"));
    wait_until("the other is there", || marker(".E2B_SANDBOX_ID").as_deref() == Some("sb1"));
    assert_eq!(marker(".E2B_SANDBOX").as_deref(), Some("true"));
    assert_eq!(variable(&daemon, "E2B_SANDBOX_ID"), "sb1");
    let asked = service.asked();
    // A copy has another name: the service is asked once more after /init.
    service.tell("sb2", "");
    assert_eq!(init(&daemon, &json!({"envVars": {"E2B_SANDBOX_ID": "lie"}})).status, 204);
    wait_until("the new name is known", || variable(&daemon, "E2B_SANDBOX_ID") == "sb2");
    wait_until("programs find it", || marker(".E2B_SANDBOX_ID").as_deref() == Some("sb2"));
    assert_eq!(service.asked(), asked + 1, "one question for the token, whose answer tells the rest");
}

#[test]
fn the_hash_of_the_metadata_service_says_who_may_set_the_token() {
    let service = Service::start(Some(document("sb", &hash("A"))));
    let daemon = asking(&service);
    let with = |token: &str| json!({"accessToken": token, "envVars": {"BY": token}});
    let refused = init(&daemon, &with("B"));
    assert_eq!((refused.status, refused.text().as_str()), (401, "access token validation failed"));
    assert_eq!(refused.header("x-envd-version"), "0.6.13");
    let reset = init(&daemon, &json!({}));
    assert_eq!((reset.status, reset.text().as_str()), (401, "access token reset not authorized"));
    assert_eq!(init(&daemon, &with("A")).status, 204);
    let token = [("x-access-token", "A")];
    let envs = || request(daemon.address, "GET", "/envs", &token, b"");
    assert_eq!(envs().json()["BY"], "A");
    // Confirmed without a question for it; the one afterwards is for the names.
    let asked = service.asked();
    assert_eq!(init(&daemon, &with("A")).status, 204);
    wait_until("the names were asked for", || service.asked() > asked);
    service.tell("sb", &hash("B"));
    assert_eq!(init(&daemon, &with("B")).status, 204);
    assert_eq!(envs().status, 401);
    service.tell("sb", &hash("other"));
    assert_eq!(init(&daemon, &json!({})).status, 401);
    service.tell("sb", &hash(""));
    assert_eq!(init(&daemon, &json!({})).status, 204);
    assert_eq!(envs().status, 200);
}

#[test]
fn a_slow_metadata_service_is_waited_for_over_many_short_calls() {
    let service = Service::start(Some(document("sb", &hash("A"))));
    service.delay(Duration::from_millis(150));
    let daemon = asking(&service);
    wait_until("the start has asked", || service.asked() == 1);
    let (attempts, answer) = host_loop(&daemon, &json!({"accessToken": "A"}));
    assert_eq!(answer.status, 204);
    assert!(attempts > 1, "{attempts}");
    let questions = service.asked() - 1;
    assert!(questions < attempts, "{questions} questions for {attempts} calls");
}

#[test]
fn an_agent_that_lost_its_token_stays_closed_to_strangers() {
    let service = Service::start(Some(document("sb", &hash("A"))));
    let daemon = asking(&service);
    wait_until("it is closed", || get(daemon.address, "/envs").status == 401);
    assert_eq!(get(daemon.address, "/files?path=/etc/hostname").status, 401);
    assert_eq!(get(daemon.address, "/files?path=/etc/hostname&signature=v1_x").status, 401);
    assert_eq!(get(daemon.address, "/health").status, 204);
    assert_eq!(request(daemon.address, "GET", "/envs", &[("x-access-token", "A")], b"").status, 200);
    assert_eq!(request(daemon.address, "GET", "/envs", &[("x-access-token", "B")], b"").status, 401);
}

#[test]
fn without_iptables_an_unreadable_service_is_asked_once_more_and_with_it_the_way_is_cleared() {
    let service = Service::start(None);
    let daemon = asking(&service);
    assert_eq!(init(&daemon, &json!({"accessToken": "A"})).status, 204);
    let log = daemon.folder.join("rules");
    let script = format!("#!/bin/sh\necho \"$@\" >> {}\n", log.display());
    let program = write_guest_file(&daemon, "usr/sbin/iptables", &script);
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(init(&daemon, &json!({"accessToken": "B"})).status, 401);
    let rules = std::fs::read_to_string(log).unwrap();
    assert_eq!(rules.lines().count() % 4, 0, "{rules}");
    assert!(rules.contains(&format!("-I OUTPUT 1 -d 127.0.0.1 -p tcp --dport {}", service.address.port())), "{rules}");
}

#[test]
fn a_daemon_outside_the_platform_asks_nobody() {
    let service = Service::start(Some(document("sb", &hash("A"))));
    let daemon = Daemon::with(&["--mmds-url", &format!("http://{}", service.address)]);
    assert_eq!(init(&daemon, &json!({"accessToken": "X"})).status, 204);
    assert_eq!(init(&daemon, &json!({"accessToken": "A"})).status, 401);
    assert_eq!(init(&daemon, &json!({"accessToken": "X"})).status, 204);
    assert_eq!(service.state.sessions.load(Ordering::SeqCst), 0);
}

#[test]
fn the_hosts_services_have_a_name_and_a_variable() {
    let daemon = Daemon::start();
    let hosts = write_guest_file(&daemon, "etc/hosts", "127.0.0.1 localhost # own\n9.9.9.9 events.e2b.local");
    for _ in 0..2 {
        assert_eq!(init(&daemon, &json!({"hyperloopIP": "10.11.0.1"})).status, 204);
        assert_eq!(variable(&daemon, "E2B_EVENTS_ADDRESS"), "http://10.11.0.1");
        let want = "127.0.0.1 localhost # own\n10.11.0.1 events.e2b.local\n";
        wait_until("the name is there", || std::fs::read_to_string(&hosts).unwrap() == want);
    }
}

#[test]
fn certificates_are_in_the_set_before_the_answer_and_once() {
    let daemon = Daemon::start();
    let missing = init(&daemon, &json!({"caBundle": "A", "envVars": {"X": "1"}}));
    assert_eq!((missing.status, missing.json()["code"].as_i64()), (400, Some(400)));
    assert!(missing.json()["message"].as_str().unwrap().contains("ca-certificates.crt"));
    assert_eq!(variable(&daemon, "X"), "1");
    let set = write_guest_file(&daemon, "etc/ssl/certs/ca-certificates.crt", "root");
    let address = daemon.address;
    let calls: Vec<_> = (0..4)
        .map(|_| std::thread::spawn(move || request(address, "POST", "/init", &[], br#"{"caBundle":"A\n"}"#).status))
        .collect();
    assert!(calls.into_iter().all(|call| call.join().unwrap() == 204));
    assert_eq!(std::fs::read_to_string(&set).unwrap(), "root\nA\n");
    assert_eq!(init(&daemon, &json!({"caBundle": "B"})).status, 204);
    assert_eq!(std::fs::read_to_string(&set).unwrap(), "root\nB\n");
    assert_eq!(init(&daemon, &json!({"caBundle": ""})).status, 204);
    assert_eq!(std::fs::read_to_string(&set).unwrap(), "root\nB\n");
    let source = guest_file(&daemon, "usr/local/share/ca-certificates/e2b-ca.crt");
    wait_until("the other file follows", || std::fs::read_to_string(&source).is_ok_and(|text| text == "B\n"));
    let folder = std::fs::read_dir(set.parent().unwrap()).unwrap();
    assert_eq!(folder.count(), 1, "nothing temporary stays");
}

#[test]
fn a_volume_that_cannot_be_mounted_is_told_in_one_sentence() {
    let daemon = Daemon::start();
    for (target, path, word) in
        [("nowhere", "/mnt", "HOST:/PATH"), ("127.0.0.1:/v", "relative", "absolute"), ("", "", "absolute")]
    {
        let answer =
            init(&daemon, &json!({"volumeMounts": [{"nfs_target": target, "path": path}], "lifecycleID": "x"}));
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, 400);
        assert!(message.contains(word), "{message}");
    }
}
