//! Whether the guest is in use, through the built daemon.
//!
//! Other tests make connections on this machine meanwhile, so what its own servers do is ignored here; the rules for
//! that are tested in `activity::judge`, the look in `activity::ports`, in a network of its own.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use thawd::proto::thawd::v1::activity_client::ActivityClient;
use thawd::proto::thawd::v1::{self as pb};

use crate::support::connect::{Program, Stream, call, run};
use crate::support::http::{Answer, Connection, get, request};
use crate::support::{Daemon, PATIENCE, wait_until};

/// A window that is short for a test and long for a machine that is busy.
const WINDOW: u64 = 600;

fn activity(daemon: &Daemon, method: &str, message: &Value) -> Answer {
    call(daemon.address, &format!("thawd.v1.Activity/{method}"), message)
}

fn state(daemon: &Daemon) -> Value {
    let answer = activity(daemon, "Get", &json!({}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["state"].clone()
}

/// What a host asks that does not care about other tests' connections.
fn question(ignore: &[&str]) -> Value {
    let ignore = [ignore, &["inbound", "outbound"]].concat();
    json!({"idleForMs": WINDOW, "ignore": ignore})
}

/// Waits until idle, and gives the answer and how long it took.
fn wait(daemon: &Daemon, ignore: &[&str]) -> (Value, Duration) {
    let began = Instant::now();
    let answer = activity(daemon, "Wait", &question(ignore));
    assert_eq!(answer.status, 200, "{}", answer.text());
    (answer.json(), began.elapsed())
}

/// Begins to wait and does not read the answer.
fn pending(daemon: &Daemon, message: &Value) -> Connection {
    let mut connection = Connection::open(daemon.address);
    let headers = [("content-type", "application/json")];
    connection.request("POST", "/thawd.v1.Activity/Wait", &headers, message.to_string().as_bytes());
    connection
}

fn is_answered(connection: &Connection) -> bool {
    connection.stream().set_nonblocking(true).unwrap();
    let peeked = connection.stream().peek(&mut [0]);
    connection.stream().set_nonblocking(false).unwrap();
    peeked.is_ok()
}

fn number(value: &Value) -> u64 {
    value.as_str().map_or(0, |text| text.parse().unwrap())
}

fn signals(state: &Value) -> Vec<String> {
    let why = state["why"].as_array().cloned().unwrap_or_default();
    why.iter().map(|reason| reason["signal"].as_str().unwrap().to_owned()).collect()
}

fn hold(daemon: &Daemon, reason: &str, ttl: u64) -> u64 {
    let answer = activity(daemon, "Hold", &json!({"reason": reason, "ttlMs": ttl}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    number(&answer.json()["id"])
}

#[test]
fn everything_is_told_about_a_guest() {
    let daemon = Daemon::start();
    let state = state(&daemon);
    assert_eq!(state["verdict"], "VERDICT_ACTIVE", "it has just been started: {state}");
    assert!(signals(&state).contains(&"resume".to_owned()), "{state}");
    let now = Duration::from_nanos(number(&state["nowUnixNs"]));
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(clock.abs_diff(now) < PATIENCE, "{state}");
    assert!(number(&state["runningMs"]) > 0 && state["cpu"].is_object() && state["open"].is_object(), "{state}");
    assert!(state["last"]["resumeMsAgo"].is_string() && state["last"].get("rpcMsAgo").is_none(), "{state}");
}

#[test]
fn a_wait_returns_when_nothing_has_happened_for_the_window() {
    let daemon = Daemon::start();
    run(daemon.address, "echo hello");
    let (answer, took) = wait(&daemon, &[]);
    assert_eq!((&answer["reached"], &answer["state"]["verdict"]), (&json!(true), &json!("VERDICT_IDLE")), "{answer}");
    assert!(number(&answer["state"]["idleForMs"]) >= WINDOW && took < PATIENCE, "{answer} after {took:?}");
    assert!(took >= Duration::from_millis(WINDOW - 100), "{took:?}");
    let again = wait(&daemon, &[]).1;
    assert!(again < Duration::from_millis(WINDOW), "it is idle already: {again:?}");
}

#[test]
fn a_wait_outlives_activity_and_counts_from_the_last() {
    let daemon = Daemon::start();
    let mut program = Program::shell(daemon.address, "for i in 1 2 3 4 5; do echo $i; sleep 0.3; done");
    let mut waiting = pending(&daemon, &question(&[]));
    assert_eq!(program.exit_code(), 0);
    let ended = Instant::now();
    assert!(!is_answered(&waiting));
    let answer = waiting.answer().unwrap().json();
    assert_eq!(answer["reached"], true, "{answer}");
    assert!(ended.elapsed() >= Duration::from_millis(WINDOW - 100), "{:?}", ended.elapsed());
}

#[test]
fn health_metrics_and_our_own_calls_are_no_activity() {
    let daemon = Daemon::start();
    wait(&daemon, &[]);
    let before = number(&wait(&daemon, &[]).0["state"]["idleForMs"]);
    for _ in 0..20 {
        assert_eq!(get(daemon.address, "/health").status, 204);
        assert_eq!(get(daemon.address, "/metrics").status, 200);
        assert_eq!(call(daemon.address, "thawd.v1.Lifecycle/Status", &json!({})).status, 200);
        assert_eq!(request(daemon.address, "POST", "/init", &[], b"{}").status, 204);
        state(&daemon);
    }
    let answer = wait(&daemon, &[]).0;
    assert!(number(&answer["state"]["idleForMs"]) >= before, "{answer} after {before}");
    assert!(answer["state"]["last"].get("rpcMsAgo").is_none(), "{answer}");
}

#[test]
fn strangers_keep_nobody_awake() {
    let daemon = Daemon::start();
    let init = json!({"accessToken": "secret"}).to_string();
    assert_eq!(request(daemon.address, "POST", "/init", &[], init.as_bytes()).status, 204);
    assert_eq!(call(daemon.address, "process.Process/List", &json!({})).status, 401);
    assert_eq!(get(daemon.address, "/files?path=/etc/hostname").status, 401);
    let known = [("content-type", "application/json"), ("x-access-token", "secret")];
    let answer = request(daemon.address, "POST", "/thawd.v1.Activity/Get", &known, b"{}");
    let state = answer.json()["state"].clone();
    assert!(state["last"].get("rpcMsAgo").is_none() && state["open"] == json!({}), "{state}");
}

#[test]
fn what_is_done_through_the_agent_leaves_its_stamp() {
    let daemon = Daemon::start();
    let stamps = |daemon: &Daemon| {
        let last = state(daemon)["last"].clone();
        ["rpcMsAgo", "stdinMsAgo", "outputMsAgo", "fileWriteMsAgo", "ttyKeyMsAgo", "touchMsAgo"]
            .into_iter()
            .filter(|name| last.get(name).is_some())
            .collect::<Vec<_>>()
    };
    let mut cat = Program::start(
        daemon.address,
        &[],
        &json!({"process": {"cmd": "cat", "args": []}, "stdin": true, "tag": "cat"}),
    );
    assert_eq!(stamps(&daemon), ["rpcMsAgo"]);
    let fed = json!({"process": {"tag": "cat"}, "input": {"stdin": "aGkK"}});
    assert_eq!(call(daemon.address, "process.Process/SendInput", &fed).status, 200);
    cat.read_until("hi");
    assert_eq!(stamps(&daemon), ["rpcMsAgo", "stdinMsAgo", "outputMsAgo"]);
    let target = format!("/files?path={}/new", daemon.folder.display());
    let raw = [("content-type", "application/octet-stream")];
    assert_eq!(request(daemon.address, "POST", &target, &raw, b"text").status, 200);
    assert_eq!(stamps(&daemon), ["rpcMsAgo", "stdinMsAgo", "outputMsAgo", "fileWriteMsAgo"]);
    let terminal =
        json!({"process": {"cmd": "cat", "args": []}, "pty": {"size": {"cols": 80, "rows": 24}}, "tag": "t"});
    let mut terminal = Program::start(daemon.address, &[], &terminal);
    let key = json!({"process": {"tag": "t"}, "input": {"pty": "eA=="}});
    assert_eq!(call(daemon.address, "process.Process/SendInput", &key).status, 200);
    terminal.read_until("x");
    assert_eq!(activity(&daemon, "Touch", &json!({})).status, 200);
    assert_eq!(stamps(&daemon).len(), 6);
}

#[test]
fn what_is_open_is_counted_and_the_host_says_what_of_it_counts() {
    let daemon = Daemon::start();
    let followed = Program::shell(daemon.address, "echo ready; sleep 1000");
    let terminal = json!({"process": {"cmd": "cat", "args": []}, "pty": {"size": {"cols": 80, "rows": 24}}});
    let terminal = Program::start(daemon.address, &[], &terminal);
    let left = Program::shell(daemon.address, "sleep 1001");
    drop(left);
    let open = || state(&daemon)["open"].clone();
    wait_until("the third has no reader", || open()["backgroundCommands"] == 1);
    assert_eq!(open(), json!({"streams": 2, "ptys": 1, "foregroundCommands": 1, "backgroundCommands": 1}),);
    let ignore = ["streams", "ptys", "foreground", "background"];
    for word in ignore {
        let others: Vec<_> = ignore.into_iter().filter(|other| *other != word).collect();
        let mut message = question(&others);
        message["timeoutMs"] = json!(WINDOW * 2);
        let answer = activity(&daemon, "Wait", &message).json();
        let state = &answer["state"];
        assert_eq!((answer.get("reached"), &state["verdict"]), (None, &json!("VERDICT_QUIET")), "{word}: {answer}");
        assert_eq!(signals(state), [word]);
        message["until"] = json!("VERDICT_QUIET");
        assert_eq!(activity(&daemon, "Wait", &message).json()["reached"], true, "{word}");
    }
    assert_eq!(wait(&daemon, &ignore).0["reached"], true);
    drop((followed, terminal));
    wait_until("nobody follows", || open().get("streams").is_none());
    assert_eq!(open(), json!({"ptys": 1, "backgroundCommands": 2}));
}

#[test]
fn a_wait_is_told_of_the_end_of_what_it_waits_for() {
    let daemon = Daemon::start();
    let fifo = daemon.folder.join("go");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut program = Program::shell(daemon.address, &format!("read line < {}", fifo.display()));
    let waiting = pending(&daemon, &question(&[]));
    std::thread::sleep(Duration::from_millis(WINDOW * 3));
    assert!(!is_answered(&waiting), "a client waits for the program");
    std::fs::write(&fifo, "x\n").unwrap();
    program.finish();
    drop(program);
    wait_until("it is idle", || is_answered(&waiting));
}

#[test]
fn a_wait_whose_time_is_over_says_so() {
    let daemon = Daemon::start();
    hold(&daemon, "never mind", 60_000);
    let mut message = question(&[]);
    message["timeoutMs"] = json!(200);
    let answer = activity(&daemon, "Wait", &message).json();
    assert!(answer.get("reached").is_none(), "{answer}");
    assert_eq!(signals(&answer["state"])[..1], ["resume"]);
    let headers = [("content-type", "application/json"), ("connect-timeout-ms", "200")];
    let body = question(&[]).to_string();
    let answer = request(daemon.address, "POST", "/thawd.v1.Activity/Wait", &headers, body.as_bytes());
    assert_eq!(answer.json()["code"], "deadline_exceeded", "as of any call");
}

#[test]
fn a_hold_keeps_the_guest_awake_until_it_is_released_or_runs_out() {
    let daemon = Daemon::start();
    let id = hold(&daemon, "backup", 60_000);
    let waiting = pending(&daemon, &question(&[]));
    std::thread::sleep(Duration::from_millis(WINDOW * 2));
    assert!(!is_answered(&waiting));
    let held = state(&daemon);
    assert_eq!(held["holds"][0]["reason"], "backup", "{held}");
    assert!(signals(&held).contains(&"hold".to_owned()) && held.get("idleForMs").is_none(), "{held}");
    assert_eq!(activity(&daemon, "Release", &json!({"id": id.to_string()})).status, 200);
    wait_until("it is idle", || is_answered(&waiting));

    hold(&daemon, "short", 2 * WINDOW);
    let (answer, took) = wait(&daemon, &[]);
    assert!(took >= Duration::from_millis(3 * WINDOW - 200), "the time of the hold and a window: {took:?}");
    assert!(answer["state"].get("holds").is_none(), "{answer}");
}

#[test]
fn a_renewed_hold_lasts_longer() {
    let daemon = Daemon::start();
    let id = hold(&daemon, "lease", 1000);
    let renewed = activity(&daemon, "Hold", &json!({"id": id.to_string(), "ttlMs": 60_000})).json();
    assert_eq!(number(&renewed["id"]), id);
    assert!(number(&state(&daemon)["holds"][0]["ttlMs"]) > 50_000);
}

#[test]
fn what_cannot_be_meant_is_refused_with_a_code() {
    let daemon = Daemon::start();
    for (method, message, code) in [
        ("Wait", json!({}), "invalid_argument"),
        ("Wait", json!({"idleForMs": 99}), "invalid_argument"),
        ("Wait", json!({"idleForMs": 86_400_001}), "invalid_argument"),
        ("Wait", json!({"idleForMs": 1000, "ignore": ["everything"]}), "invalid_argument"),
        ("Wait", json!({"idleForMs": 1000, "cpuBelow": -1}), "invalid_argument"),
        ("Wait", json!({"idleForMs": 1000, "cpuBelow": "NaN"}), "invalid_argument"),
        ("Wait", json!({"idleForMs": 1000, "until": "VERDICT_ACTIVE"}), "invalid_argument"),
        ("Wait", json!({"idleForMs": -1}), "invalid_argument"),
        ("Get", json!({"ignore": [""]}), "invalid_argument"),
        ("Get", json!({"idleForMs": 1}), "invalid_argument"),
        ("Hold", json!({"reason": "no time"}), "invalid_argument"),
        ("Hold", json!({"ttlMs": 86_400_001}), "invalid_argument"),
        ("Hold", json!({"ttlMs": 1000, "reason": "x".repeat(201)}), "invalid_argument"),
        ("Hold", json!({"ttlMs": 1000, "id": "7"}), "not_found"),
        ("Release", json!({"id": "7"}), "not_found"),
        ("Release", json!({}), "not_found"),
    ] {
        let answer = activity(&daemon, method, &message);
        assert_eq!(answer.json()["code"], code, "{method} {message}");
    }
    for _ in 0..256 {
        hold(&daemon, "", 60_000);
    }
    assert_eq!(activity(&daemon, "Hold", &json!({"ttlMs": 1000})).json()["code"], "resource_exhausted");
}

#[test]
fn processor_time_counts_if_the_host_says_so() {
    let daemon = Daemon::apart(&[]);
    let ignore = ["inbound", "outbound", "foreground", "background", "streams"];
    let spinning = Program::shell(daemon.address, "while :; do :; done");
    let asked = json!({"idleForMs": WINDOW, "ignore": ignore, "cpuBelow": 0.05, "timeoutMs": WINDOW * 4});
    let answer = activity(&daemon, "Wait", &asked).json();
    assert!(answer.get("reached").is_none() && signals(&answer["state"]) == ["cpu"], "{answer}");
    assert!(answer["state"]["cpu"]["cores"].as_f64().unwrap() > 0.05, "{answer}");
    assert_eq!(wait(&daemon, &ignore).0["reached"], true, "who does not ask is not told");
    let kill = json!({"process": {"pid": spinning.pid}, "signal": "SIGNAL_SIGKILL"});
    assert_eq!(call(daemon.address, "process.Process/SendSignal", &kill).status, 200);
    let asked = json!({"idleForMs": WINDOW, "ignore": ignore, "cpuBelow": 0.05});
    let answer = activity(&daemon, "Wait", &asked).json();
    assert_eq!(answer["reached"], true, "{answer}");
}

/// How often the one thread of the daemon has gone to sleep: a pending call that polls would show here.
fn sleeps(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{0}/task/{0}/status", daemon.pid())).unwrap();
    let lines = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
    lines.filter(|(kind, _)| *kind == "voluntary_").map(|(_, count)| count.trim().parse::<u64>().unwrap()).sum()
}

#[test]
fn a_pending_wait_wakes_nobody() {
    let daemon = Daemon::start();
    let program = Program::shell(daemon.address, "sleep 1000");
    hold(&daemon, "for long", 3_600_000);
    // One with something open whose end will be told, and one that only waits for time to pass.
    let told = pending(&daemon, &json!({"idleForMs": 100, "ignore": ["inbound", "outbound"]}));
    let timed =
        pending(&daemon, &json!({"idleForMs": 60_000, "ignore": ["inbound", "outbound", "streams", "foreground"]}));
    // What the requests themselves cost is over when this is answered, and with it the threads that did it.
    let settled = || {
        let before = sleeps(&daemon);
        std::thread::sleep(Duration::from_millis(300));
        before == sleeps(&daemon)
    };
    wait_until("the agent sleeps", settled);
    let before = sleeps(&daemon);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(sleeps(&daemon), before, "30 windows of the first have passed");
    assert!(!is_answered(&told) && !is_answered(&timed));
    drop(program);
}

#[test]
fn a_wait_ends_when_the_guest_is_about_to_be_frozen_and_holds_survive() {
    let daemon = Daemon::apart(&[]);
    hold(&daemon, "kept", 60_000);
    let mut waiting = pending(&daemon, &question(&[]));
    let freeze = call(daemon.address, "thawd.v1.Lifecycle/Freeze", &json!({"skipPresync": true}));
    assert_eq!(freeze.status, 200, "{}", freeze.text());
    assert_eq!(waiting.answer().unwrap().json()["code"], "unavailable");
    let frozen = state(&daemon);
    assert_eq!(frozen["holds"][0]["reason"], "kept", "told while frozen: {frozen}");
    let thaw = call(daemon.address, "thawd.v1.Lifecycle/Thaw", &json!({}));
    assert_eq!(thaw.status, 200, "{}", thaw.text());
    let woken = state(&daemon);
    assert_eq!((number(&woken["generation"]), &woken["holds"][0]["reason"]), (1, &json!("kept")), "{woken}");
    assert!(number(&woken["last"]["resumeMsAgo"]) < 20_000, "{woken}");
}

#[test]
fn a_program_without_the_token_keeps_the_guest_awake_by_the_socket() {
    let daemon = Daemon::start();
    let path = daemon.folder.join("run/lifecycle.sock");
    wait_until("the socket is there", || path.exists());
    let mut socket = UnixStream::connect(path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
    let mut say = |line: &Value| {
        socket.write_all(format!("{line}\n").as_bytes()).unwrap();
        let heard = lines.next().unwrap().unwrap();
        serde_json::from_str::<Value>(&heard).unwrap()
    };
    assert_eq!(say(&json!({"touch": true}))["event"], "hello", "a touch has no answer");
    let held = say(&json!({"hold": "training", "ttl_ms": 60_000}));
    assert_eq!(held["event"], "held", "{held}");
    let told = state(&daemon);
    assert!(told["last"]["touchMsAgo"].is_string(), "{told}");
    assert_eq!(told["holds"][0]["reason"], "training", "{told}");
    assert_eq!(told["holds"][0]["holder"], format!("program {}", std::process::id()), "{told}");
    assert_eq!(say(&json!({"renew": held["hold"], "ttl_ms": 90_000}))["event"], "held");
    assert_eq!(say(&json!({"hold": "no time"}))["event"], "refused");
    assert_eq!(say(&json!({"release": 99}))["event"], "refused");
    assert_eq!(say(&json!({"release": held["hold"]})), json!({"event": "released", "hold": held["hold"]}));
    assert_eq!(say(&json!({"hold": "again", "ttl_ms": 60_000}))["event"], "held");
    drop((lines, socket));
    wait_until("the hold ends with its connection", || state(&daemon).get("holds").is_none());
}

#[test]
fn a_stream_that_ends_is_activity_at_its_end() {
    let daemon = Daemon::start();
    let mut watch = Stream::open(
        daemon.address,
        "filesystem.Filesystem/WatchDir",
        &[],
        &json!({"path": daemon.folder.display().to_string()}),
    );
    assert!(watch.next().is_some(), "{:?}", watch.end);
    wait_until("it has been open for a while", || number(&state(&daemon)["last"]["rpcMsAgo"]) > 300);
    assert_eq!(state(&daemon)["open"]["streams"], 1);
    drop(watch);
    wait_until("it is closed", || state(&daemon)["open"] == json!({}));
    assert!(number(&state(&daemon)["last"]["rpcMsAgo"]) < 300);
}

#[tokio::test]
async fn the_service_speaks_grpc() {
    let daemon = Daemon::start();
    let channel = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let mut client =
        ActivityClient::with_origin(channel, format!("http://{}", daemon.address).parse::<http::Uri>().unwrap());
    let held = pb::HoldRequest { reason: "over gRPC".into(), ttl_ms: 60_000, id: 0 };
    let id = client.hold(held).await.unwrap().into_inner().id;
    let state = client.get(pb::GetRequest::default()).await.unwrap().into_inner().state.unwrap();
    assert_eq!((state.verdict(), state.holds[0].reason.as_str()), (pb::Verdict::Active, "over gRPC"));
    client.touch(pb::TouchRequest {}).await.unwrap();
    client.release(pb::ReleaseRequest { id }).await.unwrap();
    assert_eq!(client.release(pb::ReleaseRequest { id }).await.unwrap_err().code(), tonic::Code::NotFound);
    let wait = pb::WaitRequest {
        idle_for_ms: 600,
        ignore: vec!["inbound".into(), "outbound".into()],
        ..pb::WaitRequest::default()
    };
    let waited = client.wait(wait).await.unwrap().into_inner();
    assert!(waited.reached && waited.state.unwrap().verdict() == pb::Verdict::Idle);
    let wrong = pb::WaitRequest { idle_for_ms: 1, ..pb::WaitRequest::default() };
    assert_eq!(client.wait(wrong).await.unwrap_err().code(), tonic::Code::InvalidArgument);
}
