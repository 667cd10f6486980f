//! How long the client is willing to wait, in the grammar of its dialect.

use std::time::Duration;

/// The time a client gave its call, as an extension of the request.
///
/// The wire ends the call by itself when it has passed; a handler reads it when
/// the time means something to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout(pub Duration);

/// Reads `Connect-Timeout-Ms`: one to ten digits, in milliseconds.
pub(super) fn connect(text: &[u8]) -> Option<Duration> {
    Some(Duration::from_millis(digits(text, 10)?))
}

/// Reads `Grpc-Timeout`: one to eight digits and a unit.
pub(super) fn grpc(text: &[u8]) -> Option<Duration> {
    let (unit, text) = text.split_last()?;
    let count = digits(text, 8)?;
    match unit {
        b'H' => Some(Duration::from_secs(count * 3600)),
        b'M' => Some(Duration::from_secs(count * 60)),
        b'S' => Some(Duration::from_secs(count)),
        b'm' => Some(Duration::from_millis(count)),
        b'u' => Some(Duration::from_micros(count)),
        b'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

fn digits(text: &[u8], most: usize) -> Option<u64> {
    if text.is_empty() || text.len() > most {
        return None;
    }
    text.iter().try_fold(0, |sum: u64, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_takes_up_to_ten_digits_of_milliseconds() {
        assert_eq!(connect(b"0"), Some(Duration::ZERO));
        assert_eq!(connect(b"1500"), Some(Duration::from_millis(1500)));
        assert_eq!(connect(b"9999999999"), Some(Duration::from_millis(9_999_999_999)));
        for text in ["", "10000000000", "-1", "+1", "1.5", " 1", "1 ", "1s"] {
            assert_eq!(connect(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn grpc_takes_up_to_eight_digits_and_a_unit() {
        assert_eq!(grpc(b"0n"), Some(Duration::ZERO));
        assert_eq!(grpc(b"2H"), Some(Duration::from_secs(7200)));
        assert_eq!(grpc(b"3M"), Some(Duration::from_secs(180)));
        assert_eq!(grpc(b"4S"), Some(Duration::from_secs(4)));
        assert_eq!(grpc(b"5m"), Some(Duration::from_millis(5)));
        assert_eq!(grpc(b"6u"), Some(Duration::from_micros(6)));
        assert_eq!(grpc(b"99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for text in ["", "S", "1", "123456789S", "1s", "-1S", "1 S", "S1"] {
            assert_eq!(grpc(text.as_bytes()), None, "{text:?}");
        }
    }
}
