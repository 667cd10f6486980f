//! Processors, memory and disk in numbers.

use std::fs;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::sys::statvfs::statvfs;

/// Holds one reading of the machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metrics {
    /// Wall clock, whole seconds since the epoch.
    pub timestamp: u64,
    /// Logical processors.
    pub cpus: usize,
    /// Busy time of all processors since the reading before, 0 to 100.
    pub cpu_used_percent: f64,
    /// Memory in bytes, and how much of it is not available.
    pub memory_total: u64,
    /// MemTotal - MemAvailable, bytes.
    pub memory_used: u64,
    /// Cached + SReclaimable, bytes.
    pub memory_cache: u64,
    /// Size of `/` in bytes.
    pub disk_total: u64,
    /// What of it an ordinary user cannot get, bytes.
    pub disk_used: u64,
}

/// Takes readings; the processor load is counted from one caller-visible reading to the next.
///
/// Readings closer together than half a second share one load figure, so that two pollers do not cut each other's
/// intervals to nothing.
#[derive(Debug, Default)]
pub struct Sampler {
    last: Mutex<Last>,
}

/// Ticks of `/proc/stat` are hundredths of a second: below this a load figure is mostly rounding.
const SHORTEST: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
struct Last {
    ticks: Ticks,
    at: Option<Duration>,
    percent: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ticks {
    busy: u64,
    all: u64,
}

impl Sampler {
    /// Takes a reading.
    ///
    /// # Errors
    /// What reading `/proc` or `statvfs` said.
    pub fn sample(&self) -> io::Result<Metrics> {
        let now = crate::sys::clock::realtime()?;
        let (ticks, cpus) = parse_stat(&fs::read_to_string("/proc/stat")?);
        let memory = fs::read_to_string("/proc/meminfo")?;
        let kib = |name: &str| field(&memory, name).unwrap_or(0) * 1024;
        let disk = statvfs("/")?;
        #[allow(clippy::useless_conversion, reason = "the fields' widths differ by architecture")]
        let (size, blocks, free) =
            (u64::from(disk.fragment_size()), u64::from(disk.blocks()), u64::from(disk.blocks_available()));
        Ok(Metrics {
            timestamp: now.as_secs(),
            cpus,
            cpu_used_percent: self.percent(ticks, now),
            memory_total: kib("MemTotal:"),
            memory_used: kib("MemTotal:").saturating_sub(kib("MemAvailable:")),
            memory_cache: kib("Cached:") + kib("SReclaimable:"),
            disk_total: blocks * size,
            disk_used: blocks.saturating_sub(free) * size,
        })
    }

    fn percent(&self, ticks: Ticks, now: Duration) -> f64 {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.at.is_some_and(|at| now.saturating_sub(at) < SHORTEST && now >= at) {
            return last.percent;
        }
        last.percent = load(last.ticks, ticks);
        last.ticks = ticks;
        last.at = Some(now);
        last.percent
    }
}

fn load(before: Ticks, now: Ticks) -> f64 {
    let (busy, all) = (now.busy.saturating_sub(before.busy), now.all.saturating_sub(before.all));
    if all == 0 {
        return 0.0;
    }
    #[allow(clippy::cast_precision_loss, reason = "tick counts stay far below 2^52")]
    let percent = busy as f64 * 100.0 / all as f64;
    (percent.clamp(0.0, 100.0) * 100.0).round() / 100.0
}

/// Reads the first line (all processors) and counts the `cpuN` lines of proc_stat(5).
fn parse_stat(text: &str) -> (Ticks, usize) {
    let mut ticks = Ticks::default();
    let mut cpus = 0;
    for line in text.lines().take_while(|line| line.starts_with("cpu")) {
        if line.starts_with("cpu ") {
            // user nice system idle iowait irq softirq steal; guest time is counted in user already.
            let values: Vec<u64> = line.split_whitespace().skip(1).take(8).flat_map(str::parse).collect();
            ticks.all = values.iter().sum();
            ticks.busy = ticks.all - values.iter().skip(3).take(2).sum::<u64>();
        } else {
            cpus += 1;
        }
    }
    (ticks, cpus)
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line[name.len()..].split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_waiting_for_io_are_not_busy() {
        let (ticks, cpus) = parse_stat("cpu  10 5 15 60 10 0 0 0 0 0\ncpu0 1 1 1 1\ncpu1 1 1 1 1\nintr 5\n");
        assert_eq!((ticks, cpus), (Ticks { busy: 30, all: 100 }, 2));
        assert!((load(Ticks::default(), ticks) - 30.0).abs() < f64::EPSILON);
        assert!(load(ticks, ticks).abs() < f64::EPSILON);
    }

    #[test]
    fn two_pollers_do_not_corrupt_each_other() {
        let sampler = Sampler::default();
        let second = Duration::from_secs(1);
        sampler.percent(Ticks { busy: 0, all: 0 }, second);
        let one = sampler.percent(Ticks { busy: 50, all: 100 }, second * 2);
        let other = sampler.percent(Ticks { busy: 50, all: 100 }, second * 2);
        assert_eq!((one, other), (50.0, 50.0));
    }
}
