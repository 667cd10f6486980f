//! Many streams, processes and events.

use crate::measure::many;
use crate::measure::watched::Watched;
use crate::{Figure, limits, within};

#[test]
fn a_thousand_idle_streams_hold_little_memory_and_the_last_no_more_than_the_first() {
    let agent = crate::agent();
    let (shares, streams) = many::ladder(&agent, &[10, 100, 1000], |_| many::idle_stream(&agent));
    many::end(&agent, streams.iter().map(|stream| stream.pid));
    shares.iter().for_each(|share| println!("{share:?}"));
    let name = |share: &many::Share| format!("each of {}", share.count);
    let names: Vec<_> = shares.iter().map(name).collect();
    let figures = names.iter().zip(&shares);
    let figures = figures.map(|(name, share)| Figure(name, share.rss as u64, limits::stream(share.count), "bytes"));
    within(&figures.collect::<Vec<_>>());
}

#[test]
fn ten_thousand_processes_leave_nothing_behind() {
    let agent = crate::agent();
    let before = many::processes(&agent, 1000);
    let after = many::processes(&agent, 10_000);
    println!("{before:?}\n{after:?}");
    within(&[Figure("growth", after.rss.saturating_sub(before.rss), limits::PROCESSES_GROWTH, "bytes")]);
    assert!(after.files <= before.files, "{before:?} {after:?}");
    assert_eq!(after.children, 0, "{after:?}");
}

#[test]
fn of_ten_thousand_events_none_is_lost() {
    let agent = crate::agent();
    let creations = Watched::open(&agent, agent.path("watched")).create(10_000);
    within(&[Figure("lost events", creations.lost, limits::EVENTS_LOST, "of 10000")]);
}
