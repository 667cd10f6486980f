//! Freezing and thawing through the built daemon, without stopping a machine: what hosts with envd's protocol call,
//! our own service, and what happens when things go wrong in between.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::connect::{Program, Stream, call, run, shell};
use crate::support::http::{Connection, request};
use crate::support::{Daemon, is_alive, wait_until};

/// Leaves out write-back: the disk of the machine that tests is no part of what is tested.
fn quick() -> Value {
    json!({"skipPresync": true})
}

fn lifecycle(daemon: &Daemon, method: &str, message: &Value) -> Value {
    let answer = call(daemon.address, &format!("thawd.v1.Lifecycle/{method}"), message);
    answer.json()
}

fn phase(daemon: &Daemon) -> String {
    lifecycle(daemon, "Status", &json!({}))["phase"].as_str().unwrap().to_owned()
}

fn post(daemon: &Daemon, target: &str) -> crate::support::http::Answer {
    request(daemon.address, "POST", target, &[], b"")
}

/// A program that counts in a file; what it has counted is read from outside.
struct Counter {
    file: PathBuf,
    program: Program,
}

impl Counter {
    fn start(daemon: &Daemon) -> Self {
        let file = daemon.folder.join("count");
        let script = format!("i=0; while :; do i=$((i+1)); echo $i > {}; sleep 0.01; done", file.display());
        let counter = Self { program: Program::shell(daemon.address, &script), file };
        wait_until("it counts", || counter.value() > 2);
        counter
    }

