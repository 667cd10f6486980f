//! Output that nobody reads.

use crate::measure::output;
use crate::{Figure, limits, within};

#[test]
fn readers_that_read_nothing_hold_no_more_than_the_rings() {
    let agent = crate::agent();
    let rss = output::stall(&agent, limits::STALLED_READERS.try_into().unwrap());
    within(&[Figure("resident", rss, limits::RSS_STALLED, "bytes")]);
}
