//! What changes in a head on its way: only what belongs to the connection and not to the message.

use std::net::IpAddr;

use http::header::{
    CONNECTION, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Uri, Version};

use crate::sandbox::View;
use crate::vm::AGENT_PORT;

/// Headers of a connection, beside those that `Connection` names (RFC 9110, section 7.6.1). `Trailer` stays: it tells of
/// the message, and trailers pass.
const OF_CONNECTION: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Stands for the port in the host that a sandbox's servers shall see.
const PORT: &str = "${PORT}";

/// Gives the protocol that a client wants to change to. Never HTTP/2: its requests would pass unread.
pub(super) fn wanted_upgrade(head: &Parts) -> Option<HeaderValue> {
    let protocol = head.headers.get(UPGRADE)?;
    let asks = head.version == Version::HTTP_11 && named(&head.headers, "upgrade");
    let is_http2 = protocol
        .to_str()
        .is_ok_and(|text| text.split(',').any(|name| name.trim().to_ascii_lowercase().starts_with("h2")));
    (asks && !is_http2).then(|| protocol.clone())
}

/// Tells whether `Connection` names a word.
fn named(headers: &HeaderMap, word: &str) -> bool {
    let texts = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(|name| name.trim().eq_ignore_ascii_case(word))
}

/// Makes the head for the VM of one that came from `client`.
pub(super) fn inward(head: &mut Parts, host: Option<&str>, client: IpAddr, view: &View, port: u16) {
    let upgrade = wanted_upgrade(head);
    let trailers =
        head.headers.get_all(TE).iter().any(|te| {
            te.to_str().is_ok_and(|te| te.split(',').any(|word| word.trim().eq_ignore_ascii_case("trailers")))
        });
    let seen = host.and_then(|host| HeaderValue::from_str(host).ok());
    remove_of_connection(&mut head.headers);
    let headers = &mut head.headers;
    headers.insert(CONNECTION, HeaderValue::from_static(if upgrade.is_some() { "upgrade" } else { "close" }));
    if let Some(upgrade) = upgrade {
        headers.insert(UPGRADE, upgrade);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    headers.append(FORWARDED_FOR, address(client));
    if let Some(seen) = &seen {
        headers.entry(FORWARDED_HOST).or_insert_with(|| seen.clone());
    }
    headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
    let masked = view.mask_request_host.as_deref().filter(|mask| port != AGENT_PORT && !mask.is_empty());
    let masked = masked.and_then(|mask| HeaderValue::from_str(&mask.replace(PORT, &port.to_string())).ok());
    let own = || HeaderValue::from_str(&format!("localhost:{port}")).unwrap_or(HeaderValue::from_static("localhost"));
    headers.insert(HOST, masked.or(seen).unwrap_or_else(own));
    head.uri = origin_form(&head.uri);
    head.version = Version::HTTP_11;
    head.extensions.clear();
}

/// Makes the head for the client of one that came from a VM; `upgrade` where the connection becomes a tunnel.
pub(super) fn outward(head: &mut http::response::Parts, tunnel: bool) {
    let upgrade = head.headers.get(UPGRADE).cloned().filter(|_| tunnel);
    remove_of_connection(&mut head.headers);
    if let Some(upgrade) = upgrade {
        head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers.insert(UPGRADE, upgrade);
    }
    // Else an old server would make the connection of the client an old one.
    head.version = Version::HTTP_11;
}

fn remove_of_connection(headers: &mut HeaderMap) {
    let texts = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let words = texts.flat_map(|text| text.split(',')).filter_map(|word| word.trim().parse::<HeaderName>().ok());
    // Whose absence would change what the message is, they can't take away.
    let named: Vec<_> = words.filter(|name| *name != HOST && *name != http::header::CONTENT_LENGTH).collect();
    for name in named.iter().chain(&OF_CONNECTION) {
        headers.remove(name);
    }
}

fn address(client: IpAddr) -> HeaderValue {
    HeaderValue::from_str(&client.to_canonical().to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}

/// Leaves path and query, byte for byte.
fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from)
}

#[cfg(test)]
#[path = "tests/heads.rs"]
mod tests;
