//! Measures an agent: ours, or any that speaks envd's protocol, and two of them in turns.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub, reason = "a benchmark")]

#[path = "../measure/mod.rs"]
mod measure;
#[path = "../../tests/support/mod.rs"]
mod support;

#[path = "../../tests/budget/limits.rs"]
mod limits;

mod figures;
mod files;
mod floor;
mod footprint;
mod listing;
mod options;
mod scale;
mod silence;
mod spawn;
mod streams;
mod syscalls;
mod unary;

use figures::{Figure, Table};
use measure::agent::Target;
use options::{Options, Sizes};

/// Measures one group of figures of an agent.
type Group = fn(&Target, &Sizes) -> Vec<Figure>;

/// The groups, in the order in which they run.
const GROUPS: &[(&str, Group)] = &[
    ("footprint", footprint::measure),
    ("syscalls", syscalls::measure),
    ("silence", silence::measure),
    ("spawn", spawn::measure),
    ("streams", streams::measure),
    ("files", files::measure),
    ("listing", listing::measure),
    ("unary", unary::measure),
    ("scale", scale::measure),
    ("processes", scale::processes),
    ("events", scale::events),
    ("million", listing::million),
];

/// Groups that run only when they are named.
const LARGE: [&str; 1] = ["million"];

fn main() {
    if let [_, flag, address] = std::env::args().collect::<Vec<_>>().as_slice()
        && flag == floor::SERVE
    {
        return floor::serve(address.parse().unwrap());
    }
    let options = Options::parse(GROUPS.iter().map(|(name, _)| *name));
    if options.sizes.small {
        println!("a hundredth of each size: this shows that all works, and measures nothing");
    }
    let chosen = |name: &str| match options.groups.is_empty() {
        true => !LARGE.contains(&name),
        false => options.groups.iter().any(|group| group == name),
    };
    let mut json = String::new();
    for (name, measure) in GROUPS.iter().filter(|(name, _)| chosen(name)) {
        println!("\n{name}");
        let mut table = Table::default();
        for _ in 0..options.rounds {
            table.add(measure(&options.target, &options.sizes));
            if let Some(beside) = &options.beside {
                table.add_beside(measure(beside, &options.sizes));
            }
        }
        table.print();
        json += &table.json(name);
    }
    if let Some(path) = &options.json {
        std::fs::write(path, json).unwrap();
    }
}
