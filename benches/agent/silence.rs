//! What an agent does while nothing is asked of it.

use crate::figures::Figure;
use crate::limits;
use crate::measure::agent::Target;
use crate::measure::silence::{STATES, State, listen};
use crate::options::Sizes;

pub fn measure(target: &Target, sizes: &Sizes) -> Vec<Figure> {
    let time = sizes.silence();
    let seconds = time.as_secs_f64();
    let mut figures = Vec::new();
    for name in STATES {
        let agent = target.agent();
        let _state = State::reach(&agent, name);
        let noise = listen(&agent, time);
        let per_second = |what: &str, count: f64, unit| Figure::new(format!("{name}: {what}"), count / seconds, unit);
        let cpu = noise.cpu.as_secs_f64() * 1e6;
        figures.push(per_second("wakeups", noise.switches as f64, "/s").at_most(limits::IDLE_WAKEUPS as f64));
        figures.push(per_second("syscalls", noise.syscalls as f64, "/s").at_most(limits::IDLE_SYSCALLS as f64));
        figures.push(per_second("CPU", cpu, "us/s").envd(14_500.0).at_most(limits::IDLE_CPU as f64));
    }
    figures
}
