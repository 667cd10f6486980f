//! Small questions.

use crate::figures::Figure;
use crate::floor::Server;
use crate::measure::agent::{Agent, Target};
use crate::measure::client::Client;
use crate::measure::load::Load;
use crate::measure::messages;
use crate::options::Sizes;

/// Writes a request.
type Prepare = fn(&Client) -> Vec<u8>;

pub fn measure(target: &Target, sizes: &Sizes) -> Vec<Figure> {
    let agent = target.agent();
    let server = Server::start();
    let bare = Agent::at(server.address, server.pid(), None);
    let health: Prepare = |client| client.prepare("GET", "/health", "", b"");
    let stat: Prepare = |client| messages::stat(client, messages::WARM);
    let mut figures = Vec::new();
    for clients in [1, 16] {
        let ask = |agent: &Agent, prepare: Prepare, status| {
            let request = prepare(&agent.client());
            Load::run(agent, clients, sizes.of(16_000) / clients, |client, _| {
                client.call(&request, status);
            })
        };
        let least = ask(&bare, health, 204);
        for (name, prepare, status) in [("Stat", stat, 200), ("/health", health, 204)] {
            let load = ask(&agent, prepare, status);
            let p50 = |load: &Load| load.percentile(50).as_secs_f64() * 1e6;
            let figure = |what: &str, value, floor, unit| {
                Figure::new(format!("{name}, {clients} at once: {what}"), value, unit).floor(floor)
            };
            let time = figure("p50", p50(&load), p50(&least), "us");
            let rate = figure("a second", load.per_second(), least.per_second(), "/s");
            let cpu = figure("CPU", load.cpu_each(), least.cpu_each(), "us");
            figures.extend(match (name, clients) {
                ("Stat", 1) => [time.envd(218.0).at_most(109.0), rate, cpu.envd(203.0).at_most(101.5)],
                ("Stat", _) => [time, rate.envd(6260.0).at_least(6260.0 * 2.5), cpu.envd(154.0).at_most(77.0)],
                (_, 1) => [time, rate, cpu.envd(130.0).at_most(60.0)],
                _ => [time, rate, cpu],
            });
        }
    }
    figures
}
