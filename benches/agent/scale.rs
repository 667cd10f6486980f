//! Many of a kind.

use std::fs;
use std::path::PathBuf;

use crate::figures::Figure;
use crate::limits;
use crate::measure::agent::{Agent, Target};
use crate::measure::load::median;
use crate::measure::many::{self, Share};
use crate::measure::messages;
use crate::measure::watched::{Watched, make};
use crate::options::Sizes;

const KIB: f64 = 1024.0;

pub fn measure(target: &Target, sizes: &Sizes) -> Vec<Figure> {
    let rungs = [10, sizes.of(100).max(20), sizes.of(1000).max(30)];
    let far = [10, sizes.of(1000).max(20), sizes.of(10_000)];
    let mut figures = Vec::new();
    let agent = target.agent();
    let (shares, streams) = many::ladder(&agent, &rungs, |_| many::idle_stream(&agent));
    many::end(&agent, streams.iter().map(|stream| stream.pid));
    figures.extend(shared("idle stream with its program", &shares, Some(limits::stream)));
    drop((streams, agent));

    let agent = target.agent();
    let program = many::idle_stream(&agent);
    let (shares, streams) = many::ladder(&agent, &far, |_| many::attached(&agent, program.pid));
    many::end(&agent, [program.pid]);
    figures.extend(shared("stream attached to one program", &shares, Some(limits::stream)));
    drop((streams, agent));

    let agent = target.agent();
    let (shares, watches) = many::ladder(&agent, &far, |number| watch(&agent, number));
    figures.extend(shared("watch", &shares, None));
    drop((watches, agent));

    let agent = target.agent();
    let most = far[2].min(many::allow_files() / many::FILES_OF_PROGRAM);
    let (shares, programs) = many::ladder(&agent, &[far[0], far[1].min(most), most], |_| many::idle_stream(&agent).pid);
    many::end(&agent, programs);
    figures.extend(shared("program without a stream", &shares, None));
    figures
}

fn watch(agent: &Agent, number: usize) -> crate::measure::client::Client {
    let folder = agent.path(&format!("watched-{number}"));
    std::fs::create_dir_all(&folder).unwrap();
    messages::watch(agent.client(), &folder)
}

/// The figures of one kind at each rung.
fn shared(kind: &str, shares: &[Share], limit: Option<fn(usize) -> u64>) -> Vec<Figure> {
    let figures = shares.iter().flat_map(|share| {
        let rss = Figure::new(format!("{kind}, each of {}: RSS", share.count), share.rss / KIB, "KiB");
        let rss = limit.map_or(rss.clone(), |limit| rss.at_most(limit(share.count) as f64 / KIB));
        [rss, Figure::new(format!("{kind}, each of {}: CPU", share.count), share.cpu, "us")]
    });
    figures.collect()
}

/// Processes that come and go.
pub fn processes(target: &Target, sizes: &Sizes) -> Vec<Figure> {
    let agent = &target.agent();
    let before = many::processes(agent, sizes.of(1000));
    let after = many::processes(agent, sizes.of(10_000));
    let grown = after.rss.saturating_sub(before.rss) as f64 / KIB;
    let limit = limits::PROCESSES_GROWTH as f64 / KIB;
    let files = after.files as f64 - before.files as f64;
    vec![
        Figure::new("after 10,000 processes: growth of RSS", grown, "KiB").at_most(limit),
        Figure::new("after 10,000 processes: more files", files, "").at_most(0.0),
        Figure::new("after 10,000 processes: children", after.children as f64, "").at_most(0.0),
    ]
}

/// Changes in watched folders. The floor is the time to make the files with nobody watching.
pub fn events(target: &Target, sizes: &Sizes) -> Vec<Figure> {
    let agent = &target.agent();
    let place = Place::new();
    let mut figures = Vec::new();
    for (count, envd, least) in [(10_000, 0.0, None), (50_000, 85.0, Some(26_650.0))] {
        let made = sizes.of(count);
        let alone = made as f64 / make(&place.folder(&format!("alone-{count}")), made).as_secs_f64();
        let creations = Watched::open(agent, place.folder(&format!("created-{count}"))).create(made);
        let name = |what: &str| format!("{count} files made: {what}");
        figures.push(
            Figure::new(name("events lost"), creations.lost as f64, "").envd(envd).at_most(limits::EVENTS_LOST as f64),
        );
        let rate = made as f64 / creations.wall.as_secs_f64();
        let rate = Figure::new(name("events a second"), rate, "/s").floor(alone);
        figures.push(least.map_or(rate.clone(), |envd| rate.envd(envd).at_least(envd * 1.5)));
    }
    let mut watched = Watched::open(agent, place.folder("one"));
    let mut times: Vec<_> = (0..sizes.of(2000)).map(|number| watched.one(number).as_secs_f64() * 1e6).collect();
    times.sort_by(f64::total_cmp);
    figures
        .push(Figure::new("file made to event: p50", median(times.iter().copied()), "us").envd(270.0).at_most(135.0));
    figures.push(Figure::new("file made to event: p99", times[times.len() * 99 / 100], "us").envd(5800.0));
    figures
}

/// A folder in memory, so that the disk is not measured along; where there is none, below TMPDIR.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let memory = PathBuf::from("/dev/shm");
        let above = if memory.is_dir() { memory } else { std::env::temp_dir() };
        Self(above.join(format!("thawd-events-{}", std::process::id())))
    }

    fn folder(&self, name: &str) -> String {
        let folder = self.0.join(name);
        fs::create_dir_all(&folder).unwrap();
        folder.display().to_string()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
