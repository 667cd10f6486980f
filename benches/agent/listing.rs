//! Listing directories.

use std::time::Instant;

use crate::figures::Figure;
use crate::measure::agent::{Agent, Target};
use crate::measure::{counters, messages, tree};
use crate::options::Sizes;

const MIB: f64 = 1024.0 * 1024.0;

pub fn measure(target: &Target, sizes: &Sizes) -> Vec<Figure> {
    let agent = target.agent();
    let entries = sizes.of(20_000);
    tree::plant(&agent.folder.join("tree"), entries);
    let [time, cpu, bytes, peak, kept] = list(&agent, "tree", 3);
    let name = |what: &str| format!("20,000 entries: {what}");
    vec![
        Figure::new(name("time"), time, "ms").envd(720.0).at_most(720.0 / 4.0),
        Figure::new(name("CPU"), cpu, "ms").envd(856.0).at_most(856.0 / 4.0),
        Figure::new(name("answer"), bytes, "MiB").envd(4.6e6 / MIB),
        Figure::new(name("largest growth of RSS"), peak, "MiB"),
        Figure::new(name("growth of RSS that stays"), kept, "MiB").envd(40.0).at_most(2.0),
    ]
}

/// A flat folder of a million.
pub fn million(target: &Target, sizes: &Sizes) -> Vec<Figure> {
    let agent = target.agent();
    tree::flat(&agent.folder.join("million"), sizes.of(1_000_000));
    let [time, cpu, bytes, peak, kept] = list(&agent, "million", 1);
    let name = |what: &str| format!("1,000,000 entries: {what}");
    vec![
        Figure::new(name("time"), time, "ms"),
        Figure::new(name("CPU"), cpu, "ms"),
        Figure::new(name("answer"), bytes, "MiB"),
        Figure::new(name("largest growth of RSS"), peak, "MiB"),
        Figure::new(name("growth of RSS that stays"), kept, "MiB").at_most(2.0),
    ]
}

/// Lists a folder: milliseconds, CPU milliseconds, and MiB of the answer, of the largest growth and of what stays.
fn list(agent: &Agent, folder: &str, depth: u32) -> [f64; 5] {
    let mut client = agent.client();
    // What the first listing of all needs is no growth.
    std::fs::create_dir_all(agent.folder.join("first/of/all")).unwrap();
    messages::list(&mut client, &agent.path("first"), depth);
    counters::rest(agent.pid);
    let rss = counters::memory(agent.pid).rss as f64;
    counters::forget_peak(agent.pid);
    let (cpu, started) = (counters::cpu(agent.pid), Instant::now());
    let bytes = messages::list(&mut client, &agent.path(folder), depth) as f64;
    let (time, cpu) = (started.elapsed(), counters::cpu(agent.pid) - cpu);
    let peak = counters::peak(agent.pid) as f64 - rss;
    counters::settle(agent.pid);
    let kept = counters::memory(agent.pid).rss as f64 - rss;
    [time.as_secs_f64() * 1e3, cpu.as_secs_f64() * 1e3, bytes / MIB, peak.max(0.0) / MIB, kept.max(0.0) / MIB]
}
