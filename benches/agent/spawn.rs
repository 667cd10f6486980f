//! Starting a program and awaiting its end.

use crate::figures::Figure;
use crate::floor;
use crate::measure::agent::Target;
use crate::measure::load::Load;
use crate::measure::messages;
use crate::options::Sizes;

/// What the middle Start may take of that of a bare loop.
const OVER_FLOOR: f64 = 1.5;

/// envd: middle time in ms, a second, daemon's and child's CPU in us; with one client and with 16.
const ENVD: [[Option<f64>; 4]; 2] =
    [[Some(4.8), None, Some(1750.0), Some(3800.0)], [None, Some(487.0), Some(1750.0), Some(3800.0)]];

pub fn measure(target: &Target, sizes: &Sizes) -> Vec<Figure> {
    let agent = target.agent();
    let mut figures = Vec::new();
    for (clients, each, envd) in [(1, sizes.of(2000), ENVD[0]), (16, sizes.of(250), ENVD[1])] {
        let load = Load::run(&agent, clients, each, |client, _| messages::run(client, &["true"], 1));
        let bare = floor::spawning(clients, each);
        let (p50, least) = (load.percentile(50).as_secs_f64() * 1e3, bare.p50.as_secs_f64() * 1e3);
        let mut add = |name: &str, value, unit, floor: Option<f64>, envd: Option<f64>, share: f64| {
            let mut figure = Figure::new(format!("Start true, {clients} at once: {name}"), value, unit);
            figure.floor = floor;
            if let Some(envd) = envd {
                figure = figure.envd(envd);
                figure = if share < 1.0 { figure.at_most(envd * share) } else { figure.at_least(envd * share) };
            }
            figures.push(figure);
        };
        add("p50", p50, "ms", Some(least), envd[0], 0.35);
        add("p99", load.percentile(99).as_secs_f64() * 1e3, "ms", None, None, 1.0);
        add("a second", load.per_second(), "/s", Some(bare.per_second), envd[1], 3.0);
        add("agent's CPU", load.cpu_each(), "us", Some(bare.parent), envd[2], 0.35);
        add("child's CPU", load.children_each(), "us", Some(bare.child), envd[3], 0.35);
        let name = format!("Start true, {clients} at once: p50 / floor");
        figures.push(Figure::new(name, p50 / least, "").at_most(OVER_FLOOR));
    }
    figures
}
