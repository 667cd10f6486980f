//! What may not pass: requests that only the host makes, and ports that are not public.

use http::HeaderMap;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Opens the ports of a sandbox that are not public.
const TRAFFIC_TOKEN: &str = "e2b-traffic-access-token";
/// What only the host asks of an agent; the original proxy knows none of these either.
const INTERNAL: [&str; 7] = ["init", "freeze", "unfreeze", "collapse", "fsfreeze", "fsthaw", "upgrade"];
/// Our own services are for the host, as those who would wake or freeze a sandbox...
const OWN: &str = "thawd.v1.";
/// ... but for the one that programs and clients ask.
const OPEN: &str = "thawd.v1.Activity";

/// Compares in a time that does not depend on where two texts differ, or on their lengths.
pub(super) fn same(one: &str, other: &str) -> bool {
    let digest = |text: &str| Sha256::digest(text.as_bytes());
    digest(one).as_slice().ct_eq(digest(other).as_slice()).into()
}

/// Tells paths of the agent that are not for clients, however they are written: what the agent would not take for the
/// path is refused rather than understood differently.
pub(super) fn is_internal(path: &str) -> bool {
    let path = percent_decode_str(path).decode_utf8_lossy();
    let mut parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    match (parts.next(), parts.next()) {
        (Some(first), None) => INTERNAL.contains(&first) || is_own(first),
        (Some(first), Some(_)) => is_own(first),
        (None, _) => false,
    }
}

fn is_own(service: &str) -> bool {
    service.starts_with(OWN) && service != OPEN
}

/// Tells whether a request may go to a port that `token` guards.
pub(super) fn has_traffic_token(headers: &HeaderMap, token: &str) -> bool {
    let offered = headers.get(TRAFFIC_TOKEN).and_then(|offered| offered.to_str().ok());
    offered.is_some_and(|offered| same(offered, token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_host_asks_is_refused_however_it_is_written() {
        for path in [
            "/init",
            "/init/",
            "//init",
            "/./init",
            "/%69nit",
            "/freeze",
            "/unfreeze",
            "/collapse",
            "/fsfreeze",
            "/fsthaw",
            "/upgrade",
            "/thawd.v1.Lifecycle/Freeze",
            "/thawd.v1%2eLifecycle/Thaw",
            "//thawd.v1.Lifecycle//Status",
            "/thawd.v1.Something/New",
        ] {
            assert!(is_internal(path), "{path}");
        }
        for path in [
            "/",
            "*",
            "",
            "/health",
            "/files",
            "/initial",
            "/files/init",
            "/process.Process/Start",
            "/thawd.v1.Activity/Watch",
            "/metrics",
            "/%ff",
        ] {
            assert!(!is_internal(path), "{path}");
        }
    }

    #[test]
    fn texts_are_the_same_or_not() {
        assert!(same("", "") && same("a", "a"));
        assert!(!same("a", "b") && !same("a", "aa") && !same("", "a"));
    }
}
