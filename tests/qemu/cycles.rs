//! A hundred pauses of one guest leave no trace.

use std::time::{Duration, Instant};

use icebox::guest::Guest;

use crate::guests;

/// Pauses in a row.
const CYCLES: u64 = 100;
/// What the agent's memory may grow by from the tenth cycle to the last, in KiB: allocators breathe.
const GROWTH_KIB: i64 = 256;

/// What could leak: the agent's memory in KiB, its descriptors, its threads and children.
fn usage(guest: &Guest) -> (i64, u64) {
    let report = guest.sh("p=$PPID; awk '/^VmRSS/ {print $2}' /proc/$p/status; ls /proc/$p/fd | wc -l; \
         pgrep -P $p | wc -l");
    let numbers: Vec<i64> = report.split_whitespace().map(|word| word.parse().unwrap()).collect();
    // The shell that asks is a child, too.
    (numbers[0], u64::try_from(numbers[1] + numbers[2]).unwrap())
}

#[test]
fn a_hundred_pauses_leave_no_drift_and_no_leak() {
    let mut guest = Guest::start("scratch");
    let pid = guest.spawn("i=0; while :; do i=$((i+1)); echo $i > /tmp/count; sleep 0.02; done");
    let lived = guests::generation(&guest);
    let began = Instant::now();
    let mut early = (0, 0);
    for cycle in 1..=CYCLES {
        guest = guest.pause().resume();
        if cycle == 10 {
            early = usage(&guest);
        }
    }
    eprintln!("{CYCLES} pauses in {:?}", began.elapsed());
    let late = usage(&guest);
    eprintln!(
        "RSS {} KiB after ten cycles, {} KiB after all; descriptors and children {} and {}",
        early.0, late.0, early.1, late.1
    );
    assert!(late.0 - early.0 <= GROWTH_KIB, "{early:?} {late:?}");
    assert!(late.1 <= early.1 + 1, "{early:?} {late:?}");
    assert_eq!(guests::generation(&guest), lived + CYCLES);
    assert_eq!(guest.run(&format!("kill -0 {pid}")).exit_code, 0, "the same program");
    let offset = guest.block_on(guest.agent().clock_offset()).unwrap();
    assert!(Duration::from_nanos(offset.offset_ns.unsigned_abs()) < Duration::from_millis(100), "{offset:?}");
}
