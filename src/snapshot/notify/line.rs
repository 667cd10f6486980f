//! The lines of the socket.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Resumed;
use crate::base::{Life, Phase};

/// Bytes of a line that a listener sends, its end not counted; a reason has room in it.
pub(super) const LINE_MOST: usize = 4096;
/// Characters of a reason that are kept.
const REASON_MOST: usize = 200;

/// What we say.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event<'a> {
    /// The first line.
    Hello { phase: &'static str, generation: u64 },
    /// Programs are frozen soon.
    WillFreeze { freeze: u64, generation: u64, deadline_ms: u64 },
    /// The freeze that was announced does not take place.
    Cancelled { generation: u64 },
    /// The guest is held awake; the number names the hold.
    Held { hold: u64 },
    /// It is not any more.
    Released { hold: u64 },
    /// What was asked is not done.
    Refused { reason: &'a str },
    /// The pause is over.
    Thawed { generation: u64, paused_ms: u64, clone: bool, clock_step_ns: i64 },
    /// The last line.
    Error { reason: &'a str },
}

/// What a listener says. Other fields are passed over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Wait for me before a freeze, or no more.
    Wait(bool),
    /// I am ready for the freeze of this number.
    Ack(u64),
    /// I am not.
    Busy(u64, String),
    /// Keep the guest awake for so many milliseconds of running time.
    Hold(String, u64),
    /// Keep it awake for so long from now, by a hold that there is.
    Renew(u64, u64),
    /// End that.
    Release(u64),
    /// The guest is in use now.
    Touch,
    /// Nothing that we know.
    Unknown,
}

#[derive(Deserialize)]
struct Fields {
    wait: Option<bool>,
    ack: Option<u64>,
    busy: Option<u64>,
    hold: Option<String>,
    renew: Option<u64>,
    release: Option<u64>,
    touch: Option<bool>,
    #[serde(default)]
    ttl_ms: u64,
    #[serde(default)]
    reason: String,
}

impl Event<'_> {
    pub(super) fn hello(life: Life) -> Self {
        let phase = match life.phase {
            Phase::Running => "running",
            Phase::Freezing => "freezing",
            Phase::Frozen => "frozen",
            Phase::Thawing => "thawing",
        };
        Self::Hello { phase, generation: life.generation }
    }

    pub(super) fn thawed(resumed: &Resumed) -> Self {
        Self::Thawed {
            generation: resumed.generation,
            paused_ms: u64::try_from(resumed.paused.as_millis()).unwrap_or(u64::MAX),
            clone: resumed.clone,
            clock_step_ns: resumed.clock_step_ns,
        }
    }

    /// Writes it down, its end included.
    pub(super) fn line(&self) -> Bytes {
        // Numbers, booleans and strings under fixed names: JSON can say all of it.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        Bytes::from(line)
    }
}

impl Said {
    /// Reads a line without its end; `None` when it is no JSON object, or a field has another type.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        // An array would fill the fields by position.
        let fields: Fields = line.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(line).ok())??;
        Some(match fields {
            Fields { wait: Some(wait), .. } => Self::Wait(wait),
            Fields { ack: Some(freeze), .. } => Self::Ack(freeze),
            Fields { busy: Some(freeze), reason, .. } => {
                Self::Busy(freeze, reason.chars().filter(|c| !c.is_control()).take(REASON_MOST).collect())
            }
            Fields { hold: Some(reason), ttl_ms, .. } => Self::Hold(reason, ttl_ms),
            Fields { renew: Some(hold), ttl_ms, .. } => Self::Renew(hold, ttl_ms),
            Fields { release: Some(hold), .. } => Self::Release(hold),
            Fields { touch: Some(true), .. } => Self::Touch,
            Fields { .. } => Self::Unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_listener_says_is_understood_and_nothing_else() {
        for (line, want) in [
            (r#"{"wait":true}"#, Some(Said::Wait(true))),
            (r#" {"ack":3,"more":[1]} "#, Some(Said::Ack(3))),
            (r#"{"busy":3,"reason":"a\nb"}"#, Some(Said::Busy(3, "ab".to_owned()))),
            (r#"{"busy":3}"#, Some(Said::Busy(3, String::new()))),
            (r#"{"hold":"a","ttl_ms":5}"#, Some(Said::Hold("a".to_owned(), 5))),
            (r#"{"hold":"a"}"#, Some(Said::Hold("a".to_owned(), 0))),
            (r#"{"renew":1,"ttl_ms":5}"#, Some(Said::Renew(1, 5))),
            (r#"{"release":1}"#, Some(Said::Release(1))),
            (r#"{"touch":true}"#, Some(Said::Touch)),
            (r#"{"touch":false}"#, Some(Said::Unknown)),
            (r#"{"hold":1}"#, None),
            (r#"{"hold":"a","ttl_ms":-1}"#, None),
            (r#"{"ping":1}"#, Some(Said::Unknown)),
            ("{}", Some(Said::Unknown)),
            ("", None),
            ("[true,null,null]", None),
            (r#"{"ack":-1}"#, None),
            (r#"{"wait":"yes"}"#, None),
            ("{\"ack\":3} {", None),
            ("\u{0}", None),
        ] {
            assert_eq!(Said::parse(line.as_bytes()), want, "{line}");
        }
    }

    #[test]
    fn what_we_say_is_one_line_of_json() {
        let resumed = Resumed { generation: 2, clock_step_ns: -5, ..Resumed::default() };
        let line = r#"{"event":"thawed","generation":2,"paused_ms":0,"clone":false,"clock_step_ns":-5}"#;
        assert_eq!(Event::thawed(&resumed).line(), format!("{line}\n"));
        let line = r#"{"event":"will_freeze","freeze":1,"generation":0,"deadline_ms":7}"#;
        assert_eq!(Event::WillFreeze { freeze: 1, generation: 0, deadline_ms: 7 }.line(), format!("{line}\n"));
        assert_eq!(
            Event::hello(Life::default()).line(),
            "{\"event\":\"hello\",\"phase\":\"running\",\"generation\":0}\n"
        );
    }
}
