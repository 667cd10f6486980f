//! What tests of one guest share.
#![allow(dead_code, unreachable_pub, reason = "test support")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use icebox::guest::Guest;
use serde_json::{Value, json};

use crate::support::connect::{Program, call, shell};
use crate::support::http::{Answer, get, request};
use crate::support::wait_until;

/// Calls the service that freezes and thaws.
pub fn lifecycle(guest: &Guest, method: &str, message: &Value) -> Value {
    call(guest.agent().address(), &format!("thawd.v1.Lifecycle/{method}"), message).json()
}

/// Freezes, and insists on it; returns the report.
#[track_caller]
pub fn freeze(guest: &Guest, message: &Value) -> Value {
    let frozen = lifecycle(guest, "Freeze", message);
    assert!(frozen["report"].is_object(), "{frozen}");
    frozen["report"].clone()
}

/// Thaws, and insists on it; returns the report.
#[track_caller]
pub fn thaw(guest: &Guest, message: &Value) -> Value {
    let thawed = lifecycle(guest, "Thaw", message);
    assert!(thawed["report"].is_object(), "{thawed}");
    thawed["report"].clone()
}

pub fn phase(guest: &Guest) -> String {
    lifecycle(guest, "Status", &json!({}))["phase"].as_str().unwrap().to_owned()
}

/// Sends what a host with envd's protocol sends.
pub fn post(guest: &Guest, target: &str, body: &str) -> Answer {
    request(guest.agent().address(), "POST", target, &[], body.as_bytes())
}

/// Starts a program of the host: it runs while all others stand still.
pub fn start_system(address: SocketAddr, line: &str) -> Program {
    let mut message = shell(line);
    message["tag"] = json!("_system");
    Program::start(address, &[], &message)
}

/// Runs a program of the host to its end.
#[track_caller]
pub fn system(guest: &Guest, line: &str) -> String {
    let mut program = start_system(guest.agent().address(), line);
    let code = program.exit_code();
    assert_eq!(code, 0, "{line}: {}{}", program.text(), String::from_utf8_lossy(&program.stderr));
    program.text()
}

/// Waits with a deadline of its own; says how long it took.
#[track_caller]
pub fn within(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    began.elapsed()
}

/// Reads a file in the guest; empty when it is not there.
pub fn read(guest: &Guest, path: &str) -> String {
    let answer = get(guest.agent().address(), &format!("/files?username=root&path={path}"));
    if answer.status == 200 { answer.text() } else { String::new() }
}

/// Writes a file in the guest, through the agent.
#[track_caller]
pub fn write(guest: &Guest, path: &str, content: &str) {
    guest.block_on(guest.agent().write_file(path, content.into())).unwrap();
}

/// A program that counts in a file in memory.
#[derive(Debug)]
pub struct Counter {
    file: String,
    pub program: Program,
}

impl Counter {
    pub fn start(guest: &Guest) -> Self {
        Self::at(guest, guest.agent().address(), "/run/count")
    }

    /// Has the agent behind `address` start it.
    pub fn at(guest: &Guest, address: SocketAddr, file: &str) -> Self {
        let counter = Self { program: Program::shell(address, &counting(file)), file: file.into() };
        wait_until("it counts", || counter.value(guest) > 1);
        counter
    }

    pub fn value(&self, guest: &Guest) -> u64 {
        read(guest, &self.file).trim().parse().unwrap_or(0)
    }

    #[track_caller]
    pub fn goes_on(&self, guest: &Guest) {
        let mut before = 0;
        // The file is empty for a moment each time.
        wait_until("the counter is read", || {
            before = self.value(guest);
            before > 0
        });
        wait_until("it counts", || self.value(guest) > before + 1);
    }

    /// Looks twice, by a program of the host.
    pub fn stands_still(&self, guest: &Guest) -> bool {
        let looked = system(guest, &format!("cat {0}; echo /; sleep 0.3; cat {0}", self.file));
        looked.split_once("/\n").is_some_and(|(before, after)| before == after)
    }
}

/// A line of shell that counts in a file for ever.
pub fn counting(file: &str) -> String {
    format!("i=0; while :; do i=$((i+1)); echo $i > {file}; sleep 0.02; done")
}
