//! Measures what a pause and a resume cost, phase by phase, for several sizes of memory and amounts in use; with the
//! snapshot in the host's page cache, and without.
//!
//! Usage: `cargo run -p icebox --example speed -- [ROUNDS]`; each figure is the middle one of so many rounds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a tool for ourselves")]

use std::fs::{self, File};
use std::time::Duration;

use icebox::guest::{Asleep, Choice, Guest};
use icebox::snapshot::{Guided, PauseReport, ResumeReport};
use rustix::fs::{Advice, fadvise};

/// Memory of the guest, and what a file in its memory takes of it, in MiB.
const CASES: [(u32, u32); 6] = [(256, 0), (256, 64), (512, 0), (512, 192), (1024, 0), (1024, 448)];

fn main() {
    let rounds = std::env::args().nth(1).map_or(5, |rounds| rounds.parse().expect("a number of rounds"));
    println!("times in ms; agent: freeze or thaw; qemu: stop, save, quit or spawn, load, cont; disk: commit");
    println!(
        "memory  used | pause agent qemu disk | snapshot MiB  of used | resume agent qemu | cold resume  mapped MiB"
    );
    for (memory, filled) in CASES {
        let mut guest = Choice::of("scratch").memory(memory).start();
        if filled > 0 {
            guest.sh(&format!("mkdir -p /tmp/full && mount -t tmpfs -o size=90% tmpfs /tmp/full && dd if=/dev/urandom of=/tmp/full/file bs=1M count={filled} 2>/dev/null"));
        }
        let used = in_use(&guest);
        let mut rows = Vec::new();
        for _ in 0..rounds {
            let asleep = guest.pause();
            let pause = asleep.report.clone();
            let (warm, report) = asleep.resume_with(&Guided::default());
            drop(warm);
            forget(&asleep);
            let (mut cold, cold_report) = asleep.resume_with(&Guided::default());
            let mapped = resident(cold.vm().pid());
            rows.push(Row { pause, warm: report, cold: cold_report, mapped });
            guest = cold;
        }
        print(memory, used, &rows);
    }
}

/// One pause, with a resume from the page cache and one from the disk.
struct Row {
    pause: PauseReport,
    warm: ResumeReport,
    cold: ResumeReport,
    mapped: u64,
}

fn print(memory: u32, used: u64, rows: &[Row]) {
    let middle = |figure: &dyn Fn(&Row) -> Duration| {
        let mut all: Vec<_> = rows.iter().map(figure).collect();
        all.sort_unstable();
        all[all.len() / 2].as_secs_f64() * 1e3
    };
    let bytes = rows.iter().map(|row| row.pause.bytes.total()).max().unwrap_or(0) >> 20;
    let mapped = rows.iter().map(|row| row.mapped).max().unwrap_or(0);
    println!(
        "{memory:>6} {used:>5} | {:>5.0} {:>5.0} {:>4.0} {:>4.0} | {bytes:>12} {:>7.0} % | {:>6.0} {:>5.0} {:>4.0} | {:>11.0} {mapped:>11}",
        middle(&|row| row.pause.total),
        middle(&|row| row.pause.freeze),
        middle(&|row| row.pause.stop + row.pause.save + row.pause.quit),
        middle(&|row| row.pause.commit),
        bytes as f64 / used as f64 * 100.0,
        middle(&|row| row.warm.total),
        middle(&|row| row.warm.thaw),
        middle(&|row| row.warm.spawn + row.warm.load + row.warm.cont),
        middle(&|row| row.cold.total),
    );
}

/// Memory that the guest's kernel does not count as free, in MiB.
fn in_use(guest: &Guest) -> u64 {
    let text = guest.sh("cat /proc/meminfo");
    let line = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line of meminfo");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    };
    (line("MemTotal:") - line("MemFree:")) >> 10
}

/// Takes the snapshot out of the host's page cache.
fn forget(asleep: &Asleep) {
    for entry in fs::read_dir(asleep.snapshot().folder()).unwrap().flatten() {
        let file = File::open(entry.path()).unwrap();
        file.sync_all().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    }
}

/// What QEMU has of the snapshot's memory after the first answer, in MiB.
fn resident(pid: u32) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap_or_default();
    let mut lines = maps.lines().skip_while(|line| !line.ends_with("/memory"));
    let rss = lines.find_map(|line| line.strip_prefix("Rss:"));
    rss.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) >> 10
}
