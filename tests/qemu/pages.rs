//! What a resume costs in pages of the agent.

use std::time::Duration;

use icebox::guest::{Door, Guest};
use icebox::snapshot::Silent;
use serde_json::json;

use crate::life::{freeze, thaw};
use crate::meter;

const FEW: usize = 64;

fn resume(flavour: &str, commands: usize) {
    let mut guest = Guest::start(flavour);
    guest.spawn("sleep 1000");
    for _ in 0..commands {
        guest.sh("true");
    }
    let door = Door::open(&mut guest);
    freeze(&guest, &json!({}));
    meter::settle(&door);
    meter::trace(&door);
    let meter = meter::Meter::set(&mut guest, &door);
    let (mut guest, _) = guest.pause_with(&Silent).resume_with(&Silent);
    let door = Door::of(&mut guest);
    let limit = Duration::from_secs(20);
    let now = icebox::agent::unix_time().as_nanos().to_string();
    let entropy = base64_simd::STANDARD.encode_to_string([7; 64]);
    let report = thaw(&guest, &json!({"hostUnixNs": now, "entropy": entropy}));
    guest.block_on(guest.agent().call("filesystem.Filesystem/Stat", &json!({"path": "/"}), limit)).unwrap();
    let touched = meter.read(&mut guest, &door);
    let started = meter::started(&door);
    eprintln!("{flavour} {commands}: {:#?}\n{report:#}", touched);
    eprintln!("all {:?} {started:#?}", touched.all());
    assert!(touched.all().touched <= FEW);
}

#[test]
fn scratch_pages() {
    resume("scratch", 0);
}

#[test]
fn scratch_pages_later() {
    resume("scratch", 100);
}

#[test]
fn debian_pages() {
    resume("debian", 20);
}
