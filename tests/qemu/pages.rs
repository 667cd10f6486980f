//! What a resume costs in pages of the agent: each is read from the snapshot before the first answer, and is in the
//! next one again.

use std::time::Duration;

use icebox::agent::unix_time;
use icebox::guest::{Door, Guest};
use icebox::snapshot::Silent;
use serde_json::{Value, json};

use crate::life::{freeze, thaw};
use crate::meter::{Meter, settle, started, trace};

/// Pages of its own that the agent may touch from the stop of the machine to its first answers, in a fresh guest: the goal;
/// 51 were measured.
const FEW: usize = 64;
/// The same once programs ran, whose start has left its own: 70 were measured after 100 of them.
const FEW_LATER: usize = 84;
/// How long a call may take in an emulated guest.
const LIMIT: Duration = Duration::from_secs(20);

/// Pauses a guest after so many commands, resumes it in another QEMU, and counts up to the answer of the first request
/// behind the thaw: what a host does and no more, `/health`, `Thaw` and one `List`. Then goes on, for the record.
fn resume(flavour: &str, commands: usize, few: usize) {
    let mut guest = Guest::start(flavour);
    guest.spawn("sleep 1000");
    for _ in 0..commands {
        guest.sh("true");
    }
    let door = Door::open(&mut guest);
    freeze(&guest, &json!({}));
    settle(&door);
    trace(&door);
    let meter = Meter::set(&mut guest, &door);
    let (mut guest, _) = guest.pause_with(&Silent).resume_with(&Silent);
    let door = Door::of(&mut guest);
    let entropy = base64_simd::STANDARD.encode_to_string([7; 64]);
    thaw(&guest, &json!({"hostUnixNs": unix_time().as_nanos().to_string(), "entropy": entropy}));
    let thawed = meter.read(&mut guest, &door);
    call(&guest, "process.Process/List", &json!({}));
    let listed = meter.read(&mut guest, &door);
    call(&guest, "filesystem.Filesystem/Stat", &json!({"path": "/"}));
    let looked = meter.read(&mut guest, &door);
    let started = started(&door);
    guest.sh("true");
    let ran = meter.read(&mut guest, &door);
    eprintln!("{flavour} after {commands} commands, threads begun: {}", started.forks.len());
    for (what, touched) in [("Thaw", &thawed), ("and List", &listed), ("and Stat", &looked), ("and a command", &ran)] {
        eprintln!("{what:>14}: {:?}, of the file {} {:?}", touched.all(), touched.file.touched, touched.own);
    }
    assert!(listed.all().touched <= few && listed.all().changed <= few, "{listed:#?}");
    assert!(started.executed.is_empty(), "{started:?}");
}

fn call(guest: &Guest, method: &str, message: &Value) {
    guest.block_on(guest.agent().call(method, message, LIMIT)).unwrap();
}

#[test]
fn a_resume_touches_few_pages_of_the_agent_and_executes_nothing() {
    resume("scratch", 0, FEW);
}

#[test]
fn so_it_does_after_a_hundred_commands() {
    resume("scratch", 100, FEW_LATER);
}

#[test]
fn so_it_does_below_systemd() {
    resume("debian", 20, FEW_LATER);
}
