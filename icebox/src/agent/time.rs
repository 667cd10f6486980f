//! Times on the wire, and the guest's clock against ours.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Agent, AgentError, CALL_LIMIT};

/// A file of a filesystem in memory, which every guest has.
const STAMPED: &str = "/run/icebox-clock";
/// Questions; the quickest answer counts.
const QUESTIONS: usize = 5;
/// Files get the time of the latest tick (`ktime_get_coarse_real_ts64`), and a tick is 4 ms (`CONFIG_HZ=250`) or less.
const TICK_NS: i64 = 4_000_000;
const DAY: u64 = 86_400;

/// The guest's clock against ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClockOffset {
    /// How far the measurement may be wrong, either way.
    pub error_ns: i64,
    /// The guest's time minus ours.
    pub offset_ns: i64,
}

impl Agent {
    /// Compares the guest's wall clock with ours, by the time that a new file gets: good to half of a round trip and
    /// half of a tick, some milliseconds, and without any program in the guest.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn clock_offset(&self) -> Result<ClockOffset, AgentError> {
        let mut best: Option<ClockOffset> = None;
        for _ in 0..QUESTIONS {
            let asked = unix_time();
            self.write_file(STAMPED, b"x".to_vec()).await?;
            let took = unix_time().saturating_sub(asked);
            let guest = self.modified(STAMPED).await?;
            let middle = asked + took / 2;
            let error_ns = nanoseconds(took / 2) + TICK_NS / 2;
            let offset_ns = nanoseconds(guest) + TICK_NS / 2 - nanoseconds(middle);
            best = best.into_iter().chain([ClockOffset { error_ns, offset_ns }]).min();
        }
        best.ok_or_else(|| AgentError::strange("compare clocks", "no answer"))
    }

    /// When a file was changed, by the guest's clock, since the epoch.
    async fn modified(&self, path: &str) -> Result<Duration, AgentError> {
        let answer = self.call("filesystem.Filesystem/Stat", &json!({"path": path}), CALL_LIMIT).await?;
        let text = answer.pointer("/entry/modifiedTime").and_then(Value::as_str).unwrap_or_default();
        parse(text).ok_or_else(|| AgentError::strange("stat a file", format!("no time in {answer}")))
    }
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// Our wall clock, since the epoch.
#[must_use]
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Writes a time as RFC 3339 wants it, in UTC with nanoseconds.
pub(crate) fn rfc3339(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (days, of_day) = (seconds / DAY, seconds % DAY);
    // The civil calendar from days since 1970-01-01, in eras of 400 years that begin on 1 March.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", since_epoch.subsec_nanos())
}

/// Reads what protobuf writes for a time: RFC 3339 in UTC, with up to nine digits of a second.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let numbers = |text: &str, parting: char| -> Option<[u64; 3]> {
        let numbers: Vec<u64> = text.split(parting).map(str::parse).collect::<Result<_, _>>().ok()?;
        numbers.try_into().ok()
    };
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    // Years begin in March, so that the day that comes and goes is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let of_year = (153 * month + 2) / 5 + day.checked_sub(1)?;
    let days = (365 * year + year / 4 + year / 400 + of_year).checked_sub(year / 100 + 719_468)?;
    let nanoseconds = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(Duration::new(days * DAY + hour * 3_600 + minute * 60 + second, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_calendar_has_them_and_read_again() {
        for (seconds, written) in [
            (0, "1970-01-01T00:00:00.000000005Z"),
            (951_782_400, "2000-02-29T00:00:00.000000005Z"),
            (1_795_320_012, "2026-11-22T04:00:12.000000005Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000000005Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000005Z"),
        ] {
            let time = Duration::new(seconds, 5);
            assert_eq!(rfc3339(time), written);
            assert_eq!(parse(written), Some(time));
        }
    }

    #[test]
    fn short_fractions_are_read_and_other_texts_are_not() {
        assert_eq!(parse("1970-01-01T00:00:01Z"), Some(Duration::from_secs(1)));
        assert_eq!(parse("1970-01-01T00:00:01.25Z"), Some(Duration::from_millis(1_250)));
        for text in ["", "Z", "1970-01-01", "1970-01-01T00:00Z", "1970-01-01T00:00:01+01:00", "1970-01-00T00:00:00Z"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
