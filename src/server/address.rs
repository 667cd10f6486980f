//! Where to listen.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Names one place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `tcp://HOST:PORT`, the host an IP address.
    Tcp(SocketAddr),
    /// `unix:///PATH`.
    Unix(PathBuf),
    /// `vsock://CID:PORT`, or `vsock://PORT` for every context id that reaches this machine.
    Vsock {
        /// Context id; `u32::MAX` (VMADDR_CID_ANY) for all.
        cid: u32,
        /// Port.
        port: u32,
    },
}

/// Says what is wrong with an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an address: write tcp://IP:PORT, unix:///PATH, vsock://CID:PORT or vsock://PORT")]
pub struct AddressError(String);

/// VMADDR_CID_ANY of vsock(7).
const CID_ANY: u32 = u32::MAX;

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        match scheme {
            "tcp" => rest.replace("localhost:", "127.0.0.1:").parse().map(Self::Tcp).map_err(|_| wrong()),
            "unix" if rest.starts_with('/') => Ok(Self::Unix(PathBuf::from(rest))),
            "vsock" => {
                let (cid, port) = rest.split_once(':').unwrap_or(("", rest));
                let cid = if matches!(cid, "" | "*") { Ok(CID_ANY) } else { cid.parse() };
                Ok(Self::Vsock { cid: cid.map_err(|_| wrong())?, port: port.parse().map_err(|_| wrong())? })
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Vsock { cid: CID_ANY, port } => write!(f, "vsock://{port}"),
            Self::Vsock { cid, port } => write!(f, "vsock://{cid}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_as_it_is_written() {
        for text in ["tcp://0.0.0.0:49983", "tcp://[::1]:1", "unix:///run/thawd.sock", "vsock://3:5", "vsock://5"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("tcp://localhost:7".parse::<Address>().unwrap().to_string(), "tcp://127.0.0.1:7");
        for text in ["", "49983", "tcp://", "tcp://host:1", "unix://relative", "vsock://x", "http://1.2.3.4:5"] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }
}
