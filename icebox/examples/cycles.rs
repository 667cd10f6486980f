//! Measures: one template, many copies, a long chain of pauses. Prints what each phase took.
//!
//! Usage: `cargo run -p icebox --example cycles -- [PAUSES [COPIES [MIB]]]`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a tool for ourselves")]

use std::time::{Duration, Instant};

use icebox::guest::{Choice, Guest};
use icebox::snapshot::{Guided, Silent};

fn main() {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse::<usize>().expect("a number"));
    let mut number = |or: usize| numbers.next().unwrap_or(or);
    let (pauses, copies, mib) = (number(20), number(8), u32::try_from(number(256)).unwrap());
    let start = || Choice::of("scratch").memory(mib).start();

    let first = timed("first start (boots the template if it is not there)", start);
    let second = timed("second start (a copy)", start);
    drop((first, second));
    chain(start(), pauses);
    at_once(start(), copies);
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let from = Instant::now();
    let value = work();
    println!("{what}: {:.2} s", from.elapsed().as_secs_f64());
    value
}

fn chain(mut guest: Guest, pauses: usize) {
    guest.spawn("i=0; while :; do i=$((i+1)); echo $i > /run/count; sleep 0.05; done");
    let mut rows: Vec<[Duration; 6]> = Vec::new();
    for _ in 0..pauses {
        // Lets the counter run: right after a resume the agent has the emulated CPU for itself.
        std::thread::sleep(Duration::from_millis(200));
        let asleep = guest.pause();
        let (pause, bytes) = (asleep.report.clone(), asleep.report.bytes);
        let (next, resume) = asleep.resume_with(&Guided::default());
        guest = next;
        let row = [pause.save, pause.total, resume.spawn, resume.load, resume.thaw, resume.total];
        println!(
            "{:>4}: pause {:.2} s, resume {:.2} s, memory {} KiB, disk {} KiB",
            rows.len() + 1,
            pause.total.as_secs_f64(),
            resume.total.as_secs_f64(),
            bytes.memory >> 10,
            bytes.disk >> 10
        );
        rows.push(row);
    }
    println!("counted to {}", guest.sh("cat /run/count").trim());
    for (at, what) in ["save", "pause", "spawn", "load", "thaw", "resume"].iter().enumerate() {
        let mut column: Vec<_> = rows.iter().map(|row| row[at].as_millis()).collect();
        column.sort_unstable();
        let (middle, worst) = (column.get(column.len() / 2), column.last());
        println!("{what:>6}: middle {} ms, worst {} ms", middle.unwrap_or(&0), worst.unwrap_or(&0));
    }
}

fn at_once(guest: Guest, copies: usize) {
    let asleep = guest.pause_with(&Silent);
    let mut running = timed(&format!("{copies} copies at once"), || asleep.copies(copies, &Guided::default()));
    let memory: u64 = running.iter_mut().map(|copy| proportional_kib(copy.vm().pid())).sum();
    println!("memory of all: {} MiB, each page counted once", memory >> 10);
}

/// Memory of a process, shared pages divided among those who share them (`smaps_rollup` in proc(5)).
fn proportional_kib(pid: u32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
