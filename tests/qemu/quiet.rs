//! An idle agent does nothing at all.

use std::thread::sleep;
use std::time::Duration;

use icebox::guest::{Door, Guest};
use serde_json::json;

use crate::life::freeze;
use crate::meter::{Meter, runs, settle};
use crate::support::connect::Program;

/// How long it is watched; longer than any interval that a timer of an idle agent could have by mistake.
const WATCHED: Duration = Duration::from_secs(30);
/// Of each kind.
const COMMANDS: usize = 100;
const WATCHES: usize = 10;

/// Insists that no thread of the agent runs, and that no page of it changes.
#[track_caller]
fn is_silent(guest: &mut Guest, door: &Door, state: &str) {
    settle(door);
    let before = runs(door);
    let meter = Meter::set(guest, door);
    sleep(WATCHED);
    let after = runs(door);
    let touched = meter.read(guest, door);
    eprintln!("{state}: {touched:?}");
    assert_eq!(before, after, "{state}: it ran");
    assert_eq!((touched.all().changed, touched.all().touched), (0, 0), "{state}: {touched:?}");
}

#[test]
fn an_idle_agent_never_runs_and_touches_no_page() {
    let mut guest = Guest::start("scratch");
    let door = Door::open(&mut guest);
    is_silent(&mut guest, &door, "fresh");

    let address = guest.agent().address();
    for _ in 0..COMMANDS {
        guest.sh("true");
    }
    for _ in 0..WATCHES {
        let message = json!({"path": "/tmp"});
        let made = crate::support::connect::call(address, "filesystem.Filesystem/CreateWatcher", &message).json();
        assert!(made["watcherId"].is_string(), "{made}");
    }
    let stream = Program::shell(address, "sleep 100000");
    guest.spawn("nc -ll -s 127.0.0.1 -p 8000 -e /bin/cat");
    is_silent(&mut guest, &door, "after commands, with watches, a stream and a server");

    drop(stream);
    freeze(&guest, &json!({}));
    is_silent(&mut guest, &door, "frozen");
}
