//! What a host says: the body of `/init`, read as Go's decoder does and checked whole.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::host::mounts::Volume;
use crate::identity::Secret;

/// Holds a checked body. Absent and empty fields change nothing.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) timestamp: Option<Duration>,
    pub(super) token: Option<Secret>,
    pub(super) variables: Option<BTreeMap<String, String>>,
    pub(super) services: Option<IpAddr>,
    pub(super) user: Option<String>,
    pub(super) workdir: Option<String>,
    pub(super) certificates: Option<String>,
    /// Empty where the host names no life.
    pub(super) lifecycle: String,
    pub(super) volumes: Vec<Volume>,
}

impl Request {
    /// Reads a body as Go's decoder does: no body is an empty request, names match in any case, null is absent.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Some(Self::default());
        }
        let fields: Map<String, Value> = serde_json::from_slice(body).ok()?;
        let mut request = Self::default();
        for (name, value) in fields {
            if value.is_null() {
                continue;
            }
            match name.to_ascii_lowercase().as_str() {
                "timestamp" => request.timestamp = Some(instant(value.as_str()?)?),
                "accesstoken" => request.token = Some(token(value)?),
                "envvars" => request.variables = Some(variables(value)?),
                "hyperloopip" => request.services = non_empty(value)?.and_then(|text| address(&text)),
                "defaultuser" => request.user = non_empty(value)?,
                "defaultworkdir" => request.workdir = non_empty(value)?,
                "cabundle" => request.certificates = non_empty(value)?,
                "lifecycleid" => request.lifecycle = non_empty(value)?.unwrap_or_default(),
                "volumemounts" => request.volumes = volumes(value)?,
                _ => {}
            }
        }
        Some(request)
    }
}

/// Reads names and values; null is the empty text, as for Go.
fn variables(value: Value) -> Option<BTreeMap<String, String>> {
    let variables: BTreeMap<String, Option<String>> = serde_json::from_value(value).ok()?;
    Some(variables.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect())
}

fn token(value: Value) -> Option<Secret> {
    let Value::String(token) = value else { return None };
    (!token.is_empty() && !token.contains('\\')).then(|| Secret::new(token))
}

/// What is no address is passed over, since envd starts such a sandbox too.
fn address(text: &str) -> Option<IpAddr> {
    let address = text.parse().ok();
    if address.is_none() {
        tracing::warn!("hyperloopIP is no address, and not applied");
    }
    address
}

/// Reads `[{"nfs_target","path"}]`; what a missing field means is for the mount to say.
fn volumes(value: Value) -> Option<Vec<Volume>> {
    let Value::Array(all) = value else { return None };
    all.into_iter()
        .map(|volume| {
            let Value::Object(fields) = volume else { return None };
            let mut volume = Volume { target: String::new(), path: "".into() };
            for (name, value) in fields {
                match name.to_ascii_lowercase().as_str() {
                    "nfs_target" => volume.target = non_empty(value)?.unwrap_or_default(),
                    "path" => volume.path = non_empty(value)?.unwrap_or_default().into(),
                    _ => {}
                }
            }
            Some(volume)
        })
        .collect()
}

/// Gives the text, `None` inside when it is empty; `None` outside when it is no text.
#[expect(clippy::option_option, reason = "a wrong type and an empty text are answered differently")]
fn non_empty(value: Value) -> Option<Option<String>> {
    let Value::String(text) = value else { return None };
    Some((!text.is_empty()).then_some(text))
}

/// Reads RFC 3339 as the time since the epoch; what lies before it, such as Go's zero time, is older than all others.
fn instant(text: &str) -> Option<Duration> {
    let timestamp: prost_types::Timestamp = text.parse().ok()?;
    let since_epoch = |seconds| Some(Duration::new(seconds, u32::try_from(timestamp.nanos).ok()?));
    u64::try_from(timestamp.seconds).map_or(Some(Duration::ZERO), since_epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_as_hosts_send_it() {
        let body =
            br#"{"TimeStamp":"2026-01-02T03:04:05.5+01:00","accessToken":"t","envVars":{"A":"1"},"defaultUser":"",
            "defaultWorkdir":"/code","hyperloopIP":"1.2.3.4","lifecycleID":null,"caBundle":"",
            "volumeMounts":[{"nfs_target":"1.2.3.4:/v","path":"/mnt","other":1}]}"#;
        let request = Request::parse(body).unwrap();
        assert_eq!(request.timestamp, Some(Duration::new(1_767_319_445, 500_000_000)));
        assert_eq!((request.user, request.workdir.as_deref()), (None, Some("/code")));
        assert!(request.token.is_some_and(|token| token.matches(b"t")));
        assert_eq!((request.services, request.certificates), (Some([1, 2, 3, 4].into()), None));
        let volume = Volume { target: "1.2.3.4:/v".into(), path: "/mnt".into() };
        assert_eq!((request.lifecycle.as_str(), request.volumes), ("", vec![volume]));
        let nulls = Request::parse(br#"{"envVars":{"A":null},"timestamp":"0001-01-01T00:00:00Z"}"#).unwrap();
        assert_eq!(nulls.variables.unwrap()["A"], "");
        assert_eq!(nulls.timestamp, Some(Duration::ZERO));
        assert!(Request::parse(b" ").is_some_and(|request| request.token.is_none() && request.variables.is_none()));
        let odd = Request::parse(br#"{"hyperloopIP":"nowhere","lifecycleid":"abc"}"#).unwrap();
        assert_eq!((odd.services, odd.lifecycle.as_str()), (None, "abc"));
    }

    #[test]
    fn a_body_that_cannot_be_meant_is_refused() {
        for body in [
            "{",
            "[]",
            "1",
            "{} x",
            r#"{"accessToken":""}"#,
            r#"{"accessToken":"a\\b"}"#,
            r#"{"accessToken":5}"#,
            r#"{"timestamp":"yesterday"}"#,
            r#"{"timestamp":1}"#,
            r#"{"envVars":[]}"#,
            r#"{"envVars":{"A":1}}"#,
            r#"{"defaultUser":{}}"#,
            r#"{"caBundle":1}"#,
            r#"{"hyperloopIP":1}"#,
            r#"{"volumeMounts":{}}"#,
            r#"{"volumeMounts":["/a"]}"#,
            r#"{"volumeMounts":[{"path":1}]}"#,
        ] {
            assert!(Request::parse(body.as_bytes()).is_none(), "{body}");
        }
    }
}
