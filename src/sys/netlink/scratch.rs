//! Networks for tests: two namespaces with a cable between them.

use std::fs::{self, File};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::libc;

use super::link::{self, Held, add_address, index};
use super::{Family, Follow, Message, Socket};
use crate::sys::namespace;

/// Gives the thread's network namespace.
pub(crate) fn own() -> File {
    File::open("/proc/thread-self/ns/net").unwrap()
}

/// Opens a socket for routes in the thread's network.
pub(crate) fn routes() -> Socket {
    Socket::open(Family::Route, Follow::Nothing).unwrap()
}

/// Makes a network of its own with nothing in it but a loopback that is up.
pub(crate) fn network() -> File {
    namespace::apart(|| {
        up("lo");
        own()
    })
}

/// Lays a cable from `name` in the thread's network to `peer` in another one; both ends are up.
pub(crate) fn cable(name: &str, peer: &str, there: &File) {
    let far = [vec![0; 16], attribute(3, &text(peer)), attribute(28, &there.as_raw_fd().to_ne_bytes())].concat();
    let data = attribute(2, &attribute(1, &far));
    let info = [attribute(1, b"veth"), data].concat();
    let mut message = Message::new(libc::RTM_NEWLINK, &[0; 16]).with(3, &text(name)).with(18, &info);
    routes().change(&mut message, libc::NLM_F_CREATE | libc::NLM_F_EXCL).unwrap();
    up(name);
    let peer = peer.to_owned();
    namespace::within(std::slice::from_ref(there), move || up(&peer)).unwrap();
}

/// Takes an interface up.
pub(crate) fn up(name: &str) {
    link::up(&mut routes(), index(name).unwrap()).unwrap();
}

/// Gives an interface an address, and waits until the kernel knows it as its own, which it does later for IPv6.
pub(crate) fn address(name: &str, ip: &str, prefix: u8) {
    let ip: IpAddr = ip.parse().unwrap();
    add_address(&mut routes(), &Held { index: index(name).unwrap(), ip, prefix }).unwrap();
    if let IpAddr::V6(ip) = ip {
        let own = format!("{:032x} 80 ", u128::from(ip));
        let deadline = Instant::now() + Duration::from_secs(10);
        while !fs::read_to_string("/proc/thread-self/net/ipv6_route").unwrap().contains(&own) {
            assert!(Instant::now() < deadline, "{ip} is not there");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn text(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap();
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
