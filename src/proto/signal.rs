//! JSON of `SendSignalRequest`.
//!
//! Enums are open in proto3, and the service answers a signal that it does not send with a code of its own. The
//! generated reader would refuse each number without a name before the service sees it.

use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::process::{ProcessSelector, SendSignalRequest, Signal};

#[derive(Deserialize)]
struct Fields {
    process: Option<ProcessSelector>,
    #[serde(default)]
    signal: Number,
}

/// A name, the number of a name, or any other number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Named(Signal),
    Bare(i32),
}

impl Default for Number {
    fn default() -> Self {
        Self::Named(Signal::Unspecified)
    }
}

impl<'de> Deserialize<'de> for SendSignalRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Fields { process, signal } = Fields::deserialize(deserializer)?;
        let signal = match signal {
            Number::Named(signal) => signal.into(),
            Number::Bare(number) => number,
        };
        Ok(Self { process, signal })
    }
}

impl Serialize for SendSignalRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut message = serializer.serialize_struct("process.SendSignalRequest", 2)?;
        match &self.process {
            Some(process) => message.serialize_field("process", process)?,
            None => message.skip_field("process")?,
        }
        match Signal::try_from(self.signal) {
            Ok(Signal::Unspecified) => message.skip_field("signal")?,
            Ok(signal) => message.serialize_field("signal", &signal)?,
            Err(_) => message.serialize_field("signal", &self.signal)?,
        }
        message.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<i32> {
        serde_json::from_str::<SendSignalRequest>(text).ok().map(|request| request.signal)
    }

    #[test]
    fn a_signal_is_a_name_or_any_number() {
        for (text, number) in [
            ("{}", 0),
            (r#"{"signal":"SIGNAL_SIGKILL","unknown":[1]}"#, 9),
            (r#"{"signal":9}"#, 9),
            (r#"{"signal":15}"#, 15),
            (r#"{"signal":2}"#, 2),
            (r#"{"signal":-1,"process":{"pid":5}}"#, -1),
        ] {
            assert_eq!(read(text), Some(number), "{text}");
        }
        for text in [r#"{"signal":"SIGKILL"}"#, r#"{"signal":9.5}"#, r#"{"signal":9999999999}"#, r#"{"signal":[9]}"#] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_was_read_is_written_alike() {
        for text in ["{}", r#"{"process":{"pid":5},"signal":"SIGNAL_SIGTERM"}"#, r#"{"signal":2}"#] {
            let request: SendSignalRequest = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&request).unwrap(), text);
        }
    }
}
