//! Bringing the wall clock back to the host's time.

use std::time::Duration;

use crate::sys::clock;

/// A guest up to this far behind is left alone: a message from the host takes that long.
const BEHIND: Duration = Duration::from_millis(50);
/// A guest up to this far ahead is left alone: stepping back hurts programs more (envd's values).
const AHEAD: Duration = Duration::from_secs(5);

/// Steps the clock to the host's time when it is off by more than the tolerance; says whether it did.
///
/// # Errors
/// EPERM without the right to set the clock.
pub fn follow(host: Duration) -> std::io::Result<bool> {
    if !is_off(clock::realtime()?, host) {
        return Ok(false);
    }
    clock::set_realtime(host)?;
    Ok(true)
}

fn is_off(guest: Duration, host: Duration) -> bool {
    host > guest + BEHIND || guest > host + AHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_offsets_are_left_alone() {
        let host = Duration::from_secs(1_000_000);
        let minute = Duration::from_secs(60);
        for (guest, off) in
            [(host - BEHIND, false), (host + AHEAD, false), (host - minute, true), (host + minute, true)]
        {
            assert_eq!(is_off(guest, host), off, "{guest:?}");
        }
    }
}
