//! What an agent weighs.

use crate::figures::Figure;
use crate::limits;
use crate::measure::agent::Target;
use crate::measure::load::median;
use crate::measure::{counters, messages, tree};
use crate::options::Sizes;

/// Starts that are measured.
const BIRTHS: usize = 15;
const MIB: f64 = 1024.0 * 1024.0;

pub fn measure(target: &Target, sizes: &Sizes) -> Vec<Figure> {
    let mut figures = Vec::new();
    if let Target::Binary(program) = target {
        let bytes = std::fs::metadata(program).unwrap().len() as f64;
        figures.push(Figure::new("binary", bytes / MIB, "MiB").envd(12.4).at_most(limits::BINARY as f64 / MIB));
        let births: Vec<_> = (0..BIRTHS).filter_map(|_| target.agent().birth).collect();
        let cpu = median(births.iter().map(|birth| birth.cpu)).as_secs_f64() * 1e3;
        let wall = median(births.iter().map(|birth| birth.wall)).as_secs_f64() * 1e3;
        figures.push(Figure::new("exec to first /health: CPU", cpu, "ms").envd(44.0).at_most(5.0));
        figures.push(Figure::new("exec to first /health", wall, "ms").envd(10.7));
    }
    let agent = target.agent();
    agent.client().get("/health", 204);
    let mut weigh = |when: &str, [rss, rss_limit]: [f64; 2], dirty: Option<f64>, dirty_limit: f64| {
        counters::settle(agent.pid);
        let memory = counters::memory(agent.pid);
        let figure = Figure::new(format!("RSS {when}"), memory.rss as f64 / MIB, "MiB");
        figures.push(figure.envd(rss).at_most(rss_limit / MIB));
        let figure = Figure::new(format!("private dirty {when}"), memory.private_dirty as f64 / MIB, "MiB");
        let figure = figure.at_most(dirty_limit / MIB);
        figures.push(dirty.map_or(figure.clone(), |envd| figure.envd(envd)));
        figures.push(Figure::new(format!("threads {when}"), counters::threads(agent.pid) as f64, ""));
    };
    weigh("idle", [12.3, limits::RSS_IDLE as f64], Some(2.3), limits::DIRTY_IDLE as f64);
    messages::run(&mut agent.client(), &["true"], sizes.of(1000));
    weigh("after 1,000 commands", [18.2, limits::RSS_COMMANDS as f64], Some(7.0), limits::DIRTY_COMMANDS as f64);
    tree::plant(&agent.folder.join("tree"), sizes.of(20_000));
    messages::list(&mut agent.client(), &agent.path("tree"), 3);
    weigh("after a listing of 20,000", [54.0, limits::RSS_LISTING as f64], None, limits::DIRTY_LISTING as f64);
    figures
}
