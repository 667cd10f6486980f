//! Deadlines, as rules without a clock. Times are milliseconds since the epoch.

use std::time::Duration;

/// What a sandbox gets at least when a mere request has resumed it, as the original service gives.
const WOKEN: Duration = Duration::from_secs(300);
/// Longest time that can be asked for: no clock overflows on the way there.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);

/// What is made of the timeout that somebody asks for.
pub(super) fn sane(timeout: Duration) -> Duration {
    timeout.min(LONGEST)
}

/// The deadline of a sandbox that is given `timeout` now; `end` is the one that it has, unless it was paused.
pub(super) fn deadline(now: u64, end: Option<u64>, timeout: Duration, only_later: bool) -> u64 {
    let wished = now.saturating_add(milliseconds(sane(timeout)));
    match end {
        Some(end) if only_later => wished.max(end),
        _ => wished,
    }
}

/// The timeout of a sandbox that a request resumes, from the one that it had.
pub(super) fn woken(timeout: Duration) -> Duration {
    timeout.max(WOKEN)
}

/// In whole milliseconds.
pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_follow_the_table() {
        let seconds = Duration::from_secs;
        for (what, end, timeout, only_later, becomes) in [
            ("a new one", None, 60, false, 61_000),
            ("a resumed one", None, 60, true, 61_000),
            ("connect gives more", Some(30_000), 60, true, 61_000),
            ("connect never takes", Some(90_000), 60, true, 90_000),
            ("a timeout gives more", Some(30_000), 60, false, 61_000),
            ("a timeout takes", Some(90_000), 60, false, 61_000),
            ("no time at all", Some(90_000), 0, false, 1_000),
        ] {
            assert_eq!(deadline(1_000, end, seconds(timeout), only_later), becomes, "{what}");
        }
        assert_eq!(deadline(0, None, Duration::MAX, false), 365 * 24 * 3_600_000);
        assert_eq!(deadline(u64::MAX, None, seconds(1), false), u64::MAX);
    }

    #[test]
    fn a_request_gives_five_minutes_or_more() {
        assert_eq!(woken(Duration::from_secs(60)), Duration::from_secs(300));
        assert_eq!(woken(Duration::from_secs(600)), Duration::from_secs(600));
    }
}
