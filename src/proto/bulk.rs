//! JSON of the messages that carry bulk bytes.
//!
//! Output is the hot path of every SDK (JSON streams), input comes close. The
//! bytes go through [`crate::wire::json`]: base64 in one SIMD pass, straight
//! into the buffer that leaves. Everything else is as pbjson would do it.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{SerializeStruct, Serializer};
use serde::{Deserialize, Serialize};

use super::process::ProcessInput;
use super::process::process_event::{DataEvent, data_event::Output};
use super::process::process_input::Input;
use crate::wire::json::{FromBase64, ToBase64};

/// A message that is one oneof of bytes fields.
trait Bulk: Sized {
    /// The name of the message, for error texts.
    const NAME: &'static str;
    /// The JSON names of the fields.
    const FIELDS: &'static [&'static str];

    /// The field that is set.
    fn field(&self) -> Option<(&'static str, &Bytes)>;
    /// The message with that field set; `None` for an unknown name.
    fn with(name: &str, bytes: Bytes) -> Option<Self>;
    /// The message with no field set.
    fn empty() -> Self;
}

impl Bulk for DataEvent {
    const NAME: &'static str = "process.ProcessEvent.DataEvent";
    const FIELDS: &'static [&'static str] = &["stdout", "stderr", "pty"];

    fn field(&self) -> Option<(&'static str, &Bytes)> {
        self.output.as_ref().map(|output| match output {
            Output::Stdout(bytes) => ("stdout", bytes),
            Output::Stderr(bytes) => ("stderr", bytes),
            Output::Pty(bytes) => ("pty", bytes),
        })
    }

    fn with(name: &str, bytes: Bytes) -> Option<Self> {
        let output = match name {
            "stdout" => Output::Stdout(bytes),
            "stderr" => Output::Stderr(bytes),
            "pty" => Output::Pty(bytes),
            _ => return None,
        };
        Some(Self { output: Some(output) })
    }

    fn empty() -> Self {
        Self { output: None }
    }
}

impl Bulk for ProcessInput {
    const NAME: &'static str = "process.ProcessInput";
    const FIELDS: &'static [&'static str] = &["stdin", "pty"];

    fn field(&self) -> Option<(&'static str, &Bytes)> {
        self.input.as_ref().map(|input| match input {
            Input::Stdin(bytes) => ("stdin", bytes),
            Input::Pty(bytes) => ("pty", bytes),
        })
    }

    fn with(name: &str, bytes: Bytes) -> Option<Self> {
        let input = match name {
            "stdin" => Input::Stdin(bytes),
            "pty" => Input::Pty(bytes),
            _ => return None,
        };
        Some(Self { input: Some(input) })
    }

    fn empty() -> Self {
        Self { input: None }
    }
}

impl Serialize for DataEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for DataEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer)
    }
}

impl Serialize for ProcessInput {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for ProcessInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer)
    }
}

fn serialize<M: Bulk, S: Serializer>(message: &M, serializer: S) -> Result<S::Ok, S::Error> {
    let field = message.field();
    let mut fields = serializer.serialize_struct(M::NAME, usize::from(field.is_some()))?;
    if let Some((name, bytes)) = field {
        fields.serialize_field(name, &ToBase64(bytes))?;
    }
    fields.end()
}

fn deserialize<'de, M: Bulk, D: Deserializer<'de>>(deserializer: D) -> Result<M, D::Error> {
    deserializer.deserialize_struct(M::NAME, M::FIELDS, BulkVisitor(PhantomData))
}

struct BulkVisitor<M>(PhantomData<M>);

impl<'de, M: Bulk> Visitor<'de> for BulkVisitor<M> {
    type Value = M;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "struct {}", M::NAME)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<M, A::Error> {
        let mut message = None;
        while let Some(name) = map.next_key::<FieldName<M>>()? {
            let Some(name) = name.known else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let Some(FromBase64(bytes)) = map.next_value::<Option<FromBase64>>()? else {
                continue;
            };
            if message.is_some() {
                return Err(serde::de::Error::duplicate_field(name));
            }
            message = M::with(name, bytes);
        }
        Ok(message.unwrap_or_else(M::empty))
    }
}

/// A key of the JSON object: one of the fields, or unknown.
struct FieldName<M> {
    known: Option<&'static str>,
    message: PhantomData<M>,
}

impl<'de, M: Bulk> Deserialize<'de> for FieldName<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(FieldVisitor(PhantomData))
    }
}

struct FieldVisitor<M>(PhantomData<M>);

impl<M: Bulk> Visitor<'_> for FieldVisitor<M> {
    type Value = FieldName<M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a field of {}", M::NAME)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(FieldName { known: M::FIELDS.iter().copied().find(|field| *field == text), message: PhantomData })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::process::{
        ListResponse, ProcessConfig, ProcessEvent, ProcessInfo, SendInputRequest, StartResponse, process_event::Event,
    };
    use crate::wire::json;

    fn stdout(bytes: &'static [u8]) -> StartResponse {
        let output = Some(Output::Stdout(Bytes::from_static(bytes)));
        StartResponse { event: Some(ProcessEvent { event: Some(Event::Data(DataEvent { output })) }) }
    }

    #[test]
    fn output_is_base64_in_json() {
        let mut out = Vec::new();
        json::write(&stdout(b"hi\xff"), &mut out).unwrap();
        assert_eq!(out, br#"{"event":{"data":{"stdout":"aGn/"}}}"#);
        assert_eq!(json::read::<StartResponse>(&out).unwrap(), stdout(b"hi\xff"));
    }

    #[test]
    fn input_is_read_with_unknown_fields_and_nulls() {
        let text = br#"{"new":{"a":[1]},"process":{"pid":7},"input":{"x":1,"pty":null,"stdin":"-_8"}}"#;
        let request: SendInputRequest = json::read(text).unwrap();
        let input = request.input.unwrap().input.unwrap();
        assert_eq!(input, Input::Stdin(Bytes::from_static(&[0xfb, 0xff])));
    }

    #[test]
    fn null_is_the_default_of_every_scalar() {
        let text =
            br#"{"processes":[{"config":{"cmd":null,"args":null,"envs":null,"cwd":null},"pid":null,"tag":null}]}"#;
        let list: ListResponse = json::read(text).unwrap();
        let config = Some(ProcessConfig::default());
        let expected = ProcessInfo { config, ..ProcessInfo::default() };
        assert_eq!(list.processes, [expected]);
        assert!(json::read::<ListResponse>(br#"{"processes":[{"pid":"x","tag":null}]}"#).is_err());
    }

    #[test]
    fn two_fields_of_a_oneof_are_refused() {
        assert!(json::read::<ProcessInput>(br#"{"stdin":"","pty":""}"#).is_err());
    }
}
