use std::process::Command;

use super::*;
use crate::sys::namespace::apart;
use crate::sys::netlink::scratch;
use crate::sys::place::tests::Folder;

fn wanted(addresses: &[&str], gateway: Option<&str>) -> Wanted {
    let interface = Interface {
        name: "eth0".to_owned(),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
    };
    Wanted { interfaces: vec![interface], dns: Vec::new() }
}

/// A network with one interface, at the other end of which nobody is.
fn guest<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    apart(|| {
        scratch::up("lo");
        // The network at the other end, and the cable with it, live as long as somebody holds it.
        let there = scratch::network();
        scratch::cable("eth0", "eth0", &there);
        work()
    })
}

fn present() -> Vec<String> {
    let found = held(&mut scratch::routes(), link::index("eth0").unwrap()).unwrap();
    let mut found: Vec<_> = found
        .iter()
        .filter(|held| !is_link_local(held.ip))
        .map(|held| format!("{}/{}", held.ip, held.prefix))
        .collect();
    found.sort();
    found
}

fn defaults() -> Vec<(String, u32)> {
    let found = link::defaults(&mut scratch::routes()).unwrap();
    found.iter().map(|route| (route.gateway.unwrap().to_string(), route.metric)).collect()
}

fn set_default(gateway: &str, metric: u32) {
    let (index, gateway) = (link::index("eth0").unwrap(), gateway.parse().unwrap());
    let route = link::Default { index, gateway: Some(gateway), is_v6: gateway.is_ipv6(), metric };
    link::replace_default(&mut scratch::routes(), &route).unwrap();
}

fn sure(wanted: &Wanted) -> Changed {
    let changed = apply(wanted);
    assert!(changed.faults.is_empty(), "{:?}", changed.faults);
    changed
}

#[test]
fn an_address_of_the_same_network_takes_the_place_of_another() {
    guest(|| {
        scratch::address("eth0", "10.0.0.2", 24);
        scratch::address("eth0", "fd00::2", 64);
        set_default("10.0.0.1", 100);
        let changed = sure(&wanted(&["10.0.0.3/24", "fd00::3/64"], Some("10.0.0.254")));
        assert_eq!((changed.added, changed.removed, changed.routes), (2, 2, 1));
        assert_eq!(present(), ["10.0.0.3/24", "fd00::3/64"]);
        assert_eq!(defaults(), [("10.0.0.254".to_owned(), 100)]);
        let promote = fs::read_to_string("/proc/sys/net/ipv4/conf/eth0/promote_secondaries").unwrap();
        assert_eq!(promote.trim(), "0");
        let again = sure(&wanted(&["10.0.0.3/24", "fd00::3/64"], Some("10.0.0.254")));
        assert_eq!((again.added, again.removed, again.routes), (0, 0, 0));
    });
}

#[test]
fn a_gateway_outside_the_network_and_one_of_ipv6_are_set() {
    guest(|| {
        scratch::address("eth0", "10.0.0.2", 24);
        set_default("10.0.0.1", 0);
        set_default("10.0.0.1", 300);
        sure(&wanted(&["192.168.7.9/32"], Some("169.254.0.1")));
        assert_eq!(present(), ["192.168.7.9/32"]);
        assert_eq!(defaults(), [("169.254.0.1".to_owned(), 0)]);
        let changed = sure(&wanted(&["192.168.7.9/32", "fd01::9/64"], Some("fd01::1")));
        assert_eq!((changed.added, changed.removed), (1, 0));
        assert_eq!(defaults(), [("169.254.0.1".to_owned(), 0), ("fd01::1".to_owned(), 1024)]);
    });
}

