//! Who may come in.

use std::net::IpAddr;

use http::{HeaderMap, StatusCode, header, uri::Authority};
use subtle::ConstantTimeEq;

use super::refusal::Refusal;

/// How clients come in, and what they are told of the way to a sandbox's ports.
#[derive(Clone, Debug, Default)]
pub struct Door {
    /// The key; any will do when `None`, but there must be one: a page from elsewhere cannot send it.
    pub key: Option<String>,
    /// `domain` of answers: ports of a sandbox are at `PORT-ID.DOMAIN`.
    pub domain: Option<String>,
    /// Only this machine can get here. Then a request for any other name than this machine's is from a browser that
    /// was told a wrong address for that name (DNS rebinding), and refused.
    pub local: bool,
}

impl Door {
    /// Lets a call in, or says why not. The key comes as `X-API-KEY`, or as `Authorization: Bearer`, which old command
    /// lines send for templates.
    pub(super) fn enter(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if !self.is_ours(headers) {
            let why = "this host answers to localhost, addresses and its --domain only; the Host header names another";
            return Err(Refusal::new(StatusCode::FORBIDDEN, why));
        }
        let unauthorized = |why| Err(Refusal::new(StatusCode::UNAUTHORIZED, why));
        let Some(given) = key(headers) else { return unauthorized("an API key is missing: send it as X-API-KEY") };
        match &self.key {
            Some(right) if !bool::from(right.as_bytes().ct_eq(given)) => unauthorized("the API key is wrong"),
            _ => Ok(()),
        }
    }

    /// Whether the request was meant for us. Browsers always say; who says nothing is none.
    #[must_use]
    pub fn is_ours(&self, headers: &HeaderMap) -> bool {
        let Some(host) = headers.get(header::HOST) else { return true };
        let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        !self.local || authority.is_some_and(|authority| self.is_our_name(authority.host()))
    }

    fn is_our_name(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let domain = self.domain.as_deref().map(|domain| domain.rsplit_once(':').map_or(domain, |(name, _)| name));
        let below = |domain: &str| name == domain || name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        let address = name.trim_start_matches('[').trim_end_matches(']');
        address.parse::<IpAddr>().is_ok() || below("localhost") || domain.is_some_and(below)
    }
}

fn key(headers: &HeaderMap) -> Option<&[u8]> {
    let key = headers.get("x-api-key").map(|key| key.as_bytes());
    let bearer = || headers.get(header::AUTHORIZATION)?.as_bytes().strip_prefix(b"Bearer ");
    key.or_else(bearer).filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(door: &Door, sent: &[(&'static str, &str)]) -> u16 {
        let headers = sent.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        door.enter(&headers).map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
    }

    #[test]
    fn a_key_is_needed_and_the_right_one_if_there_is_one() {
        let any = Door::default();
        let one = Door { key: Some("e2b_00".into()), ..Door::default() };
        for (sent, at_any, at_one) in [
            (vec![], 401, 401),
            (vec![("x-api-key", "")], 401, 401),
            (vec![("x-api-key", "e2b_00")], 200, 200),
            (vec![("X-API-KEY", "e2b_0")], 200, 401),
            (vec![("x-api-key", "e2b_000")], 200, 401),
            (vec![("authorization", "Bearer e2b_00")], 200, 200),
            (vec![("authorization", "Bearer ")], 401, 401),
            (vec![("authorization", "Basic e2b_00")], 401, 401),
            // One that is sent counts, and a second way in does not make up for it.
            (vec![("x-api-key", "x"), ("authorization", "Bearer e2b_00")], 200, 401),
        ] {
            assert_eq!((status(&any, &sent), status(&one, &sent)), (at_any, at_one), "{sent:?}");
        }
    }

    #[test]
    fn a_local_door_does_not_answer_to_names_of_others() {
        let door = Door { local: true, domain: Some("box.test:80".into()), ..Door::default() };
        for (host, expected) in [
            ("127.0.0.1:3000", 200),
            ("[::1]:3000", 200),
            ("localhost", 200),
            ("LOCALHOST:1", 200),
            ("api.localhost:1", 200),
            ("box.test", 200),
            ("api.box.test", 200),
            ("evil.example", 403),
            ("evil.example:3000", 403),
            ("notlocalhost", 403),
            ("localhost.evil.example", 403),
            ("127.0.0.1.evil.example", 403),
            ("", 403),
            ("a b", 403),
        ] {
            assert_eq!(status(&door, &[("host", host), ("x-api-key", "x")]), expected, "{host}");
        }
        let open = Door { local: false, ..door };
        assert_eq!(status(&open, &[("host", "evil.example"), ("x-api-key", "x")]), 200);
    }
}
