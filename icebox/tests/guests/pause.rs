//! Pause and resume.

use icebox::guest::Guest;
use icebox::snapshot::{Guided, Silent};

use crate::support::{COUNTER, count, lives};

#[test]
fn a_program_goes_on_after_a_pause_with_nothing_running_between() {
    let mut guest = Guest::start("scratch");
    let counter = guest.spawn(COUNTER);
    let before = count(&guest);
    let qemu = guest.vm().pid();
    let asleep = guest.pause();
    assert!(!lives(qemu), "QEMU is still there");
    let guest = asleep.resume();
    let after = count(&guest);
    assert!(after >= before, "it began anew: {before}, then {after}");
    guest.sh(&format!("kill -0 {counter}"));
    let later = count(&guest);
    crate::support::eventually("the counter counts on", || count(&guest) > later);
}

#[test]
fn the_guest_knows_the_time_after_a_resume() {
    let guest = Guest::start("scratch");
    let asleep = guest.pause();
    std::thread::sleep(std::time::Duration::from_secs(2));
    let right = |guest: &Guest, within_ns: i64| {
        let offset = guest.block_on(guest.agent().clock_offset());
        let right = offset.as_ref().is_ok_and(|clock| clock.offset_ns.abs() < within_ns + clock.error_ns);
        (right, offset)
    };
    let (told, _) = asleep.resume_with(&Guided::default());
    let (exact, offset) = right(&told, 100_000_000);
    assert!(exact, "told, at the first answer: {offset:?}");
    // It thaws by itself. QEMU's real-time clock is late by up to a second: the fraction at which the template was
    // booted. An emulated guest finds the edge of the clock's second some tens of milliseconds late.
    let (untold, _) = asleep.resume_with(&Silent);
    crate::support::eventually("an untold guest finds the time", || right(&untold, 1_100_000_000).0);
}

#[test]
fn a_chain_of_pauses_keeps_everything_and_grows_nothing() {
    // Enough that the disk's layers are put into one on the way.
    const PAUSES: u64 = 10;
    let mut guest = Guest::start("scratch");
    guest.spawn(COUNTER);
    let (mut last, mut first_bytes) = (0, None);
    for number in 1..=PAUSES {
        guest.sh(&format!("echo {number} >> /root/file; sync"));
        let asleep = guest.pause();
        let bytes = asleep.snapshot().bytes().unwrap();
        let first: u64 = *first_bytes.get_or_insert(bytes.total());
        assert!(bytes.total() < first + (24 << 20), "pause {number}: {first} bytes at first, then {bytes:?}");
        guest = asleep.resume();
        let now = count(&guest);
        assert!(now > last, "pause {number}: the counter went from {last} to {now}");
        last = now;
    }
    let expected: String = (1..=PAUSES).map(|number| format!("{number}\n")).collect();
    assert_eq!(guest.sh("cat /root/file"), expected);
}

#[test]
fn memory_that_the_guest_has_freed_is_not_saved() {
    let guest = Guest::start("scratch");
    let empty = guest.pause();
    let guest = empty.resume();
    guest.sh("dd if=/dev/urandom of=/run/big bs=1M count=60 2>/dev/null && rm /run/big");
    let full = guest.pause();
    let (empty, full) = (empty.report.bytes.memory >> 20, full.report.bytes.memory >> 20);
    assert!(full < empty + 15, "{empty} MiB before, {full} MiB after 60 MiB that were freed");
}
