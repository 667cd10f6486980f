//! Times as clients write and read them.

use std::time::Duration;

use crate::agent::{parse, rfc3339};

/// Letters of `2026-11-21T23:01:05.786`: what has more digits is refused by some clients.
const TO_THE_MILLISECOND: usize = 23;

/// Writes a time: RFC 3339 in UTC, with milliseconds.
pub(super) fn written(ms: u64) -> String {
    let mut text = rfc3339(Duration::from_millis(ms));
    text.truncate(TO_THE_MILLISECOND);
    text + "Z"
}

/// Reads RFC 3339 with any offset, as milliseconds since the epoch. Without an offset it is taken for UTC: that is what
/// Python writes for a time that knows no zone.
pub(super) fn read(text: &str) -> Option<u64> {
    // A `+` in a query that nobody escaped is read as a space.
    let text = text.trim_end().replace(' ', "+");
    let (date, time) = text.split_once(['T', 't'])?;
    let zone = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at_checked(zone)?;
    let has_shape = |text: &str, shape: &str| {
        let fits = |(byte, wanted): (u8, u8)| if wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted };
        text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
    };
    let (whole, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let digits = !fraction.is_empty() && fraction.len() <= 9 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !has_shape(date, "0000-00-00") || !has_shape(whole, "00:00:00") || !digits {
        return None;
    }
    let number = |range: &str| range.parse::<i64>().ok();
    let in_day = number(&whole[..2])? < 24 && number(&whole[3..5])? < 60 && number(&whole[6..])? <= 60;
    let in_year = (1..=12).contains(&number(&date[5..7])?) && (1..=31).contains(&number(&date[8..])?);
    let east_ms = match zone {
        "" | "Z" | "z" => 0,
        _ if has_shape(&zone[1..], "00:00") => {
            let minutes = number(&zone[1..3])? * 60 + number(&zone[4..])?;
            if zone.starts_with('-') { -minutes * 60_000 } else { minutes * 60_000 }
        }
        _ => return None,
    };
    let here = in_day && in_year;
    let ms = i64::try_from(parse(&format!("{date}T{time}Z")).filter(|_| here)?.as_millis()).ok()?;
    u64::try_from(ms.checked_sub(east_ms)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_to_the_millisecond() {
        assert_eq!(written(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(written(1_795_302_065_786), "2026-11-21T23:01:05.786Z");
    }

    #[test]
    fn times_are_read_with_any_offset() {
        for text in [
            "2026-11-21T23:01:05.786Z",
            "2026-11-21t23:01:05.786000z",
            "2026-11-21T23:01:05.786",
            "2026-11-21T23:01:05.786+00:00",
            "2026-11-21T23:01:05.786 00:00",
            "2026-11-22T00:31:05.786+01:30",
            "2026-11-21T15:01:05.786-08:00",
        ] {
            assert_eq!(read(text), Some(1_795_302_065_786), "{text}");
        }
        for text in [
            "",
            "T",
            "now",
            "1795302065",
            "2026-11-21",
            "2026-11-21 23:01:05Z",
            "2026-13-21T23:01:05Z",
            "2026-00-21T23:01:05Z",
            "2026-11-00T23:01:05Z",
            "2026-11-21T24:01:05Z",
            "2026-11-21T23:01:05.Z",
            "2026-11-21T23:01:05+1",
            "2026-11-21T23:01:05+é0:00",
            "18446744073709551615-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "2026-11-21T23:01:05.1234567890Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
