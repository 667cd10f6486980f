use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, bind, connect, setsockopt, socket,
    sockopt,
};

use super::*;
use crate::sys::namespace::{apart, within};
use crate::sys::netlink::scratch;

/// Takes the manifest of the thread's own network alone: the machine's connections are not ours to end.
fn take(own_ports: &[u16]) -> Manifest {
    Manifest::of(vec![Inventory::take().unwrap()], own_ports)
}

/// The world outside: a listener in another network, for IPv4 and IPv6, at the other end of a cable.
fn outside() -> TcpListener {
    let there = scratch::network();
    scratch::up("lo");
    scratch::cable("eth0", "eth0", &there);
    scratch::address("eth0", "10.9.0.1", 24);
    scratch::address("eth0", "fd09::1", 64);
    let listen = || {
        scratch::address("eth0", "10.9.0.2", 24);
        scratch::address("eth0", "fd09::2", 64);
        TcpListener::bind("[::]:7000").unwrap()
    };
    within(&[there], listen).unwrap().pop().unwrap()
}

/// Both ends of a connection.
fn join(listener: &TcpListener, to: &str) -> (TcpStream, TcpStream) {
    let near = TcpStream::connect(to).unwrap();
    (near, listener.accept().unwrap().0)
}

fn reset(stream: TcpStream) {
    setsockopt(&stream, sockopt::Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
}

/// Connects from a given port.
fn join_from(listener: &TcpListener, from: u16) -> (TcpStream, TcpStream) {
    let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
    setsockopt(&fd, sockopt::ReuseAddr, &true).unwrap();
    bind(fd.as_raw_fd(), &SockaddrIn::new(10, 9, 0, 1, from)).unwrap();
    connect(fd.as_raw_fd(), &SockaddrIn::new(10, 9, 0, 2, 7000)).unwrap();
    (fd.into(), listener.accept().unwrap().0)
}

fn is_alive((near, far): &mut (TcpStream, TcpStream)) -> bool {
    let mut byte = [0];
    near.write_all(b"x").is_ok() && far.read_exact(&mut byte).is_ok() && byte == *b"x"
}

fn is_aborted((near, far): &mut (TcpStream, TcpStream)) -> bool {
    let aborted = near.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::ConnectionAborted);
    aborted && far.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

fn more_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}

#[test]
fn old_connections_end_and_new_ones_with_the_same_ends_do_not() {
    apart(|| {
        let listener = outside();
        let mut old = join(&listener, "10.9.0.2:7000");
        let mut old_v6 = join(&listener, "[fd09::2]:7000");
        let (near, far) = join_from(&listener, 40_000);
        let manifest = take(&[]);
        assert_eq!(manifest.len(), 3);
        reset(near);
        drop(far);
        let mut renewed = join_from(&listener, 40_000);
        let mut new = join(&listener, "10.9.0.2:7000");
        let ended = manifest.end();
        assert_eq!((ended.ended, ended.gone, ended.failed), (2, 1, 0), "{:?}", ended.error);
        assert!(is_aborted(&mut old) && is_aborted(&mut old_v6));
        assert!(is_alive(&mut renewed) && is_alive(&mut new));
        let again = manifest.end();
        assert_eq!((again.ended, again.gone, again.failed), (0, 3, 0), "{:?}", again.error);
    });
}

#[test]
fn connections_inside_the_guest_and_to_our_own_ports_stay() {
    apart(|| {
        let listener = outside();
        let loopback = TcpListener::bind("[::]:7001").unwrap();
        let mut inside: Vec<_> = ["127.0.0.1:7001", "[::1]:7001", "10.9.0.1:7001", "[fd09::1]:7001"]
            .iter()
            .map(|to| join(&loopback, to))
            .collect();
        let mut out = join(&listener, "10.9.0.2:7000");
        let port = out.0.local_addr().unwrap().port();
        assert_eq!(take(&[port]).len(), 0);
        assert!(take(&[port]).is_empty());
        let manifest = take(&[1]);
        assert_eq!(manifest.len(), 1);
        assert_eq!(manifest.end().ended, 1);
        assert!(is_aborted(&mut out));
        assert!(inside.iter_mut().all(is_alive));
        let found = established(7001).unwrap();
        assert_eq!(found.len(), 4);
        assert!(found.iter().any(|found| found.peer.ip() == "10.9.0.1".parse::<IpAddr>().unwrap()));
    });
}

#[test]
fn an_ipv4_connection_of_an_ipv6_socket_ends_too() {
    apart(|| {
        let listener = outside();
        let fd = socket(AddressFamily::Inet6, SockType::Stream, SockFlag::empty(), None).unwrap();
        let to = SockaddrIn6::from("[::ffff:10.9.0.2]:7000".parse::<std::net::SocketAddrV6>().unwrap());
        assert!(to.len() > 0);
        connect(fd.as_raw_fd(), &to).unwrap();
        let mut mapped = (TcpStream::from(fd), listener.accept().unwrap().0);
        let manifest = take(&[]);
        assert_eq!((manifest.len(), manifest.end().ended), (1, 1));
        assert!(is_aborted(&mut mapped));
    });
}

#[test]
fn a_connection_attempt_that_nobody_answers_ends() {
    apart(|| {
        let _listener = outside();
        let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_NONBLOCK, None).unwrap();
        // Nobody has this address, so the attempt waits for a neighbour.
        let _ = connect(fd.as_raw_fd(), &SockaddrIn::new(10, 9, 0, 77, 7000));
        let manifest = take(&[]);
        assert_eq!((manifest.len(), manifest.end().ended), (1, 1));
        let error = nix::sys::socket::getsockopt(&fd, sockopt::SocketError).unwrap();
        assert_eq!(error, nix::libc::ECONNABORTED);
    });
}

#[test]
fn a_thousand_connections_end_at_once_and_their_blocked_readers_wake() {
    apart(|| {
        more_files();
        let listener = outside();
        let mut pairs: Vec<_> = (0..1000).map(|_| join(&listener, "10.9.0.2:7000")).collect();
        let mut blocked = pairs[500].0.try_clone().unwrap();
        let reader = std::thread::spawn(move || blocked.read(&mut [0]).map_err(|error| error.kind()));
        let began = Instant::now();
        let manifest = take(&[]);
        let taken = began.elapsed();
        assert_eq!(manifest.len(), 1000);
        let began = Instant::now();
        let ended = manifest.end();
        let took = began.elapsed();
        assert_eq!((ended.ended, ended.gone, ended.failed), (1000, 0, 0), "{:?}", ended.error);
        assert_eq!(reader.join().unwrap(), Err(ErrorKind::ConnectionAborted));
        assert!(pairs.iter_mut().enumerate().all(|(number, pair)| number == 500 || is_aborted(pair)));
        println!("listed in {taken:?}, ended in {took:?}");
        // 25 ms are what it may take; a machine that is busy with other tests gets more.
        assert!(took < Duration::from_millis(250), "{took:?}");
    });
}

#[test]
fn this_machine_can_end_connections() {
    assert!(available());
    apart(|| assert!(available()));
}
