//! What a shell must know so that SDKs come here.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A key for clients of an icebox that takes any: E2B's older SDKs insist on `e2b_` and hexadecimal digits.
const ANY_KEY: &str = "e2b_0000000000000000000000000000000000000000";

/// Writes the variables, one a line, and then that we are ready. All of it is out when this returns.
pub(super) fn tell(mut out: impl Write, api: SocketAddr, proxy: SocketAddr, key: Option<&str>) -> io::Result<()> {
    let (api, proxy, key) = (url(api), url(proxy), key.unwrap_or(ANY_KEY));
    let mut text = String::new();
    for family in ["E2B", "NOVITA"] {
        for (name, value) in [("API_URL", api.as_str()), ("SANDBOX_URL", &proxy), ("API_KEY", key)] {
            text += &format!("export {family}_{name}={}\n", quoted(value));
        }
    }
    text += "ready\n";
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Names an address so that a client on this machine gets there.
fn url(mut address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("http://{address}")
}

/// Writes a word that the shell takes as it is.
fn quoted(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:".contains(&byte);
    if !value.is_empty() && value.bytes().all(plain) {
        value.into()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_what_both_families_of_sdks_need() {
        let mut text = Vec::new();
        let address = |text: &str| text.parse().unwrap();
        tell(&mut text, address("0.0.0.0:3000"), address("[::1]:3001"), None).unwrap();
        let expected = format!(
            "export E2B_API_URL=http://127.0.0.1:3000\nexport E2B_SANDBOX_URL='http://[::1]:3001'\n\
             export E2B_API_KEY={ANY_KEY}\nexport NOVITA_API_URL=http://127.0.0.1:3000\n\
             export NOVITA_SANDBOX_URL='http://[::1]:3001'\nexport NOVITA_API_KEY={ANY_KEY}\nready\n"
        );
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn no_key_is_more_than_a_word_to_the_shell() {
        for (key, expected) in [("e2b_0a", "e2b_0a"), ("", "''"), ("a b", "'a b'"), ("$(x)'", r"'$(x)'\'''")] {
            assert_eq!(quoted(key), expected);
        }
    }
}