#[test]
fn a_default_route_survives_an_address_that_goes() {
    guest(|| {
        scratch::address("eth0", "10.0.0.2", 24);
        set_default("10.0.0.1", 0);
        sure(&wanted(&["10.0.0.9/25"], None));
        assert_eq!(defaults(), [("10.0.0.1".to_owned(), 0)]);
        sure(&wanted(&["10.0.0.9/24"], None));
        assert_eq!((present(), defaults()), (vec!["10.0.0.9/24".to_owned()], vec![("10.0.0.1".to_owned(), 0)]));
    });
}

#[test]
fn a_prefix_alone_can_change() {
    guest(|| {
        scratch::address("eth0", "fd00::2", 64);
        scratch::address("eth0", "10.0.0.2", 24);
        sure(&wanted(&["fd00::2/96", "10.0.0.2/16"], None));
        assert_eq!(present(), ["10.0.0.2/16", "fd00::2/96"]);
    });
}

#[test]
fn neighbours_that_were_learned_are_forgotten_and_those_that_were_set_are_not() {
    guest(|| {
        scratch::address("eth0", "10.0.0.2", 24);
        scratch::address("eth0", "fd00::2", 64);
        for (ip, state) in [("10.0.0.5", "stale"), ("10.0.0.6", "permanent"), ("fd00::5", "reachable")] {
            let arguments = ["neigh", "replace", ip, "lladdr", "02:00:00:00:00:01", "dev", "eth0", "nud", state];
            assert!(Command::new("ip").args(arguments).status().unwrap().success());
        }
        let changed = sure(&Wanted::default());
        assert_eq!(changed.neighbours, 2);
        assert_eq!(sure(&Wanted::default()).neighbours, 0);
        let left = Command::new("ip").args(["neigh", "show", "nud", "permanent"]).output().unwrap();
        assert!(String::from_utf8(left.stdout).unwrap().starts_with("10.0.0.6 "));
    });
}

#[test]
fn what_cannot_be_done_is_named_and_the_rest_is_done() {
    guest(|| {
        let mut wanted = wanted(&["10.0.0.3/24", "ff02::1/64", "fd00::3/64"], None);
        wanted.interfaces.insert(0, Interface { name: "../eth7".into(), addresses: Vec::new(), gateway: None });
        let changed = apply(&wanted);
        let faults: Vec<_> = changed.faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults, ["cannot change the interface ../eth7", "cannot add the address ff02::1/64"]);
        assert_eq!(present(), ["10.0.0.3/24", "fd00::3/64"]);
        assert!(available());
    });
}

#[test]
fn name_servers_change_and_other_lines_stay() {
    let folder = Folder::new("dns");
    let path = folder.0.join("resolv.conf");
    fs::write(&path, "# ours\nsearch example\nnameserver 10.0.0.1\noptions ndots:2").unwrap();
    let servers: Vec<IpAddr> = ["1.1.1.1", "fd00::53"].iter().map(|server| server.parse().unwrap()).collect();
    let mut changed = Changed::default();
    changed.servers(&path, &servers);
    assert!(changed.dns && changed.faults.is_empty());
    let want = "# ours\nsearch example\noptions ndots:2\nnameserver 1.1.1.1\nnameserver fd00::53\n";
    assert_eq!(fs::read_to_string(&path).unwrap(), want);
    changed.servers(&path, &servers);
    assert!(!changed.dns);
    changed.servers(&folder.0.join("none/resolv.conf"), &servers);
    assert_eq!(changed.faults.len(), 1);
}

#[test]
fn addresses_are_read_with_their_prefix_only() {
    let parse = |text: &str| text.parse::<Address>().ok().map(|address| (address.ip.to_string(), address.prefix));
    assert_eq!(parse("10.0.0.2/24"), Some(("10.0.0.2".to_owned(), 24)));
    assert_eq!(parse("fd00::1/128"), Some(("fd00::1".to_owned(), 128)));
    for wrong in ["10.0.0.2", "10.0.0.2/33", "fd00::1/129", "/24", "10.0.0.2/", "10.0.0.2/-1", "x/8"] {
        assert_eq!(parse(wrong), None, "{wrong}");
    }
}
