//! Proto3 JSON where serde's defaults fall short: bytes and nulls.
//!
//! A message that is written by [`write()`] may hand its bytes to
//! `Serializer::serialize_bytes`: they go out as a base64 string in one pass,
//! without a string in between and without a scan for escapes. That is for the
//! messages that carry bulk data; other serializers know nothing of it.

use std::fmt;
use std::io;

use bytes::Bytes;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Bytes encoded at a time. A multiple of three, so that only the last piece
/// is padded; both buffers stay in the first-level cache.
const PIECE: usize = 6 * 1024;

/// Writes a message as proto3 JSON.
///
/// Fails when the message has no JSON form (an unknown enum number).
pub fn write<M: Serialize + ?Sized>(message: &M, out: impl io::Write) -> serde_json::Result<()> {
    message.serialize(&mut serde_json::Serializer::with_formatter(out, Proto3))
}

/// Largest text in bytes that is read a second time to find nulls. The tree of
/// values that takes is many times as large as the text.
const SECOND_READING: usize = 1 << 20;

/// Reads a message from proto3 JSON.
///
/// A field that is `null` counts as absent, in texts up to 1 MiB. Fails when
/// the text is not the JSON form of the message.
pub fn read<M: DeserializeOwned>(text: &[u8]) -> serde_json::Result<M> {
    serde_json::from_slice(text).or_else(|error| match text {
        [] => Err(serde_json::Error::custom("an empty body is no JSON object")),
        // Generated code refuses null for scalars. Clients leave such fields
        // out, so only a failure pays for a second reading.
        text if text.len() <= SECOND_READING => read_without_nulls(text).ok_or(error),
        _ => Err(error),
    })
}

/// Reads a message without the fields that are null; `None` if that does not help.
fn read_without_nulls<M: DeserializeOwned>(text: &[u8]) -> Option<M> {
    let mut value: Value = serde_json::from_slice(text).ok()?;
    // Back to text: to read messages from a tree as well would be the same code once more for each of them.
    drop_nulls(&mut value).then(|| serde_json::from_slice(&serde_json::to_vec(&value).ok()?).ok())?
}

/// Removes the fields that are null and returns whether there were any.
fn drop_nulls(value: &mut Value) -> bool {
    match value {
        Value::Object(fields) => {
            let before = fields.len();
            fields.retain(|_, value| !value.is_null());
            let here = fields.len() != before;
            fields.values_mut().fold(here, |any, value| drop_nulls(value) | any)
        }
        Value::Array(items) => items.iter_mut().fold(false, |any, item| drop_nulls(item) | any),
        _ => false,
    }
}

/// Compact JSON in which bytes are base64 strings.
struct Proto3;

impl serde_json::ser::Formatter for Proto3 {
    fn write_byte_array<W>(&mut self, writer: &mut W, bytes: &[u8]) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        let mut text = [0; PIECE / 3 * 4];
        writer.write_all(b"\"")?;
        for piece in bytes.chunks(PIECE) {
            let out = base64_simd::Out::from_slice(&mut text);
            writer.write_all(base64_simd::STANDARD.encode(piece, out))?;
        }
        writer.write_all(b"\"")
    }
}

/// A bytes field on its way to [`write()`].
#[derive(Clone, Copy, Debug)]
pub struct ToBase64<'a>(pub &'a [u8]);

impl Serialize for ToBase64<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// A bytes field read from JSON: either base64 alphabet, with or without padding.
#[derive(Clone, Debug)]
pub struct FromBase64(pub Bytes);

impl<'de> Deserialize<'de> for FromBase64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Base64Visitor).map(Self)
    }
}

struct Base64Visitor;

impl Visitor<'_> for Base64Visitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a base64 string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Bytes, E> {
        decode_base64(text.as_bytes()).ok_or_else(|| E::custom("malformed base64"))
    }
}

/// Decodes base64 of either alphabet, padded or not.
pub(super) fn decode_base64(text: &[u8]) -> Option<Bytes> {
    let padding = text.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    let digits = &text[..text.len() - padding];
    base64_simd::STANDARD_NO_PAD
        .decode_to_vec(digits)
        .or_else(|_| base64_simd::URL_SAFE_NO_PAD.decode_to_vec(digits))
        .ok()
        .map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write(&ToBase64(bytes), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn bytes_of_any_length_survive_base64() {
        for len in [0, 1, 2, 3, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 2] {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
            let text = written(&bytes);
            assert_eq!(text.len(), len.div_ceil(3) * 4 + 2);
            assert_eq!(read::<FromBase64>(text.as_bytes()).unwrap().0, bytes);
        }
    }

    #[test]
    fn both_alphabets_are_read_padded_or_not() {
        for text in ["+/8=", "+/8", "-_8=", "-_8"] {
            assert_eq!(decode_base64(text.as_bytes()).unwrap(), &[0xfb, 0xff][..], "{text}");
        }
        for text in ["a", "====", "+_8=", "?", "aGk\n"] {
            assert!(decode_base64(text.as_bytes()).is_none(), "{text:?}");
        }
    }

    #[test]
    fn an_empty_body_is_named_as_such() {
        let error = read::<FromBase64>(b"").unwrap_err();
        assert!(error.to_string().contains("empty body"), "{error}");
    }
}
