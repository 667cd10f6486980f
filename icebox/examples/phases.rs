//! Measures freezes and thaws phase by phase, by the agent's own reports: in a guest that is idle, that writes, that
//! has dirty pages, or connections; and how soon the first request is answered after the CPUs go on.
//!
//! Usage: `cargo run -p icebox --example phases -- [CYCLES [CASE]]`; a case is idle, fsync, disk, resume, connections,
//! or the address of an agent outside of any guest. That one is measured idle with 200 tasks, by freezes that are undone:
//! nothing is mended then, so that its machine keeps its clock.
//! Prints lines for people and, at the end, the same as JSON.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a tool for ourselves")]

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use icebox::agent::{Agent, Program, unix_time};
use icebox::guest::{Choice, Guest};
use serde_json::{Map, Value, json};

/// How long a call may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Tasks of the idle workload.
const TASKS: usize = 200;
/// Connections of the outside world to the guest.
const CONNECTIONS: usize = 1000;
/// Between two of them.
const PACE: Duration = Duration::from_millis(4);
/// Port of the server in the guest.
const PORT: u16 = 7000;
/// Memory that is dirty when a freeze of the disk is asked for, in MiB.
const DIRTY: usize = 100;
/// A shell that has so many children asleep.
const SLEEPERS: &str = "i=0; while [ $i -lt 200 ]; do sleep 100000 & i=$((i+1)); done; touch /tmp/all; wait";
/// Takes connections and says when each was over: how many, the first and the last.
const SERVER: &str = r#"
import select, socket, time
door = socket.create_server(("", 7000), backlog=1024)
watch, held, over = select.epoll(), {}, []
watch.register(door, select.EPOLLIN)
open("/tmp/listens", "w").close()
while True:
    for number, event in watch.poll():
        if number == door.fileno():
            guest, _ = door.accept()
            held[guest.fileno()] = guest
            watch.register(guest, select.EPOLLIN)
            if len(held) == 1000:
                open("/tmp/full", "w").close()
        else:
            watch.unregister(number)
            over.append(time.time_ns())
            if len(over) == len(held):
                open("/tmp/over", "w").write(str(over[0]) + " " + str(over[-1]))
                over.clear()
                held.clear()
"#;

/// Measures so many cycles.
type Case = fn(usize) -> Value;

fn main() {
    let mut words = std::env::args().skip(1);
    let cycles = words.next().map_or(50, |word| word.parse().expect("a number of cycles"));
    let mut all = Map::new();
    let wanted = words.next();
    let is_wanted = |case: &str| wanted.as_deref().is_none_or(|wanted| wanted == case);
    let cases: [(&str, Case, usize); 5] = [
        ("idle", idle, cycles),
        ("fsync", fsync, cycles),
        ("disk", disk, cycles.div_ceil(5)),
        ("resume", resume, cycles),
        ("connections", connections, cycles.div_ceil(10)),
    ];
    for (name, measure, cycles) in cases.into_iter().filter(|(name, ..)| is_wanted(name)) {
        all.insert(name.into(), measure(cycles));
    }
    if let Some(address) = wanted.and_then(|wanted| wanted.parse().ok()) {
        all.insert("outside".into(), outside(&Agent::new(address), cycles));
    }
    println!("{}", Value::Object(all));
}

/// 200 tasks that sleep.
fn idle(cycles: usize) -> Value {
    let guest = Guest::start("scratch");
    guest.spawn(SLEEPERS);
    until(&guest, "[ -e /tmp/all ]");
    let mut figures = Figures::default();
    for _ in 0..cycles {
        let began = Instant::now();
        figures.freeze(&freeze(&guest, &json!({})), began.elapsed());
        figures.thaw(&thaw(&guest, false));
    }
    figures.print(&format!("idle, {TASKS} tasks"))
}

/// A program that writes and waits for the disk, for ever.
fn fsync(cycles: usize) -> Value {
    let guest = Guest::start("scratch");
    guest.spawn("while :; do dd if=/dev/zero of=/root/f bs=4k count=64 conv=fsync 2>/dev/null; done");
    until(&guest, "[ -e /root/f ]");
    let mut figures = Figures::default();
    for _ in 0..cycles {
        let began = Instant::now();
        figures.freeze(&freeze(&guest, &json!({})), began.elapsed());
        figures.thaw(&thaw(&guest, false));
    }
    figures.print("a program that writes and calls fsync")
}

/// Filesystems are frozen too, with 100 MiB to be written back first.
fn disk(cycles: usize) -> Value {
    let guest = Choice::of("scratch").memory(1024).start();
    guest.sh("echo 80 >/proc/sys/vm/dirty_ratio; echo 70 >/proc/sys/vm/dirty_background_ratio");
    let mut figures = Figures::default();
    for _ in 0..cycles {
        guest.sh(&format!("dd if=/dev/urandom of=/root/f bs=1M count={DIRTY} conv=notrunc 2>/dev/null"));
        let began = Instant::now();
        figures.freeze(&freeze(&guest, &json!({"scope": "SCOPE_DISK"})), began.elapsed());
        figures.thaw(&thaw(&guest, false));
    }
    figures.print(&format!("disk frozen, {DIRTY} MiB dirty"))
}

