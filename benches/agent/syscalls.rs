//! How many syscalls a request takes.

use crate::figures::Figure;
use crate::limits;
use crate::measure::agent::Target;
use crate::measure::messages;
use crate::measure::trace::{Call, Trace, per_request, typical};
use crate::options::Sizes;

/// Requests of each kind: most of them are alike.
const REQUESTS: usize = 40;

pub fn measure(target: &Target, _: &Sizes) -> Vec<Figure> {
    let agent = target.agent();
    let mut client = agent.client();
    client.get("/health", 204);
    let trace = Trace::attach(agent.pid);
    let start = trace.during(|| messages::run(&mut client, &["true"], REQUESTS));
    let stat = messages::stat(&client, messages::WARM);
    let stat = trace.during(|| {
        (0..REQUESTS).for_each(|_| {
            client.call(&stat, 200);
        })
    });
    let health = trace.during(|| {
        (0..REQUESTS).for_each(|_| {
            client.get("/health", 204);
        })
    });
    let figure = |name: &str, calls: &[Call], marker: &str, envd, limit: u64| {
        let (count, which) = typical(&per_request(calls, marker));
        Figure::new(format!("{name}: syscalls"), count as f64, "").envd(envd).at_most(limit as f64).note(which)
    };
    vec![
        figure("Start", &start, "POST /process.Process/Start", 337.0, limits::START_SYSCALLS),
        figure("Stat", &stat, "POST /filesystem.Filesystem/Stat", 20.0, limits::STAT_SYSCALLS),
        figure("/health", &health, "GET /health", 9.0, limits::HEALTH_SYSCALLS),
    ]
}
