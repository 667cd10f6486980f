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
    let stat: Prepare = |client| messages::stat(client, "/tmp");
    let mut figures = Vec::new();
    for clients in [1, 16] {
        let each = sizes.of(16_000) / clients;
        for (name, agent, prepare, status) in
            [("Stat", &agent, stat, 200), ("/health", &agent, health, 204), ("bare server", &bare, health, 204)]
        {
            let request = prepare(&agent.client());
            let load = Load::run(agent, clients, each, |client, _| {
                client.call(&request, status);
            });
            let name = |what: &str| format!("{name}, {clients} at once: {what}");
            let p50 = Figure::new(name("p50"), load.percentile(50).as_secs_f64() * 1e6, "us");
            let rate = Figure::new(name("a second"), load.per_second(), "/s");
            let cpu = Figure::new(name("CPU"), load.cpu_each(), "us");
            figures.extend(match (name("").split(',').next(), clients) {
                (Some("Stat"), 1) => [p50.envd(218.0).at_most(109.0), rate, cpu.envd(203.0).at_most(101.5)],
                (Some("Stat"), _) => [p50, rate.envd(6260.0).at_least(6260.0 * 2.5), cpu.envd(154.0).at_most(77.0)],
                (Some("/health"), 1) => [p50, rate, cpu.envd(130.0).at_most(60.0)],
                _ => [p50, rate, cpu],
            });
        }
    }
    figures
}