    fn value(&self) -> u64 {
        std::fs::read_to_string(&self.file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    fn stands_still(&self) -> bool {
        // The file may be empty for a moment, and stay so.
        let before = std::fs::read(&self.file).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        before == std::fs::read(&self.file).unwrap()
    }

    #[track_caller]
    fn goes_on(&self) {
        let before = self.value();
        wait_until("it counts again", || self.value() > before + 2);
    }
}

/// Puts a hook where the daemon looks for it.
fn hook(daemon: &Daemon, name: &str, script: &str) {
    let folder = daemon.folder.join("hooks");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
    let file = folder.join(name);
    std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn a_host_stops_the_workload_and_lets_it_go() {
    let daemon = Daemon::apart(&[]);
    let counter = Counter::start(&daemon);
    let answer = post(&daemon, "/freeze?maxWaitMs=5000");
    let counts = answer.json();
    assert_eq!(answer.status, 200);
    assert_eq!((&counts["mode"], &counts["requested"], &counts["frozen"]), (&json!("legacy"), &json!(2), &json!(2)));
    for name in ["visited", "allowlisted", "preFrozen", "notFrozen", "failed", "unobservable", "sweepMs", "waitMs"] {
        assert!(counts[name].is_u64(), "{name} in {counts}");
    }
    assert_eq!(counts["truncated"], json!(false));
    assert!(counter.stands_still());
    assert_eq!(post(&daemon, "/freeze").status, 204, "once more");
    assert_eq!(post(&daemon, "/unfreeze").status, 204);
    counter.goes_on();
    assert_eq!(post(&daemon, "/unfreeze").status, 204, "once more");
    for query in ["maxWaitMs=soon", "maxCgroups=many"] {
        assert_eq!(post(&daemon, &format!("/freeze?{query}")).status, 400, "{query}");
    }
    assert_eq!(request(daemon.address, "GET", "/freeze", &[], b"").status, 405);
}

#[test]
fn a_stream_lives_through_a_freeze_that_is_undone() {
    let daemon = Daemon::apart(&[]);
    let mut program =
        Program::shell(daemon.address, "i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo $i; sleep 0.01; done");
    program.read_until("5\n");
    assert_eq!(post(&daemon, "/freeze?maxWaitMs=5000").status, 200);
    assert_eq!(post(&daemon, "/unfreeze").status, 204);
    assert_eq!(program.exit_code(), 0);
    let want: String = (1..=100).map(|number| format!("{number}\n")).collect();
    assert_eq!(program.text(), want);
}

#[test]
fn while_a_host_holds_the_workload_only_programs_wait() {
    let daemon = Daemon::apart(&[]);
    assert_eq!(post(&daemon, "/freeze?maxWaitMs=5000").status, 200);
    let file = format!("/files?path={}", daemon.folder.join("log").display());
    assert_eq!(request(daemon.address, "GET", &file, &[], b"").status, 200);
    let mut system = json!({"process": {"cmd": "echo", "args": ["clean"]}, "stdin": false});
    system["tag"] = json!("_system");
    let mut cleaning = Program::start(daemon.address, &[], &system);
    assert_eq!((cleaning.exit_code(), cleaning.text().as_str()), (0, "clean\n"));
    let address = daemon.address;
    let waiting = std::thread::spawn(move || run(address, "echo late").text());
    std::thread::sleep(Duration::from_millis(300));
    assert!(!waiting.is_finished());
    assert_eq!(post(&daemon, "/unfreeze").status, 204);
    assert_eq!(waiting.join().unwrap(), "late\n");
}

#[test]
fn init_lets_the_workload_go_whatever_it_brings() {
    let daemon = Daemon::apart(&[]);
    let counter = Counter::start(&daemon);
    let init = |body: &str| request(daemon.address, "POST", "/init", &[], body.as_bytes());
    // The true time: a host's time stamp sets the clock of the machine that runs this.
    let now = std::time::SystemTime::now();
    let stamp = |time: std::time::SystemTime| prost_types::Timestamp::from(time).to_string();
    assert_eq!(init(&format!(r#"{{"timestamp":"{}","envVars":{{"A":"1"}}}}"#, stamp(now))).status, 204);
    let older = format!(r#"{{"timestamp":"{}","envVars":{{"A":"2"}}}}"#, stamp(now - Duration::from_secs(1)));
    for body in ["{}", &older] {
        assert_eq!(post(&daemon, "/freeze?maxWaitMs=5000").status, 200);
        assert!(counter.stands_still());
        assert_eq!(init("{").status, 400);
        assert!(counter.stands_still(), "a broken request lets nothing go");
        let answer = init(body);
        assert_eq!((answer.status, answer.header("x-envd-version")), (204, "0.6.13"));
        counter.goes_on();
    }
    let variables = request(daemon.address, "GET", "/envs", &[], b"").json();
    assert_eq!(variables["A"], json!("1"), "an older request changes nothing");
}

#[test]
fn a_command_timeout_does_not_run_while_the_workload_stands_still() {
    let daemon = Daemon::apart(&[]);
    let headers = [("connect-timeout-ms", "1500")];
    let mut program = Program::start(daemon.address, &headers, &shell("echo here; sleep 1; echo done"));
    program.read_until("here");
    assert_eq!(post(&daemon, "/freeze?maxWaitMs=5000").status, 200);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(post(&daemon, "/unfreeze").status, 204);
    assert_eq!((program.exit_code(), program.text().as_str()), (0, "here\ndone\n"));
}

#[test]
fn own_memory_can_be_collapsed() {
    let daemon = Daemon::start();
    let answer = post(&daemon, "/collapse");
    assert_eq!(answer.status, 200);
    for name in ["regions", "chunks", "collapsed", "alreadyHuge", "skipped", "elapsedMs"] {
        assert!(answer.json()[name].is_u64(), "{name}");
    }
}

#[test]
fn a_whole_freeze_parts_clients_and_no_byte_is_lost_to_one_that_comes_back() {
    let daemon = Daemon::apart(&[]);
    let script = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo $i; sleep 0.005; done";
    let mut program = Program::shell(daemon.address, script);
    let mut text = String::new();
    for round in 0..5u64 {
        program.read_until(&format!("{}\n", 20 + round * 50));
        let frozen = lifecycle(&daemon, "Freeze", &quick());
        assert!(frozen["report"]["totalUs"].is_string(), "{frozen}");
        while program.step() {}
        assert_eq!(program.stream.error_code(), Some("unavailable"));
        text += &program.text();
        let told = &program.stream.end.as_ref().unwrap()["metadata"]["thawd-output-offset"][0];
        assert_eq!(told.as_str().unwrap().parse::<usize>().unwrap(), text.len());
        assert_eq!(phase(&daemon), "PHASE_FROZEN");
        let thawed = lifecycle(&daemon, "Thaw", &json!({}));
        assert_eq!(thawed["generation"], json!((round + 1).to_string()), "{thawed}");
        program = Program::connect(daemon.address, &[], &json!({"pid": program.pid}));
    }
    assert_eq!(program.exit_code(), 0);
    text += &program.text();
    let want: String = (1..=300).map(|number| format!("{number}\n")).collect();
    assert_eq!(text, want);
}

#[test]
fn a_freeze_can_be_asked_for_twice_and_a_thaw_is_for_one_freeze() {
    let daemon = Daemon::apart(&[]);
    let counter = Counter::start(&daemon);
    let first = lifecycle(&daemon, "Freeze", &quick());
    assert_eq!(lifecycle(&daemon, "Freeze", &quick()), first);
    assert!(counter.stands_still());
    let stale = lifecycle(&daemon, "Thaw", &json!({"generation": "7"}));
    assert_eq!(stale["code"], json!("failed_precondition"), "{stale}");
    assert!(counter.stands_still());
    assert_eq!(lifecycle(&daemon, "Thaw", &json!({}))["generation"], json!("1"));
    counter.goes_on();
    lifecycle(&daemon, "Freeze", &quick());
    let thawed = lifecycle(&daemon, "Thaw", &json!({"generation": "1"}));
    let again = lifecycle(&daemon, "Thaw", &json!({"generation": "1"}));
    for part in ["generation", "report"] {
        assert_eq!(again[part], thawed[part], "asked for again");
    }
    assert_eq!(lifecycle(&daemon, "Thaw", &json!({"identity": {"machineId": "x"}}))["code"], json!("invalid_argument"));
}

#[test]
fn requests_that_come_while_frozen_are_served_after_the_thaw() {
    let daemon = Daemon::apart(&[]);
    lifecycle(&daemon, "Freeze", &quick());
    let address = daemon.address;
    let file = format!("/files?path={}", daemon.folder.join("log").display());
    let waiting =
        std::thread::spawn(move || (request(address, "GET", &file, &[], b"").status, run(address, "echo a").text()));
    assert_eq!(request(address, "GET", "/health", &[], b"").status, 204);
    std::thread::sleep(Duration::from_millis(200));
    assert!(!waiting.is_finished());
    lifecycle(&daemon, "Thaw", &json!({}));
    assert_eq!(waiting.join().unwrap(), (200, String::from("a\n")));
}

#[test]
fn hooks_are_called_around_a_freeze_and_can_refuse_it() {
    let daemon = Daemon::apart(&[]);
    let counter = Counter::start(&daemon);
    let told = daemon.folder.join("told");
    hook(&daemon, "10-tell", &format!("echo $1 $THAWD_GENERATION >> {}", told.display()));
    let frozen = lifecycle(&daemon, "Freeze", &quick());
    assert_eq!(frozen["report"]["hooks"][0]["name"], json!("10-tell"), "{frozen}");
    lifecycle(&daemon, "Thaw", &json!({}));
    assert_eq!(std::fs::read_to_string(&told).unwrap(), "freeze 0\nthaw 1\n");
    hook(&daemon, "20-refuse", "[ $1 != freeze ]");
    let refused = lifecycle(&daemon, "Freeze", &json!({"skipPresync": true, "abortOnHook": true}));
    assert_eq!(refused["code"], json!("aborted"), "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("20-refuse"));
    assert_eq!(phase(&daemon), "PHASE_RUNNING");
    counter.goes_on();
    assert!(
        std::fs::read_to_string(&told).unwrap().ends_with("freeze 1\nthaw 1\n"),
        "those that were told are told again"
    );
    assert!(
        lifecycle(&daemon, "Freeze", &quick())["report"].is_object(),
        "it is only reported when not asked to abort"
    );
    lifecycle(&daemon, "Thaw", &json!({}));
}

#[test]
fn a_freeze_can_be_cancelled_in_the_middle() {
    let daemon = Daemon::apart(&[]);
    let counter = Counter::start(&daemon);
    hook(&daemon, "hang", "[ $1 = freeze ] && exec sleep 60; true");
    let request = json!({"skipPresync": true, "hooksMs": 60000, "deadlineMs": 60000});
    assert_eq!(lifecycle(&daemon, "Cancel", &json!({})), json!({}), "nothing to cancel");
    let address = daemon.address;
    let freezing = std::thread::spawn(move || call(address, "thawd.v1.Lifecycle/Freeze", &request).json());
    wait_until("the freeze is on its way", || phase(&daemon) == "PHASE_FREEZING");
    let refused = call(address, "filesystem.Filesystem/Stat", &json!({"path": "/"})).json();
    assert_eq!(refused["code"], json!("unavailable"), "{refused}");
    assert_eq!(lifecycle(&daemon, "Cancel", &json!({}))["cancelled"], json!(true));
    assert_eq!(freezing.join().unwrap()["code"], json!("aborted"));
    assert_eq!(phase(&daemon), "PHASE_RUNNING");
    counter.goes_on();
}

#[test]
fn a_caller_that_leaves_cancels_its_freeze() {
    let daemon = Daemon::apart(&[]);
    let counter = Counter::start(&daemon);
    hook(&daemon, "hang", "[ $1 = freeze ] && exec sleep 60; true");
    let mut connection = Connection::open(daemon.address);
    let body = json!({"hooksMs": 60000, "deadlineMs": 60000}).to_string();
    connection.request("POST", "/thawd.v1.Lifecycle/Freeze", &[("content-type", "application/json")], body.as_bytes());
    wait_until("the freeze is on its way", || phase(&daemon) == "PHASE_FREEZING");
    drop(connection);
    wait_until("it is undone", || phase(&daemon) == "PHASE_RUNNING");
    counter.goes_on();
}

#[test]
fn a_freeze_that_nobody_ends_ends_by_itself() {
    let daemon = Daemon::apart(&[]);
    let counter = Counter::start(&daemon);
    lifecycle(&daemon, "Freeze", &json!({"skipPresync": true, "leaseMs": 700}));
    assert!(counter.stands_still());
    wait_until("the lease is over", || phase(&daemon) == "PHASE_RUNNING");
    counter.goes_on();
    assert_eq!(lifecycle(&daemon, "Status", &json!({}))["generation"], Value::Null, "no new life");
}

#[test]
fn programs_run_on_when_the_agent_dies_while_they_stand_still() {
    let mut daemon = Daemon::apart(&[]);
    let counter = Counter::start(&daemon);
    lifecycle(&daemon, "Freeze", &quick());
    assert!(counter.stands_still());
    let began = Instant::now();
    daemon.kill();
    counter.goes_on();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(is_alive(counter.program.pid));
}

#[test]
fn a_successor_lets_go_what_agent_and_guard_left_frozen() {
    let mut daemon = Daemon::apart(&[]);
    let counter = Counter::start(&daemon);
    lifecycle(&daemon, "Freeze", &quick());
    let children = format!("/proc/{0}/task/{0}/children", daemon.pid());
    let children = std::fs::read_to_string(children).unwrap();
    let guards: Vec<i32> = children.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    // The counter is the other child; it stands still.
    for pid in guards.into_iter().filter(|&pid| pid.cast_unsigned() != counter.program.pid) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
    daemon.kill();
    assert!(counter.stands_still());
    let daemon = daemon.again();
    counter.goes_on();
    assert_eq!(phase(&daemon), "PHASE_RUNNING");
}

#[test]
fn programs_that_listen_are_told() {
    let daemon = Daemon::apart(&[]);
    let path = daemon.folder.join("run/lifecycle.sock");
    wait_until("the socket is there", || UnixStream::connect(&path).is_ok());
    let socket = UnixStream::connect(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut lines = BufReader::new(socket.try_clone().unwrap());
    let mut next = || {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        serde_json::from_str::<Value>(&line).unwrap()
    };
    assert_eq!(next()["event"], json!("hello"));
    (&socket).write_all(b"{\"wait\":true}\n").unwrap();
    // The line has been read when the next connection is greeted.
    let mut hello = String::new();
    BufReader::new(UnixStream::connect(&path).unwrap()).read_line(&mut hello).unwrap();
    let address = daemon.address;
    let freezing = std::thread::spawn(move || call(address, "thawd.v1.Lifecycle/Freeze", &quick()).json());
    assert_eq!(next()["event"], json!("will_freeze"));
    (&socket).write_all(b"{\"ack\":0}\n").unwrap();
    let frozen = freezing.join().unwrap();
    assert!(frozen["report"]["hooks"][0]["name"].as_str().unwrap().starts_with("client"), "{frozen}");
    lifecycle(&daemon, "Thaw", &json!({}));
    let thawed = next();
    assert_eq!((&thawed["event"], &thawed["generation"]), (&json!("thawed"), &json!(1)), "{thawed}");
    let file = std::fs::read_to_string(daemon.folder.join("run/generation")).unwrap();
    assert!(file.starts_with("generation=1\n"), "{file}");
}

#[test]
fn the_life_of_the_guest_can_be_followed() {
    let daemon = Daemon::apart(&[]);
    let mut life = Stream::open(daemon.address, "thawd.v1.Lifecycle/Subscribe", &[], &json!({}));
    assert_eq!(life.next().unwrap()["phase"], json!("PHASE_RUNNING"));
    lifecycle(&daemon, "Freeze", &quick());
    assert_eq!(life.next().unwrap()["phase"], json!("PHASE_FREEZING"));
    while life.next().is_some() {}
    assert_eq!(life.error_code(), Some("unavailable"));
    lifecycle(&daemon, "Thaw", &json!({}));
    let plan = lifecycle(&daemon, "Plan", &json!({}));
    assert!(plan["estimatedSnapshotMib"].as_u64().unwrap() > 0, "{plan}");
    let capabilities = &lifecycle(&daemon, "Status", &json!({}))["capabilities"];
    assert_eq!(capabilities["cgroup_freeze"], json!(true), "{capabilities}");
}
