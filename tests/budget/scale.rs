//! Many streams, processes and events.

use crate::measure::many;
use crate::measure::watched::Watched;
use crate::{limits, within};

#[test]
fn a_thousand_idle_streams_hold_little_memory_and_the_last_no_more_than_the_first() {
    let agent = crate::agent();
    let (shares, streams) = many::ladder(&agent, &[10, 100, 1000], |_| many::idle_stream(&agent));
    many::end(&agent, streams.iter().map(|stream| stream.pid));
    for share in shares {
        println!("{share:?}");
        if share.count >= 100 {
            within(&format!("each of {}", share.count), share.rss as u64, limits::STREAM, "bytes");
        }
    }
}

#[test]
fn ten_thousand_processes_leave_nothing_behind() {
    let agent = crate::agent();
    let before = many::processes(&agent, 1000);
    let after = many::processes(&agent, 10_000);
    println!("{before:?}\n{after:?}");
    within("growth", after.rss.saturating_sub(before.rss), limits::PROCESSES_GROWTH, "bytes");
    assert!(after.files <= before.files, "{before:?} {after:?}");
    assert_eq!(after.children, 0, "{after:?}");
}

#[test]
fn of_ten_thousand_events_none_is_lost() {
    let agent = crate::agent();
    let creations = Watched::open(&agent, "watched").create(10_000);
    within("lost events", creations.lost, limits::EVENTS_LOST, "of 10000");
}
