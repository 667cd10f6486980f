//! The `ip=` word of the kernel command line, which kernels without `CONFIG_IP_PNP` leave to user space.

use std::net::Ipv4Addr;

/// Holds what `ip=` says (Documentation/admin-guide/nfs/nfsroot.rst).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Address {
    /// Our own address.
    pub(super) client: Option<Ipv4Addr>,
    /// Next hop for everything that is not on the link.
    pub(super) gateway: Option<Ipv4Addr>,
    /// Leading ones of the network mask.
    pub(super) prefix: Option<u8>,
    /// Name of the machine.
    pub(super) hostname: Option<String>,
    /// Name of the interface; the first one that is no loopback when not said.
    pub(super) device: Option<String>,
    /// Name servers.
    pub(super) dns: Vec<Ipv4Addr>,
}

/// Says what is wrong with an `ip=`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum AddressError {
    /// A field is no address.
    #[error("{0:?} is no IPv4 address")]
    NoAddress(String),
    /// A mask with a hole.
    #[error("{0} is no network mask")]
    NoMask(Ipv4Addr),
    /// Only fixed addresses can be set.
    #[error("{0:?} is not supported: give the address")]
    Autoconfiguration(String),
}

impl Address {
    /// Parses `CLIENT:SERVER:GATEWAY:MASK:HOSTNAME:DEVICE:AUTOCONF:DNS:DNS:NTP`, fields of which may be empty or
    /// missing at the end. `None` for a word that asks for nothing (`off`, `none`).
    ///
    /// # Errors
    /// A field that cannot be read, and address servers (`dhcp`), which only the kernel asks.
    pub(super) fn parse(word: &str) -> Result<Option<Self>, AddressError> {
        let fields: Vec<&str> = word.split(':').collect();
        let field = |index: usize| fields.get(index).copied().filter(|text| !text.is_empty());
        let autoconf = if fields.len() == 1 && word.parse::<Ipv4Addr>().is_err() { field(0) } else { field(6) };
        match autoconf {
            None | Some("off" | "none") if fields.len() > 1 || autoconf.is_none() => {}
            Some("off" | "none") => return Ok(None),
            _ if field(0).is_some_and(|text| text.parse::<Ipv4Addr>().is_ok()) => {}
            Some(other) => return Err(AddressError::Autoconfiguration(other.to_owned())),
            None => {}
        }
        let address = |index: usize| field(index).map(parse).transpose();
        Ok(Some(Self {
            client: address(0)?,
            gateway: address(2)?,
            prefix: address(3)?.map(prefix).transpose()?,
            hostname: field(4).map(str::to_owned),
            device: field(5).map(str::to_owned),
            dns: [7, 8].into_iter().filter_map(field).map(parse).collect::<Result<_, _>>()?,
        }))
    }

    /// Gives the length of the mask; without one, that of the address's old class, as the kernel does.
    pub(super) fn prefix(&self) -> u8 {
        let class = |client: Ipv4Addr| match client.octets()[0] {
            0..=127 => 8,
            128..=191 => 16,
            _ => 24,
        };
        self.prefix.or_else(|| self.client.map(class)).unwrap_or(32)
    }
}

fn parse(text: &str) -> Result<Ipv4Addr, AddressError> {
    text.parse().map_err(|_| AddressError::NoAddress(text.to_owned()))
}

fn prefix(mask: Ipv4Addr) -> Result<u8, AddressError> {
    let bits = mask.to_bits();
    let ones = bits.leading_ones();
    match bits.checked_shl(ones) {
        None | Some(0) => Ok(u8::try_from(ones).unwrap_or(32)),
        Some(_) => Err(AddressError::NoMask(mask)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(word: &str) -> Address {
        Address::parse(word).unwrap().unwrap()
    }

    #[test]
    fn every_field_is_read() {
        let found = address("169.254.0.21::169.254.0.22:255.255.255.252:instance:eth0:off:8.8.8.8:1.1.1.1");
        let expected = Address {
            client: Some([169, 254, 0, 21].into()),
            gateway: Some([169, 254, 0, 22].into()),
            prefix: Some(30),
            hostname: Some("instance".to_owned()),
            device: Some("eth0".to_owned()),
            dns: vec![[8, 8, 8, 8].into(), [1, 1, 1, 1].into()],
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn fields_may_be_missing() {
        let found = address("10.0.2.15");
        assert_eq!((found.client, found.prefix()), (Some([10, 0, 2, 15].into()), 8));
        assert_eq!(address("192.168.1.2::192.168.1.1").prefix(), 24);
        assert_eq!(address("172.16.0.2:::255.255.255.255").prefix(), 32);
        assert_eq!(address("10.0.0.1::::::dhcp").client, Some([10, 0, 0, 1].into()), "a given address counts");
        assert_eq!(address("::::name:eth1:off").hostname.as_deref(), Some("name"));
    }

    #[test]
    fn nothing_is_asked_for_by_off() {
        assert_eq!(Address::parse("off"), Ok(None));
        assert_eq!(Address::parse("none"), Ok(None));
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        assert_eq!(Address::parse("dhcp"), Err(AddressError::Autoconfiguration("dhcp".to_owned())));
        assert_eq!(Address::parse(":::::eth0:dhcp"), Err(AddressError::Autoconfiguration("dhcp".to_owned())));
        assert_eq!(Address::parse("10.0.0.1::x"), Err(AddressError::NoAddress("x".to_owned())));
        assert!(matches!(Address::parse("10.0.0.1:::255.0.255.0"), Err(AddressError::NoMask(_))));
    }
}
