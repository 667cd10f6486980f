//! Processor time of programs, and who waits for more.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The cgroups of programs that were started through the agent.
const CLASSES: [&str; 2] = ["user", "ptys"];
/// Ticks of `/proc/stat` in a second (USER_HZ, the same on every Linux).
const TICKS: u32 = 100;
/// Bytes of such a file that are read.
const PAGE: usize = 4096;
/// Measurements that are kept for one window.
const KEPT: usize = 16;

/// Tells how busy processors are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Cores that programs used on average.
    pub cores: f64,
    /// Over how long.
    pub over: Duration,
    /// Threads that run or want to, ours not among them; of the whole machine.
    pub runnable: usize,
    /// Share of the last 10 s in which some program waited for a processor, 0 to 100; `None` where the kernel does not
    /// count it (CONFIG_PSI).
    pub pressure: Option<f64>,
}

/// Says where processor time is read.
#[derive(Debug)]
pub(super) struct Cpu {
    /// Where the cgroups of programs are; without them, all of the machine counts.
    cgroups: Option<PathBuf>,
}

/// Holds one measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// When, on CLOCK_MONOTONIC.
    pub(super) at: Duration,
    /// Processor time used until then.
    pub(super) used: Duration,
}

/// Keeps measurements of the last two windows, and few.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    samples: VecDeque<Sample>,
}

impl Cpu {
    pub(super) fn new(cgroups: Option<PathBuf>) -> Self {
        Self { cgroups }
    }

    /// Reads how much was used until `at`, which is now.
    pub(super) fn sample(&self, at: Duration) -> Sample {
        let used = match &self.cgroups {
            Some(root) => CLASSES
                .iter()
                .filter_map(|class| start_of(&root.join(class).join("cpu.stat")))
                .map(|text| Duration::from_micros(field(&text, "usage_usec ").unwrap_or(0)))
                .sum(),
            None => start_of("/proc/stat".as_ref()).map(|text| busy(&text)).unwrap_or_default(),
        };
        Sample { at, used }
    }

    /// Reads the rest of a [`Load`].
    pub(super) fn load(&self, (cores, over): (f64, Duration)) -> Load {
        let runnable = start_of("/proc/loadavg".as_ref()).and_then(|text| runnable(&text)).unwrap_or(0);
        let pressure = match &self.cgroups {
            Some(root) => CLASSES
                .iter()
                .filter_map(|class| pressure(&root.join(class).join("cpu.pressure")))
                .max_by(f64::total_cmp),
            None => pressure("/proc/pressure/cpu".as_ref()),
        };
        Load { cores, over, runnable, pressure }
    }
}

impl Meter {
    /// Takes a measurement, unless there is one that is hardly older.
    pub(super) fn push(&mut self, sample: Sample, window: Duration) {
        let spacing = window / 4;
        if self.samples.back().is_none_or(|last| sample.at.saturating_sub(last.at) >= spacing) {
            self.samples.push_back(sample);
        }
        // One that is older than the window stays: the next may be too young.
        while self.samples.len() > KEPT
            || self.samples.get(1).is_some_and(|next| sample.at.saturating_sub(next.at) >= window)
        {
            self.samples.pop_front();
        }
    }

    /// Tells the cores used on average, and over how long: the window, or what comes nearest to it.
    pub(super) fn cores(&self, now: Sample, window: Duration) -> (f64, Duration) {
        let age = |sample: &&Sample| now.at.saturating_sub(sample.at);
        let old = self.samples.iter().rev().find(|sample| age(sample) >= window).or(self.samples.front());
        let Some(old) = old else { return (0.0, Duration::ZERO) };
        let over = age(&old);
        let used = now.used.saturating_sub(old.used).as_secs_f64();
        (if over.is_zero() { 0.0 } else { used / over.as_secs_f64() }, over)
    }

    /// The same, if it is about that window: for less nobody knows, and over much more a busy minute disappears.
    pub(super) fn cores_of_window(&self, now: Sample, window: Duration) -> Option<f64> {
        let (cores, over) = self.cores(now, window);
        (over >= window && over <= window * 2 + SLACK).then_some(cores)
    }
}

/// What a busy machine may add between two looks.
const SLACK: Duration = Duration::from_millis(200);

/// Reads what a file of the kernel begins with, in one call: they give a page at once to who has the room.
pub(super) fn start_of(path: &Path) -> Option<String> {
    let mut page = [0; PAGE];
    let length = File::open(path).and_then(|mut file| file.read(&mut page)).ok()?;
    Some(String::from_utf8_lossy(&page[..length]).into_owned())
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// Adds up user, nice, system, irq, softirq and steal of the first line (proc_stat(5)).
fn busy(text: &str) -> Duration {
    let ticks = text.split('\n').next().unwrap_or("").split_whitespace().skip(1).take(8);
    let ticks = ticks.enumerate().filter(|(index, _)| !matches!(index, 3 | 4));
    let ticks: u64 = ticks.filter_map(|(_, ticks)| ticks.parse::<u64>().ok()).sum();
    Duration::from_secs(ticks) / TICKS
}

/// Reads `0.20 0.18 0.12 1/80 11206` (proc_loadavg(5)): the thread that reads is one of those that run.
fn runnable(text: &str) -> Option<usize> {
    let running: usize = text.split_whitespace().nth(3)?.split('/').next()?.parse().ok()?;
    Some(running.saturating_sub(1))
}

/// Reads `some avg10=0.00 ...` (Documentation/accounting/psi.rst).
fn pressure(path: &Path) -> Option<f64> {
    let text = start_of(path)?;
    text.strip_prefix("some avg10=")?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: u64, used: u64) -> Sample {
        Sample { at: Duration::from_secs(at), used: Duration::from_secs(used) }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn an_average_is_over_the_window_as_nearly_as_there_are_measurements() {
        let mut meter = Meter::default();
        assert_eq!(meter.cores(sample(0, 0), MINUTE), (0.0, Duration::ZERO));
        for (at, used) in [(0, 0), (40, 40), (80, 40), (120, 40)] {
            meter.push(sample(at, used), MINUTE);
        }
        assert_eq!(meter.cores(sample(140, 70), MINUTE), (0.5, MINUTE));
        assert_eq!(meter.cores_of_window(sample(140, 70), MINUTE), Some(0.5));
        assert_eq!(meter.cores_of_window(sample(300, 70), MINUTE), None, "too long ago");
        let mut young = Meter::default();
        young.push(sample(100, 0), MINUTE);
        assert_eq!(young.cores(sample(110, 5), MINUTE), (0.5, Duration::from_secs(10)));
        assert_eq!(young.cores_of_window(sample(110, 5), MINUTE), None);
    }

    #[test]
    fn measurements_are_few_and_reach_over_the_window() {
        let mut meter = Meter::default();
        for at in 0..10_000 {
            meter.push(sample(at, 0), MINUTE);
            assert!(meter.samples.len() <= KEPT);
            if at >= 60 {
                assert!(meter.cores_of_window(sample(at, 0), MINUTE).is_some(), "{at}");
            }
        }
    }

    #[test]
    fn the_files_of_the_kernel_are_understood() {
        assert_eq!(busy("cpu  10 5 15 60 10 1 2 3 9 9\ncpu0 1"), Duration::from_millis(360));
        assert_eq!(runnable("0.20 0.18 0.12 3/80 11206\n"), Some(2));
        assert_eq!(field("usage_usec 12\nuser_usec 5\n", "usage_usec "), Some(12));
        assert_eq!((runnable(""), field("", "usage_usec "), busy("")), (None, None, Duration::ZERO));
    }
}
