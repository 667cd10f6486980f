use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::*;
use crate::sys::namespace;
use crate::sys::netlink::scratch;

fn probe() -> PathBuf {
    let root = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(PathBuf::from);
    root.into_iter().find(|root| root.join("cgroup.controllers").exists()).unwrap()
}

#[test]
fn first() {
    namespace::apart(|| {
        scratch::up("lo");
        scratch::address("lo", "10.7.7.7", 32);
        let _ports = Ports::open(&Settings { cgroup: probe() }, &[]).unwrap();
        let server = TcpListener::bind("127.0.0.1:3000").unwrap();
        let far: SocketAddr = "10.7.7.7:3000".parse().unwrap();
        let mut client = TcpStream::connect_timeout(&far, Duration::from_secs(5)).unwrap();
        client.write_all(b"x").unwrap();
        let (mut taken, _) = server.accept().unwrap();
        let mut byte = [0];
        taken.read_exact(&mut byte).unwrap();
        assert_eq!(taken.local_addr().unwrap(), far);
    });
}
