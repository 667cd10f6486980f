//! What the kernel has counted about a process, all of its threads together.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// Memory of a process, in bytes (`smaps_rollup`).
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident, the file's own pages that others share included.
    pub rss: u64,
    /// Written by this process and in no file: what a snapshot keeps for it.
    pub private_dirty: u64,
}

pub fn memory(pid: u32) -> Memory {
    // Pages of a binary that has just been built count as written until they are on the disk.
    let _ = File::open(format!("/proc/{pid}/exe")).and_then(|file| file.sync_all());
    let text = read(pid, "smaps_rollup");
    Memory { rss: field(&text, "Rss:") * 1024, private_dirty: field(&text, "Private_Dirty:") * 1024 }
}

/// Lets the kernel begin to look for the largest resident size anew (`proc_pid_clear_refs(5)`).
pub fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

/// The largest resident size since then, in bytes.
pub fn peak(pid: u32) -> u64 {
    field(&read(pid, "status"), "VmHWM:") * 1024
}

/// CPU time that this thread has used.
pub fn own_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

/// CPU time used since the start, in nanoseconds, threads that ended included (`clock_getcpuclockid(3)`).
pub fn cpu(pid: u32) -> Duration {
    let clock = clock_getcpuclockid(Pid::from_raw(pid.try_into().unwrap())).expect("the agent runs");
    clock_gettime(clock).expect("the agent runs").into()
}

/// Waits until a process has done what it was asked for; for one that never rests not longer than [`RESTLESS`].
pub fn rest(pid: u32) {
    rest_for(pid, Duration::from_millis(200));
}

/// Waits until a process has also let go of what it kept for more work of the kind: threads, for two seconds.
pub fn settle(pid: u32) {
    rest_for(pid, Duration::from_secs(3));
}

fn rest_for(pid: u32, calm: Duration) {
    let started = Instant::now();
    let (mut before, mut since) = (cpu(pid), started);
    while since.elapsed() < calm && started.elapsed() < calm + RESTLESS {
        std::thread::sleep(Duration::from_millis(5));
        let now = cpu(pid);
        if now != before {
            (before, since) = (now, Instant::now());
        }
    }
}

/// How long is waited for a process that polls.
const RESTLESS: Duration = Duration::from_secs(5);

/// CPU time of the children that were waited for (`proc_pid_stat(5)`). The kernel adds exactly and shows hundredths of
/// a second: good for sums over many children.
pub fn children_cpu(pid: u32) -> Duration {
    let text = read(pid, "stat");
    // The name may hold blanks; cutime and cstime are the 14th and 15th word behind it.
    let words: Vec<_> = text.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = words[13..15].iter().map(|word| word.parse::<u64>().unwrap()).sum();
    let second = sysconf(SysconfVar::CLK_TCK).unwrap().unwrap();
    Duration::from_nanos(ticks * 1_000_000_000 / u64::try_from(second).unwrap())
}

/// How often each thread gave up the processor to wait.
#[derive(Debug)]
pub struct Switches(BTreeMap<String, u64>);

pub fn switches(pid: u32) -> Switches {
    let count = |task: &String| field(&read(pid, &format!("task/{task}/status")), "voluntary_ctxt_switches:");
    Switches(tasks(pid).into_iter().map(|task| (task.clone(), count(&task))).collect())
}

impl Switches {
    /// Counts the wakeups until `later`; the start and the end of a thread are one each.
    pub fn until(&self, later: &Self) -> u64 {
        let known = self.0.iter().map(|(task, count)| later.0.get(task).map_or(1, |later| later - count));
        let new = later.0.iter().filter(|(task, _)| !self.0.contains_key(*task)).map(|(_, count)| count + 1);
        known.sum::<u64>() + new.sum::<u64>()
    }
}

pub fn threads(pid: u32) -> usize {
    tasks(pid).len()
}

/// Open file descriptors.
pub fn files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Children, those that ended and were not waited for included.
pub fn children(pid: u32) -> usize {
    tasks(pid).iter().map(|task| read(pid, &format!("task/{task}/children")).split_whitespace().count()).sum()
}

fn tasks(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).expect("the agent runs");
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Reads a file of a process; a thread that has just ended has an empty one.
fn read(pid: u32, name: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default()
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or_default()
}
