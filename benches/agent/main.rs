//! Measures an agent: ours, or any that speaks envd's protocol, and two of them in turns.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub, reason = "a benchmark")]

#[path = "../measure/mod.rs"]
mod measure;
#[path = "../../tests/support/mod.rs"]
mod support;

mod figures;
mod footprint;
mod options;
mod silence;
mod syscalls;

use figures::{Figure, Table};
use measure::agent::Target;
use options::{Options, Sizes};

/// Measures one group of figures of an agent.
type Group = fn(&Target, &Sizes) -> Vec<Figure>;

/// The groups, in the order in which they run.
const GROUPS: &[(&str, Group)] =
    &[("footprint", footprint::measure), ("syscalls", syscalls::measure), ("silence", silence::measure)];

/// Groups that run only when they are named.
const LARGE: [&str; 1] = ["million"];

fn main() {
    let options = Options::parse(GROUPS.iter().map(|(name, _)| *name));
    let chosen = |name: &str| match options.groups.is_empty() {
        true => !LARGE.contains(&name),
        false => options.groups.iter().any(|group| group == name),
    };
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
    }
}
