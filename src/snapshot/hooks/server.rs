//! The files that say where a server wants to be asked.
//!
//! ```text
//! # web.http
//! freeze http://127.0.0.1:8080/suspend
//! thaw http://unix:/run/web.sock:/resume
//! timeout_ms 300
//! ```
//! Only loopback addresses and unix sockets: the servers that a freeze concerns are inside this guest. Anything
//! farther away would make a pause wait for a network, and would be reached before the guest's address is repaired.
//! For the same reason there is no name lookup and no TLS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::HookError;

/// Says where a server is asked, and how long it may take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) freeze: Option<Address>,
    pub(super) thaw: Option<Address>,
    pub(super) timeout: Option<Duration>,
}

/// Names one resource of a server in this guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) place: Place,
    /// For the `Host` field.
    pub(super) authority: String,
    /// Path and query.
    pub(super) target: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Tried in order.
    Tcp(Vec<SocketAddr>),
    Unix(PathBuf),
}

/// The port of an address that names none (RFC 9110, 4.2.1).
const PORT: u16 = 80;

impl FromStr for Server {
    type Err = HookError;

    fn from_str(text: &str) -> Result<Self, HookError> {
        let mut server = Self::default();
        for (line, words) in text.lines().map(str::split_whitespace).map(Vec::from_iter).enumerate() {
            let failed = |why| HookError::Line { line: line + 1, why };
            match words[..] {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                ["freeze", address] => server.freeze = Some(address.parse().map_err(failed)?),
                ["thaw", address] => server.thaw = Some(address.parse().map_err(failed)?),
                ["timeout_ms", number] => {
                    let number = number.parse().map_err(|_| failed("not a number of milliseconds"))?;
                    server.timeout = Some(Duration::from_millis(number));
                }
                _ => return Err(failed("expected: freeze ADDRESS, thaw ADDRESS or timeout_ms NUMBER")),
            }
        }
        Ok(server)
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix("http://").ok_or("the address must begin with http://")?;
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the address has characters that must be written as %XX");
        }
        match rest.strip_prefix("unix:") {
            Some(rest) => unix(rest),
            None => tcp(rest),
        }
    }
}

/// `/run/web.sock:/resume`, as nginx writes it.
fn unix(rest: &str) -> Result<Address, &'static str> {
    let (socket, target) = rest.split_once(":/").unwrap_or((rest, ""));
    if !socket.starts_with('/') {
        return Err("the path of the socket must begin with /");
    }
    let place = Place::Unix(PathBuf::from(socket));
    Ok(Address { place, authority: "localhost".to_owned(), target: format!("/{target}") })
}

fn tcp(rest: &str) -> Result<Address, &'static str> {
    let (authority, target) = rest.split_once('/').unwrap_or((rest, ""));
    let places = places(authority).ok_or("expected an IP address or localhost, and perhaps a port")?;
    if !places.iter().all(|place| place.ip().is_loopback()) {
        return Err("only loopback addresses and unix sockets can be asked");
    }
    Ok(Address { place: Place::Tcp(places), authority: authority.to_owned(), target: format!("/{target}") })
}

fn places(authority: &str) -> Option<Vec<SocketAddr>> {
    if let Some(rest) = authority.strip_prefix("localhost") {
        let port = match rest.strip_prefix(':') {
            Some(port) => port.parse().ok()?,
            None if rest.is_empty() => PORT,
            None => return None,
        };
        // Servers told to listen at localhost take one of the two, and not all take the same.
        let both = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        return Some(both.map(|ip| SocketAddr::new(ip, port)).to_vec());
    }
    if let Ok(place) = authority.parse() {
        return Some(vec![place]);
    }
    let ip = authority.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(authority);
    Some(vec![(ip.parse::<IpAddr>().ok()?, PORT).into()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(authority: &str, places: &[&str], target: &str) -> Address {
        let place = Place::Tcp(places.iter().map(|place| place.parse().unwrap()).collect());
        Address { place, authority: authority.to_owned(), target: target.to_owned() }
    }

    #[test]
    fn a_description_says_where_and_how_long() {
        let text =
            "# ours\n\n freeze  http://127.0.0.1:8080/suspend?x=1\nthaw http://unix:/run/a.sock:/r\ntimeout_ms 7\n";
        let unix = Address {
            place: Place::Unix(PathBuf::from("/run/a.sock")),
            authority: "localhost".to_owned(),
            target: "/r".to_owned(),
        };
        let want = Server {
            freeze: Some(tcp("127.0.0.1:8080", &["127.0.0.1:8080"], "/suspend?x=1")),
            thaw: Some(unix),
            timeout: Some(Duration::from_millis(7)),
        };
        assert_eq!(text.parse::<Server>().unwrap(), want);
        assert_eq!("".parse::<Server>().unwrap(), Server::default());
    }

    #[test]
    fn every_way_to_write_this_machine_is_understood() {
        for (text, want) in [
            ("http://127.0.0.1", tcp("127.0.0.1", &["127.0.0.1:80"], "/")),
            ("http://127.9.8.7:1/", tcp("127.9.8.7:1", &["127.9.8.7:1"], "/")),
            ("http://[::1]/a/b", tcp("[::1]", &["[::1]:80"], "/a/b")),
            ("http://[::1]:8/", tcp("[::1]:8", &["[::1]:8"], "/")),
            ("http://localhost/x", tcp("localhost", &["127.0.0.1:80", "[::1]:80"], "/x")),
            ("http://localhost:9", tcp("localhost:9", &["127.0.0.1:9", "[::1]:9"], "/")),
        ] {
            assert_eq!(text.parse::<Address>().unwrap(), want, "{text}");
        }
    }

    #[test]
    fn what_is_elsewhere_or_cannot_be_meant_is_refused_with_its_line() {
        for address in [
            "https://127.0.0.1/",
            "http://10.0.0.1/",
            "http://169.254.169.254/latest",
            "http://example.com/",
            "http://localhost.example.com/",
            "http://localhost:99999/",
            "http://user@127.0.0.1/",
            "http://127.0.0.1:8080\u{e9}/",
            "http://unix:run/a.sock:/",
            "http://[::]:1/",
            "ftp://127.0.0.1/",
            "http://",
        ] {
            let failed = format!("\nfreeze {address}").parse::<Server>();
            assert!(matches!(failed, Err(HookError::Line { line: 2, .. })), "{address}: {failed:?}");
        }
        for line in ["freeze", "melt http://127.0.0.1/", "timeout_ms soon", "thaw http://127.0.0.1/ now"] {
            assert!(line.parse::<Server>().is_err(), "{line}");
        }
    }
}
