//! Measures what an idle agent adds to a guest: pages of the whole guest that change, against the same guest with the
//! agent stopped; and how often the agent ran.
//!
//! Usage: `cargo run -p icebox --example quiet -- [FLAVOUR [SECONDS [ROUNDS]]]`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a tool for ourselves")]

use std::thread::sleep;
use std::time::Duration;

use icebox::agent::{Program, Stream};
use icebox::guest::{Door, Guest, pages_changed};
use serde_json::json;

/// For what a change of state leaves to be done, such as memory that is freed and write-back that begins.
const SETTLE: Duration = Duration::from_secs(6);
/// Finds the agent: its supervisor has another name, and the process that guards a freeze is its child.
const AGENT: &str = r#"for p in /proc/[0-9]*; do
  read -r name <$p/comm; [ "$name" = thawd ] || continue
  read -r _ _ _ parent _ <$p/stat; read -r name </proc/$parent/comm; [ "$name" = thawd ] || agent=$p
done 2>/dev/null
"#;
/// Commands before the second state.
const COMMANDS: usize = 100;
/// Watches in the third.
const WATCHES: usize = 10;
/// How long a call may take.
const LIMIT: Duration = Duration::from_secs(60);
/// A server of the guest, on its loopback address.
const SERVER: &str = "if command -v busybox >/dev/null; then exec busybox nc -ll -s 127.0.0.1 -p 8000 -e /bin/cat; fi; \
    exec python3 -m http.server --bind 127.0.0.1 8000";

fn main() {
    let mut words = std::env::args().skip(1);
    let flavour = words.next().unwrap_or_else(|| "scratch".into());
    let mut number = |or: usize| words.next().map_or(or, |word| word.parse().expect("a number"));
    let (seconds, rounds) = (number(10) as u64, number(3));
    let mut lab = Lab { guest: Guest::start(&flavour), door: None, every: Duration::from_secs(seconds), rounds };
    lab.door = Some(Door::open(&mut lab.guest));
    println!("{flavour}: pages of the whole guest that change in {seconds} s, {rounds} times each");
    println!(
        "{:<28} {:<20} {:<20} {:>6} {:>10} {:>6}",
        "state", "with the agent", "agent stopped", "added", "switches", "ticks"
    );
    lab.row("fresh");
    for _ in 0..COMMANDS {
        lab.guest.sh("true");
    }
    lab.row("after 100 commands");
    for _ in 0..WATCHES {
        lab.call("filesystem.Filesystem/CreateWatcher", json!({"path": "/tmp"}));
    }
    lab.row("and 10 watches");
    let stream = lab.stream("sleep 100000");
    lab.row("and an idle stream");
    lab.guest.spawn(SERVER);
    lab.row("and a server on loopback");
    lab.call("thawd.v1.Lifecycle/Freeze", json!({"leaseMs": 3_600_000}));
    lab.row("frozen");
    drop(stream);
}

/// A guest, and how it is measured.
struct Lab {
    guest: Guest,
    door: Option<Door>,
    every: Duration,
    rounds: usize,
}

impl Lab {
    /// Measures one state, with the agent and without in turn, and prints it.
    fn row(&mut self, state: &str) {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        let (mut switches, mut ticks) = (0, 0);
        for _ in 0..self.rounds {
            sleep(SETTLE);
            // Looking is work for the guest, too.
            let before = self.ran();
            sleep(SETTLE);
            with.push(self.changed());
            let after = self.ran();
            (switches, ticks) = (switches + after.0 - before.0, ticks + after.1 - before.1);
            self.look("kill -STOP ${agent#/proc/}");
            sleep(SETTLE);
            without.push(self.changed());
            self.look("kill -CONT ${agent#/proc/}");
        }
        let added = middle(&mut with) - middle(&mut without);
        let (with, without) = (format!("{with:?}"), format!("{without:?}"));
        println!("{state:<28} {with:<20} {without:<20} {added:>6} {switches:>10} {ticks:>6}");
    }

    fn changed(&mut self) -> i64 {
        let before = self.guest.memory();
        sleep(self.every);
        i64::try_from(pages_changed(&before, &self.guest.memory())).unwrap()
    }

    /// Switches of all threads of the agent, and its clock ticks.
    fn ran(&self) -> (i64, i64) {
        let sum = |text: &str| text.split_whitespace().map(|word| word.parse::<i64>().unwrap()).sum();
        let switches = self.look("cat $agent/task/*/status | grep ctxt | cut -f 2");
        (sum(&switches), sum(&self.look("cut -d ' ' -f 14-15 $agent/stat")))
    }

    fn look(&self, line: &str) -> String {
        self.door.as_ref().unwrap().sh(&format!("{AGENT}{line}"))
    }

    fn call(&self, method: &str, message: serde_json::Value) {
        self.guest.block_on(self.guest.agent().call(method, &message, LIMIT)).unwrap();
    }

    /// Starts a program and keeps its stream.
    fn stream(&self, line: &str) -> Stream {
        let program = Program::shell(line);
        let message = json!({"process": {"cmd": program.command, "args": program.arguments}, "stdin": false});
        let stream = self.guest.block_on(self.guest.agent().stream("process.Process/Start", &[], &message));
        stream.unwrap()
    }
}

fn middle(of: &mut [i64]) -> i64 {
    of.sort_unstable();
    of[of.len() / 2]
}
