//! Which port of which sandbox a request is for: a pure rule.

#[cfg(test)]
mod tests;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, HOST};
use http::request::Parts;
use http::{HeaderMap, Method};

use super::guard::same;
use super::signature::Signed;
use crate::sandbox::SandboxId;
use crate::vm::AGENT_PORT;

/// Names a sandbox and its port; E2B's clients, then Novita's.
const HEADERS: [(&str, &str); 2] =
    [("e2b-sandbox-id", "e2b-sandbox-port"), ("novita-sandbox-id", "novita-sandbox-port")];
/// Guards the agent, and names the sandbox where nothing else does.
const TOKEN: &str = "x-access-token";

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) id: SandboxId,
    pub(super) port: u16,
}

/// A sandbox and the token that guards its agent.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) id: SandboxId,
    pub(super) token: String,
}

/// Why a request goes nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Astray {
    /// The same header twice: whoever stands between may have read the other one.
    #[error("the header {0} is given more than once")]
    Twice(&'static str),
    /// A sandbox without a port.
    #[error("the header {0} is missing")]
    NoPort(&'static str),
    /// No number from 1 to 65535.
    #[error("invalid sandbox port")]
    BadPort,
    /// Nothing that a sandbox could be called, or a key that fits none.
    #[error("The sandbox was not found")]
    Unknown(String),
    /// The head says nothing about a sandbox.
    #[error("invalid host: neither the Host nor a header names a sandbox")]
    Nowhere,
}

/// Finds where a request is to go: by the host, if it names a sandbox as `PORT-ID.anything`; by the headers of the
/// clients; by the access token; by the signature of a file's address. `keys` is asked only for the last two.
///
/// The original service reads the headers only where the host is `localhost`, an address or `sandbox.*`, so that no
/// header leads away from a host that names a sandbox. Here that is the rule itself: a client in a container calls this
/// machine by any name.
pub(super) fn route(head: &Parts, keys: impl FnOnce() -> Vec<Key>) -> Result<Target, Astray> {
    if let Some(target) = by_host(host(head)?) {
        return target;
    }
    for (id, port) in HEADERS {
        if let Some(id_value) = only(&head.headers, id)? {
            let port = only(&head.headers, port)?.ok_or(Astray::NoPort(port))?;
            let id = parse_id(id_value).ok_or_else(|| Astray::Unknown(shown(id_value)))?;
            return Ok(Target { id, port: parse_port(port).ok_or(Astray::BadPort)? });
        }
    }
    by_key(head, keys)
}

/// Gives the host that the request is addressed to, which an absolute target overrides.
pub(super) fn host(head: &Parts) -> Result<Option<&str>, Astray> {
    let header = only(&head.headers, HOST.as_str())?;
    Ok(head.uri.authority().map(http::uri::Authority::as_str).or(header).filter(|host| !host.is_empty()))
}

fn by_host(host: Option<&str>) -> Option<Result<Target, Astray>> {
    // `user@host` is no host, but names one.
    let host = host?.rsplit('@').next()?;
    let label = host.split(['.', ':']).next()?;
    let (port, id) = label.split_once('-')?;
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let id = parse_id(id).filter(|_| is_number)?;
    Some(parse_port(port).map(|port| Target { id, port }).ok_or(Astray::BadPort))
}

fn by_key(head: &Parts, keys: impl FnOnce() -> Vec<Key>) -> Result<Target, Astray> {
    let token = only(&head.headers, TOKEN)?.filter(|token| !token.is_empty());
    let signed = Signed::read(&operation(head), &head.uri);
    if token.is_none() && signed.is_none() {
        return Err(Astray::Nowhere);
    }
    let mut found = None;
    // All are looked at: how long it takes tells nothing about which one fits.
    for key in keys() {
        let fits = match (token, &signed) {
            (Some(token), _) => same(token, &key.token),
            (None, Some(signed)) => signed.is_by(&key.token),
            (None, None) => false,
        };
        if fits {
            found = Some(key.id);
        }
    }
    found.map(|id| Target { id, port: AGENT_PORT }).ok_or(Astray::Unknown(String::new()))
}

/// The method, or the one that a browser asks leave for.
fn operation(head: &Parts) -> Method {
    let asked = head.headers.get(ACCESS_CONTROL_REQUEST_METHOD).filter(|_| head.method == Method::OPTIONS);
    asked.and_then(|asked| Method::from_bytes(asked.as_bytes()).ok()).unwrap_or_else(|| head.method.clone())
}

/// Gives the value of a header that may be there once; what is no text is empty.
fn only<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Astray> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Astray::Twice(name));
    }
    Ok(first.map(|value| value.to_str().unwrap_or("").trim()))
}

/// Old clients append the name of a machine: `ID-CLIENT`.
fn parse_id(text: &str) -> Option<SandboxId> {
    let id = text.split_once('-').map_or(text, |(id, _)| id);
    SandboxId::parse(&id.to_ascii_lowercase())
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

/// What a client called the sandbox, short enough to be told again.
fn shown(text: &str) -> String {
    text.chars().take(63).collect()
}
