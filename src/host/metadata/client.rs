//! The two questions of version 2: for a token of a session, and with it for the document.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::timeout;

use super::MetadataError;
use super::exchange::ask;
use crate::identity::TokenHash;

/// How long both may take together (envd's value).
const LIMIT: Duration = Duration::from_secs(10);
/// Longest session token that we hand back; Firecracker's have 48 to 70 letters.
const SESSION_MOST: usize = 1024;
/// The port of an address that names none.
const PORT: u16 = 80;

/// Says where the service is: an IP address and a port, written as `http://ADDRESS[:PORT]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint(pub SocketAddr);

impl Default for Endpoint {
    /// The link-local address that is given to metadata services everywhere.
    fn default() -> Self {
        Self(([169, 254, 169, 254], PORT).into())
    }
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix("http://").ok_or("the address must begin with http://")?;
        let place = rest.strip_suffix('/').unwrap_or(rest);
        let with_port = || Some(SocketAddr::new(place.trim_matches(['[', ']']).parse().ok()?, PORT));
        let place = place.parse().ok().or_else(with_port);
        place.map(Self).ok_or("expected an IP address, and perhaps a port")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

/// What the host tells about this sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Names the sandbox.
    pub sandbox: String,
    /// Names what it was made from.
    pub template: String,
    /// Of the access token.
    pub token: Option<TokenHash>,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct Document {
    #[serde(rename = "instanceID")]
    instance: Option<String>,
    #[serde(rename = "envID")]
    env: Option<String>,
    access_token_hash: Option<String>,
}

impl Endpoint {
    /// Asks both questions, at most 10 s. Cancelling closes the connection.
    ///
    /// # Errors
    /// See [`MetadataError`].
    pub(super) async fn facts(self) -> Result<Facts, MetadataError> {
        timeout(LIMIT, self.ask_both()).await.map_err(|_| MetadataError::Late(LIMIT))?
    }

    async fn ask_both(self) -> Result<Facts, MetadataError> {
        let begin = "X-metadata-token-ttl-seconds: 60\r\nContent-Length: 0\r\n";
        let session = ask(self.0, self.request("PUT /latest/api/token", begin).as_bytes()).await?;
        let session = std::str::from_utf8(&session).unwrap_or_default().trim();
        let is_plain = session.bytes().all(|byte| byte.is_ascii_graphic());
        if session.is_empty() || session.len() > SESSION_MOST || !is_plain {
            return Err(MetadataError::Odd("a token that cannot be meant"));
        }
        let known = format!("X-metadata-token: {session}\r\nAccept: application/json\r\n");
        let document = ask(self.0, self.request("GET /", &known).as_bytes()).await?;
        let document: Document = serde_json::from_slice(&document).map_err(MetadataError::Document)?;
        Ok(Facts {
            sandbox: document.instance.unwrap_or_default(),
            template: document.env.unwrap_or_default(),
            token: TokenHash::new(&document.access_token_hash.unwrap_or_default()),
        })
    }

    fn request(self, line: &str, fields: &str) -> String {
        format!("{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{fields}\r\n", self.0.ip())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_and_a_port() {
        for (text, place) in [
            ("http://169.254.169.254", "169.254.169.254:80"),
            ("http://127.0.0.1:8080/", "127.0.0.1:8080"),
            ("http://[fd00::1]", "[fd00::1]:80"),
            ("http://[fd00::1]:81", "[fd00::1]:81"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().0, place.parse().unwrap(), "{text}");
        }
        for text in ["169.254.169.254", "https://1.2.3.4", "http://metadata", "http://1.2.3.4/x", "http://"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
        assert_eq!(Endpoint::default().to_string(), "http://169.254.169.254:80");
    }
}
