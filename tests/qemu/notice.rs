//! A guest that nobody tells of its pause mends itself.

use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use icebox::guest::{Choice, Guest};
use icebox::snapshot::Silent;
use serde_json::{Value, json};

use super::life::{Counter, freeze, lifecycle, phase, read, system, within, write};
use crate::support::wait_until;

/// Port in the guest of a program that waits for its peer.
const PORT: u16 = 7001;
/// The machine is emulated beside others.
const LIMIT: Duration = Duration::from_secs(6);
/// What an agent lets a host have before it thaws by itself, unless told otherwise.
const SELF_THAW: Duration = Duration::from_secs(3);

fn generation(guest: &Guest) -> u64 {
    let text = read(guest, "/run/thawd/generation");
    let line = text.lines().find_map(|line| line.strip_prefix("generation="));
    line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

/// A copy of a template is a resume too: waits until the guest has noticed that.
fn settled(choice: Choice) -> Guest {
    let guest = choice.start();
    let (mut last, mut since) = (generation(&guest), Instant::now());
    wait_until("a second without news", || {
        let now = generation(&guest);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_secs(1)
    });
    guest
}

/// Reads how far the guest's clock is off, in milliseconds, less what the measurement is unsure of.
fn clock_is_off(guest: &Guest) -> u64 {
    let clock = guest.block_on(guest.agent().clock_offset()).unwrap();
    clock.offset_ns.unsigned_abs().saturating_sub(clock.error_ns.unsigned_abs()) / 1_000_000
}

/// Has a program in the guest wait in `recv` for a peer on the host; `/run/over` is there once it waits no more.
fn wait_for_peer(guest: &mut Guest) -> TcpStream {
    let number = format!(":{PORT:04X} ");
    guest.spawn(&format!(
        "mkfifo /run/never; sleep 4321 > /run/never & nc -l -p {PORT} < /run/never > /run/heard; echo over > /run/over"
    ));
    let sockets = |guest: &Guest, state: &str| {
        let table = read(guest, "/proc/net/tcp") + &read(guest, "/proc/net/tcp6");
        table.lines().any(|line| line.contains(&number) && line.contains(&format!(" {state} ")))
    };
    wait_until("it listens", || sockets(guest, "0A"));
    let peer = TcpStream::connect(guest.address(PORT)).unwrap();
    wait_until("they are connected", || sockets(guest, "01"));
    peer
}

fn mends_itself(choice: Choice, what: &str) {
    let mut guest = settled(choice);
    let counter = Counter::start(&guest);
    // The host has told the time once; the guest learns from that how late its real-time clock is, within 1.1 s.
    guest.block_on(guest.agent().init(&json!({}))).unwrap();
    let told = Instant::now();
    write(&guest, "/etc/thawd/hooks.d/10-tells", "#!/bin/sh\necho $1 $THAWD_GENERATION >> /run/told\n");
    guest.sh("chmod 755 /etc/thawd /etc/thawd/hooks.d /etc/thawd/hooks.d/*; rm -f /run/told");
    let peer = wait_for_peer(&mut guest);
    let before = generation(&guest);
    sleep(Duration::from_secs(2).saturating_sub(told.elapsed()));
    let asleep = guest.pause_with(&Silent);
    drop(peer);
    sleep(Duration::from_secs(6));
    let (guest, _) = asleep.resume_with(&Silent);
    let began = Instant::now();
    within(LIMIT, "the generation counts up", || generation(&guest) == before + 1);
    let noticed = began.elapsed();
    within(LIMIT, "its old connection is over", || read(&guest, "/run/over") == "over\n");
    let over = began.elapsed();
    let mut off = clock_is_off(&guest);
    assert!(off <= 1200, "{off} ms");
    within(LIMIT, &format!("the clock is right, which was {off} ms off"), || {
        off = clock_is_off(&guest);
        off <= 100
    });
    eprintln!(
        "{what}: generation after {noticed:?}, connection over after {over:?}, {off} ms off after {:?}",
        began.elapsed()
    );
    counter.goes_on(&guest);
    let told = format!("thaw {}\n", before + 1);
    within(LIMIT, "the hook was told", || read(&guest, "/run/told") == told);
    let status = lifecycle(&guest, "Status", &json!({}));
    let thaw = &status["lastThaw"];
    assert!(matches!(thaw["entropy"].as_str(), Some("hwrng" | "cpu")), "{status}");
    assert!(thaw["socketsEnded"].as_u64() >= Some(1), "{status}");
    assert!(thaw["clockStepNs"].as_str().is_some_and(|step| step.parse::<i64>().unwrap() > 4_000_000_000), "{status}");
    assert_eq!(status["capabilities"]["vmgenid"], Value::Bool(what == "with vmgenid"), "{status}");
    sleep(Duration::from_secs(2));
    assert_eq!(generation(&guest), before + 1, "one resume is one life");
}

#[test]
fn a_guest_that_is_told_nothing_mends_itself_with_the_help_of_its_kernel() {
    mends_itself(Choice::of("scratch"), "with vmgenid");
}

#[test]
fn a_guest_that_is_told_nothing_mends_itself_without_help() {
    mends_itself(Choice::of("scratch").without_vmgenid(), "without vmgenid");
}

#[test]
fn a_frozen_guest_that_nobody_thaws_after_a_resume_thaws_by_itself() {
    let guest = settled(Choice::of("scratch"));
    let counter = Counter::start(&guest);
    let before = generation(&guest);
    freeze(&guest, &json!({"scope": "SCOPE_DISK"}));
    let asleep = guest.pause_with(&Silent);
    sleep(Duration::from_secs(4));
    let (guest, _) = asleep.resume_with(&Silent);
    let began = Instant::now();
    let date: u64 = system(&guest, "date +%s").trim().parse().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(date) <= 3, "the clock is set at once: {date} {now}");
    within(SELF_THAW + LIMIT, "it thaws", || phase(&guest) == "PHASE_RUNNING");
    eprintln!("thawed by itself {:?} after the resume", began.elapsed());
    assert!(began.elapsed() > SELF_THAW / 2, "the host has its time");
    counter.goes_on(&guest);
    write(&guest, "/root/f", "x");
    assert_eq!(generation(&guest), before + 1);
}

#[test]
fn a_guest_that_was_not_paused_notices_nothing() {
    let guest = settled(Choice::of("scratch"));
    let counter = Counter::start(&guest);
    let before = generation(&guest);
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        assert_eq!(generation(&guest), before);
        sleep(Duration::from_secs(1));
    }
    counter.goes_on(&guest);
    // Nor does a freeze without a pause begin a life that its thaw does not know of.
    freeze(&guest, &json!({}));
    lifecycle(&guest, "Cancel", &json!({}));
    assert_eq!(generation(&guest), before);
}