/// The CPUs stop and go on: how long until the thaw and the request behind it are answered.
fn resume(cycles: usize) -> Value {
    let mut guest = Guest::start("scratch");
    let mut figures = Figures::default();
    for _ in 0..cycles {
        freeze(&guest, &json!({}));
        let vm = guest.vm().qmp().clone();
        guest.block_on(async { vm.execute("stop", Value::Null).await }).unwrap();
        guest.block_on(async { vm.execute("cont", Value::Null).await }).unwrap();
        let began = Instant::now();
        figures.thaw(&thaw(&guest, false));
        figures.add("thaw answered after cont", began.elapsed());
        guest.block_on(guest.agent().call("filesystem.Filesystem/Stat", &json!({"path": "/"}), LIMIT)).unwrap();
        figures.add("first request answered after cont", began.elapsed());
    }
    figures.print("CPUs stopped while frozen")
}

/// A thousand connections from outside are ended, as for a copy.
fn connections(cycles: usize) -> Value {
    let mut guest = Choice::of("debian").memory(512).start();
    let program = Program::new("python3", &["-c", SERVER]);
    guest.block_on(guest.agent().start(&program)).unwrap();
    until(&guest, "[ -e /tmp/listens ]");
    let address = guest.address(PORT);
    let mut figures = Figures::default();
    for _ in 0..cycles {
        let connect = |_| {
            let connection = TcpStream::connect(address).unwrap();
            // QEMU lets one wait, and each that finds no room loses a second.
            std::thread::sleep(PACE);
            connection
        };
        let held: Vec<_> = (0..CONNECTIONS).map(connect).collect();
        until(&guest, "[ -e /tmp/full ]");
        guest.sh("rm /tmp/full");
        freeze(&guest, &json!({}));
        let thawed = thaw(&guest, true);
        assert_eq!(thawed["socketsEnded"].as_u64(), Some(CONNECTIONS as u64), "{thawed}");
        figures.thaw(&thawed);
        until(&guest, "[ -s /tmp/over ]");
        let over = guest.sh("cat /tmp/over; rm /tmp/over");
        let times: Vec<u64> = over.split_whitespace().map(|word| word.parse().unwrap()).collect();
        figures.add("first program told to last", Duration::from_nanos(times[1] - times[0]));
        drop(held);
    }
    figures.print(&format!("{CONNECTIONS} connections ended"))
}

/// An agent outside of any guest.
fn outside(agent: &Agent, cycles: usize) -> Value {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut figures = Figures::default();
    runtime.block_on(async {
        let _ = agent.start(&Program::shell(&format!("rm -f /tmp/all; {SLEEPERS}"))).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        for _ in 0..cycles {
            let began = Instant::now();
            let frozen = agent.freeze(&json!({})).await.unwrap();
            figures.freeze(&frozen["report"], began.elapsed());
            agent.cancel().await.unwrap();
            let status = agent.status().await.unwrap();
            figures.thaw(&status["lastThaw"]);
        }
    });
    figures.print(&format!("outside of a guest, idle, {TASKS} tasks"))
}

#[track_caller]
fn until(guest: &Guest, condition: &str) {
    let line = format!("i=0; until {condition}; do sleep 0.1; i=$((i+1)); [ $i -lt 400 ] || exit 1; done");
    guest.sh(&line);
}

fn freeze(guest: &Guest, request: &Value) -> Value {
    let answer = guest.block_on(guest.agent().freeze(request)).unwrap();
    answer["report"].clone()
}

fn thaw(guest: &Guest, clone: bool) -> Value {
    let request = json!({
        "hostUnixNs": unix_time().as_nanos().to_string(),
        "entropy": base64_simd::STANDARD.encode_to_string([7; 64]),
        "clone": clone,
    });
    let answer = guest.block_on(guest.agent().call("thawd.v1.Lifecycle/Thaw", &request, LIMIT)).unwrap();
    answer["report"].clone()
}

/// Times by name, in the order in which the names came up.
#[derive(Default)]
struct Figures {
    names: Vec<String>,
    times: BTreeMap<String, Vec<Duration>>,
}

impl Figures {
    fn add(&mut self, name: &str, took: Duration) {
        if !self.times.contains_key(name) {
            self.names.push(name.into());
        }
        self.times.entry(name.into()).or_default().push(took);
    }

    fn freeze(&mut self, report: &Value, answered: Duration) {
        self.report("freeze", report);
        let steps = report["steps"].as_array().unwrap();
        let stopped = steps.iter().find(|step| step["name"] == "freeze programs").unwrap();
        let total = micros(&report["totalUs"]);
        self.add("freeze: programs stand still", total.saturating_sub(micros(&stopped["startUs"])));
        self.add("freeze: answered", answered);
    }

    fn thaw(&mut self, report: &Value) {
        self.report("thaw", report);
    }

    fn report(&mut self, what: &str, report: &Value) {
        for step in report["steps"].as_array().into_iter().flatten() {
            let name = format!("{what}: {}", step["name"].as_str().unwrap());
            self.add(&name, micros(&step["tookUs"]));
        }
        self.add(&format!("{what}: the agent, in all"), micros(&report["totalUs"]));
    }

    fn print(&mut self, title: &str) -> Value {
        println!("{title} (ms)\n{:<42} {:>5} {:>9} {:>9} {:>9}", "", "n", "p50", "p99", "max");
        let mut all = Map::new();
        for name in &self.names {
            let times = self.times.get_mut(name).unwrap();
            times.sort_unstable();
            let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
            let (p50, p99, max) = (at(50), at(99), at(100));
            println!("{name:<42} {:>5} {p50:>9.2} {p99:>9.2} {max:>9.2}", times.len());
            all.insert(name.clone(), json!({"n": times.len(), "p50_ms": p50, "p99_ms": p99, "max_ms": max}));
        }
        Value::Object(all)
    }
}

/// 64-bit numbers are strings in JSON of protobuf; a zero is left out.
fn micros(value: &Value) -> Duration {
    Duration::from_micros(value.as_str().map_or(0, |text| text.parse().unwrap()))
}
