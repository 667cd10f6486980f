//! A host that speaks envd's protocol and nothing else, in the order in which E2B's orchestrator does.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use icebox::guest::Guest;
use icebox::snapshot::Silent;
use serde_json::{Value, json};

use super::life::{Counter, post, read, start_system, system, write};
use crate::support::connect::Program;
use crate::support::http::Answer;

/// A program whose output shows whether a byte is missing.
const LINES: &str = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done";

fn init() -> String {
    format!(r#"{{"timestamp":"{}"}}"#, prost_types::Timestamp::from(SystemTime::now()))
}

/// Insists on lines 1, 2, 3 ..., without what is not whole yet; says how many.
#[track_caller]
fn lines(text: &str) -> u64 {
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let numbers: Vec<u64> = whole.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    numbers.len() as u64
}

/// Brings the time, as a host does after a resume, and looks at the guest's clock: it is late by what the request took
/// to get there, which no host says, and by 50 ms at most.
#[track_caller]
fn welcome(guest: &Guest) -> Answer {
    let asked = Instant::now();
    let answer = post(guest, "/init", &init());
    let took = i64::try_from(asked.elapsed().as_millis()).unwrap();
    assert_eq!((answer.status, answer.header("x-envd-version")), (204, "0.6.13"));
    let clock = guest.block_on(guest.agent().clock_offset()).unwrap();
    let (off, unsure) = (clock.offset_ns / 1_000_000, clock.error_ns / 1_000_000 + 1);
    eprintln!("{off} ms off, measured to {unsure} ms, after a request of {took} ms");
    assert!(off.abs() <= 50 + took + unsure, "{off} ms off, measured to {unsure} ms, after a request of {took} ms");
    answer
}

/// Everything up to the stop of the machine; returns the counts.
#[track_caller]
fn prepare(guest: &Guest, query: &str) -> Value {
    let frozen = post(guest, &format!("/freeze?maxWaitMs=1500{query}"), "");
    assert_eq!(frozen.status, 200);
    assert_eq!(post(guest, "/collapse", "").status, 200);
    system(guest, "sync");
    assert_eq!(post(guest, "/fsfreeze", "").status, 204);
    frozen.json()
}

fn is_paused_and_resumed(thaws_the_disk: bool) {
    let guest = Guest::start("scratch");
    let counter = Counter::start(&guest);
    let mut old = Program::shell(guest.agent().address(), LINES);
    old.read_until("\n5\n");
    let counts = prepare(&guest, "");
    assert_eq!((&counts["requested"], &counts["frozen"]), (&json!(2), &json!(2)), "{counts}");
    assert!(counter.stands_still(&guest));
    let blocked = start_system(guest.agent().address(), "echo x > /root/blocked; echo through");
    let asleep = guest.pause_with(&Silent);
    while old.step() {}
    assert!(old.end.is_none(), "the old client's stream is over, the program is not");
    let seen = lines(&old.text());
    sleep(Duration::from_secs(2));

    let (guest, _) = asleep.resume_with(&Silent);
    if thaws_the_disk {
        assert_eq!(post(&guest, "/fsthaw", "").status, 204);
    }
    welcome(&guest);
    counter.goes_on(&guest);
    write(&guest, "/root/f", "x");
    let address = guest.agent().address();
    let mut blocked = Program::connect(address, &[("thawd-output-offset", "0")], &json!({"pid": blocked.pid}));
    assert_eq!((blocked.exit_code(), blocked.text().as_str()), (0, "through\n"));
    // Together the two have the whole output, though nobody asked for a place in it.
    let mut new = Program::connect(address, &[], &json!({"pid": old.pid}));
    new.read_until(&format!("\n{}\n", seen + 20));
    assert!(lines(&(old.text() + &new.text())) >= seen + 20);
    assert_eq!(post(&guest, "/fsthaw", "").status, 204, "once more");
    welcome(&guest);
    new.read_until(&format!("\n{}\n", seen + 40));
}

#[test]
fn a_host_with_envds_protocol_pauses_and_resumes_the_guest() {
    is_paused_and_resumed(true);
}

#[test]
fn init_thaws_the_disk_of_a_host_that_forgets_to() {
    is_paused_and_resumed(false);
}

#[test]
fn a_host_that_stops_every_cgroup_learns_what_stood_still() {
    let guest = Guest::start("debian");
    let counter = Counter::start(&guest);
    guest.sh("mkdir /sys/fs/cgroup/container");
    guest.spawn(
        "echo $$ > /sys/fs/cgroup/container/cgroup.procs; while :; do date +%N > /run/container; sleep 0.05; done",
    );
    let counts = prepare(&guest, "&mode=hierarchy&maxCgroups=512");
    eprintln!("{counts}");
    let number = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!((&counts["mode"], &counts["truncated"]), (&json!("hierarchy"), &json!(false)), "{counts}");
    assert!(number("requested") >= 3 && number("frozen") == number("requested"), "{counts}");
    assert_eq!(
        [number("notFrozen"), number("failed"), number("unobservable"), number("preFrozen")],
        [0; 4],
        "{counts}"
    );
    assert!(number("allowlisted") >= 2 && number("visited") < 512, "journald and init at least: {counts}");
    let stands_still =
        |cgroup: &str| system(&guest, &format!("cat /sys/fs/cgroup/{cgroup}/cgroup.events")).contains("frozen 1");
    assert!(counter.stands_still(&guest) && stands_still("container"));
    for spared in ["system.slice/systemd-journald.service", "init.scope", "system.slice/thawd.service"] {
        assert!(!stands_still(spared), "{spared}");
    }
    let asleep = guest.pause_with(&Silent);
    let (guest, _) = asleep.resume_with(&Silent);
    let answer = welcome(&guest);
    let audit: Value = serde_json::from_str(answer.header("x-envd-freeze-audit")).unwrap();
    eprintln!("{audit}");
    assert_eq!((&audit["escaped"], &audit["violations"], &audit["truncated"]), (&json!(0), &json!(0), &json!(false)));
    assert!(audit["frozen"].as_u64().unwrap() >= number("frozen"), "{audit}");
    counter.goes_on(&guest);
    let before = read(&guest, "/run/container");
    crate::support::wait_until("the container goes on", || read(&guest, "/run/container") != before);
    write(&guest, "/root/f", "x");
    assert_eq!(welcome(&guest).header("x-envd-freeze-audit"), "", "told once");
}

#[test]
fn a_checkpoint_in_place_is_not_seen_by_clients() {
    let mut guest = Guest::start("scratch");
    let counter = Counter::start(&guest);
    let mut program = Program::shell(guest.agent().address(), LINES);
    for (round, pause) in (1..).zip([300, 1000, 3000]) {
        program.read_until(&format!("\n{}\n", 20 * round));
        assert_eq!(post(&guest, "/freeze?maxWaitMs=1500", "").status, 200);
        let vm = guest.vm();
        let qmp = vm.qmp().clone();
        guest.block_on(async {
            qmp.execute("stop", Value::Null).await.unwrap();
            tokio::time::sleep(Duration::from_millis(pause)).await;
            qmp.execute("cont", Value::Null).await.unwrap();
        });
        assert_eq!(post(&guest, "/unfreeze", "").status, 204);
        counter.goes_on(&guest);
        let so_far = lines(&program.text());
        program.read_until(&format!("\n{}\n", so_far + 10));
    }
    lines(&program.text());
    assert!(program.end.is_none());
}
