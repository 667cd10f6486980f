//! Bodies of requests, field by field.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use axum::extract::{FromRequest, Request};
use http::StatusCode;
use http_body_util::LengthLimitError;
use serde_json::{Map, Value};

use super::refusal::Refusal;

/// Longest body, in bytes: metadata and variables of a sandbox, many times over.
const LONGEST: usize = 1 << 20;
/// How long a body may take; it fits into a few packets.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest timeout of a sandbox, in seconds: a year. What is longer is a mistake (milliseconds, mostly), and no sum of
/// times gets near to an overflow.
const LONGEST_TIMEOUT: u64 = 365 * 86_400;

/// The JSON object of a body; no body is an empty one, whatever its content type is called.
///
/// A field has its type or the request is refused, with its name; `null` is as good as nothing. Fields that nobody asks
/// for are ignored: SDKs differ, and later ones send more.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// What the fields are in, for messages; ends with a dot when there is any.
    within: String,
    fields: Map<String, Value>,
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let body = axum::body::to_bytes(request.into_body(), LONGEST);
        let late = || Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not come");
        let bytes = tokio::time::timeout(PATIENCE, body).await.map_err(|_| late())?;
        Self::parse(&bytes.map_err(|error| broken(&error))?)
    }
}

fn broken(error: &axum::Error) -> Refusal {
    let too_long = std::error::Error::source(error).is_some_and(|source| source.is::<LengthLimitError>());
    if too_long {
        return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {LONGEST} bytes"));
    }
    Refusal::invalid(format!("the body broke off: {error}"))
}

impl Fields {
    /// Reads a body.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(fields)) => Ok(Self { within: String::new(), fields }),
            Ok(_) => Err(Refusal::invalid("the body is not a JSON object")),
            Err(error) => Err(Refusal::invalid(format!("the body is not JSON: {error}"))),
        }
    }

    fn get<'a, T>(
        &'a self,
        name: &str,
        kind: &str,
        as_kind: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => as_kind(value).map(Some).ok_or_else(|| self.wrong(name, &format!("is not {kind}"))),
        }
    }

    pub(super) fn wrong(&self, name: &str, how: &str) -> Refusal {
        Refusal::invalid(format!("{}{name} {how}", self.within))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        self.get(name, "a string", Value::as_str)
    }

    pub(super) fn truth(&self, name: &str) -> Result<Option<bool>, Refusal> {
        self.get(name, "true or false", Value::as_bool)
    }

    pub(super) fn whole(&self, name: &str) -> Result<Option<u64>, Refusal> {
        self.get(name, "a whole number, 0 or more", Value::as_u64)
    }

    /// Gives a span of whole seconds.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<Duration>, Refusal> {
        let seconds = self.whole(name)?;
        if seconds.is_some_and(|seconds| seconds > LONGEST_TIMEOUT) {
            return Err(self.wrong(name, &format!("is more than {LONGEST_TIMEOUT} seconds, a year")));
        }
        Ok(seconds.map(Duration::from_secs))
    }

    pub(super) fn needed<T>(&self, name: &str, found: Option<T>) -> Result<T, Refusal> {
        found.ok_or_else(|| self.wrong(name, "is missing"))
    }

    /// Gives an object of strings; nothing is an empty one.
    pub(super) fn texts(&self, name: &str) -> Result<BTreeMap<String, String>, Refusal> {
        let object = self.object(name)?.unwrap_or_default();
        let text = |key: &String| Ok((key.clone(), object.needed(key, object.text(key)?)?.to_owned()));
        object.fields.keys().map(text).collect()
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, Refusal> {
        let fields = self.get(name, "an object", |value| value.as_object().cloned())?;
        Ok(fields.map(|fields| Self { within: format!("{}{name}.", self.within), fields }))
    }

    /// Gives a list of strings; nothing is an empty one.
    pub(super) fn list(&self, name: &str) -> Result<Vec<&str>, Refusal> {
        let list = self.get(name, "a list of strings", |value| {
            value.as_array()?.iter().map(Value::as_str).collect::<Option<Vec<_>>>()
        })?;
        Ok(list.unwrap_or_default())
    }

    /// Refuses what icebox cannot do, if it is asked for: a sandbox without it would not be what the client wants.
    pub(super) fn lacks(&self, name: &str) -> Result<(), Refusal> {
        let asked = match self.fields.get(name) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Object(object)) => !object.is_empty(),
            Some(Value::Array(list)) => !list.is_empty(),
            Some(_) => true,
        };
        if asked { Err(self.wrong(name, "is something that icebox does not have")) } else { Ok(()) }
    }

    /// Gives a field as it came.
    pub(super) fn raw(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }
}

impl fmt::Display for Fields {
    /// Writes the object, its fields in the order of their names.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", Value::Object(self.fields.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_body_is_an_empty_object_and_anything_else_must_be_one() {
        for empty in ["", " \n", "{}"] {
            assert_eq!(Fields::parse(empty.as_bytes()).unwrap().whole("x").unwrap(), None, "{empty:?}");
        }
        let deep = "[".repeat(100_000);
        for (body, message) in [
            ("[]", "not a JSON object"),
            ("null", "not a JSON object"),
            ("7", "not a JSON object"),
            ("{", "not JSON"),
            ("{} {}", "not JSON"),
            ("timeout=5", "not JSON"),
            ("{\"a\":\"\\ud800\"}", "not JSON"),
            ("{\"a\":01}", "not JSON"),
            ("\u{feff}{}", "not JSON"),
            (&deep, "not JSON"),
        ] {
            let refusal = Fields::parse(body.as_bytes()).unwrap_err();
            assert_eq!(refusal.status, 400);
            assert!(refusal.message.contains(message), "{refusal:?}");
        }
        assert!(Fields::parse(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn a_field_of_another_type_is_refused_by_name() {
        type Ask = fn(&Fields) -> Result<(), Refusal>;
        let whole: Ask = |fields| fields.whole("x").map(drop);
        let seconds: Ask = |fields| fields.seconds("x").map(drop);
        let truth: Ask = |fields| fields.truth("x").map(drop);
        let text: Ask = |fields| fields.text("x").map(drop);
        let texts: Ask = |fields| fields.texts("x").map(drop);
        let list: Ask = |fields| fields.list("x").map(drop);
        let bad: &[(Ask, &[&str])] = &[
            (whole, &["-1", "1.5", "1e3", "\"1\"", "true", "[]", "18446744073709551616"]),
            (seconds, &["31536001", "18446744073709551615", "1e400"]),
            (truth, &["0", "\"true\"", "{}"]),
            (text, &["0", "[\"a\"]", "false"]),
            (texts, &["[]", "\"a\"", "{\"a\":1}", "{\"a\":{}}", "{\"a\":null}"]),
            (list, &["\"a\"", "[1]", "[null]", "{}"]),
        ];
        for (ask, values) in bad {
            for value in *values {
                let body = format!("{{\"x\":{value}}}");
                let Ok(fields) = Fields::parse(body.as_bytes()) else {
                    assert_eq!(*value, "1e400", "not JSON");
                    continue;
                };
                let refusal = ask(&fields).unwrap_err();
                assert!(refusal.message.starts_with('x'), "{value}: {refusal:?}");
            }
        }
        for (ask, value) in
            [(whole, "0"), (seconds, "31536000"), (truth, "true"), (text, "\"\""), (texts, "{\"a\":\"\"}")]
        {
            for value in [value, "null"] {
                ask(&Fields::parse(format!("{{\"x\":{value}}}").as_bytes()).unwrap()).unwrap();
            }
        }
    }
}
