//! Who is reached, and who is not.

use std::net::{TcpListener, TcpStream};

use super::stage::{Wish, on_stage, serve, serve_as};
use crate::sys::namespace;
use crate::sys::netlink::scratch;

#[test]
fn a_server_on_localhost_is_reached_from_outside_as_if_it_listened_there() {
    on_stage(|stage| {
        let _ports = stage.open();
        let server = serve("127.0.0.1:3000");
        let client = stage.call("10.66.0.2:3000").unwrap();
        let (taken, peer) = server.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap(), "it sees who calls");
        assert_eq!(taken.local_addr().unwrap().to_string(), "10.66.0.2:3000");
        // Its own clients are as before.
        let near = TcpStream::connect("127.0.0.1:3000").unwrap();
        assert_eq!(server.accept().unwrap().1, near.local_addr().unwrap());
    });
}

#[test]
fn without_the_programs_it_is_refused_before_and_after() {
    on_stage(|stage| {
        let _server = serve("127.0.0.1:3000");
        assert!(stage.refuses("10.66.0.2:3000"));
        drop(stage.open());
        assert!(stage.refuses("10.66.0.2:3000"), "nothing is left attached");
        // More often than the kernel lets programs be attached at once (64).
        for _ in 0..70 {
            drop(stage.open());
        }
    });
}

#[test]
fn a_server_on_v6_loopback_takes_both_families_as_node_expects() {
    on_stage(|stage| {
        let _ports = stage.open();
        let server = serve("[::1]:3000");
        assert!(stage.reaches("[fd66::2]:3000", &server));
        assert!(stage.reaches("10.66.0.2:3000", &server));
    });
}

#[test]
fn a_server_for_v6_alone_is_called_by_v4_too() {
    on_stage(|stage| {
        let _ports = stage.open();
        let server = serve_as("[::1]:3000", Wish { only_v6: true, ..Wish::default() });
        assert!(stage.reaches("[fd66::2]:3000", &server));
        assert!(stage.reaches("10.66.0.2:3000", &server));
        // With its twin for the other family, as asyncio makes it, each takes its own.
        let twin = serve("127.0.0.1:3000");
        assert_eq!(stage.served_by("10.66.0.2:3000", &[&server, &twin]), Some(1));
        assert_eq!(stage.served_by("[fd66::2]:3000", &[&server, &twin]), Some(0));
    });
}

#[test]
fn a_mapped_address_is_that_of_v4() {
    on_stage(|stage| {
        let _ports = stage.open();
        let server = serve("[::ffff:127.0.0.1]:3000");
        assert!(stage.reaches("10.66.0.2:3000", &server));
        assert!(stage.reaches("[fd66::2]:3000", &server));
    });
}

#[test]
fn a_port_without_a_server_is_refused() {
    on_stage(|stage| {
        let _ports = stage.open();
        let _server = serve("127.0.0.1:3000");
        assert!(stage.refuses("10.66.0.2:3001") && stage.refuses("[fd66::2]:3001"));
    });
}

#[test]
fn a_server_on_all_addresses_is_none_of_our_business() {
    on_stage(|stage| {
        let _ports = stage.open();
        let (four, six) = (serve("0.0.0.0:3000"), serve("[::]:3001"));
        assert!(stage.reaches("10.66.0.2:3000", &four));
        assert!(stage.reaches("10.66.0.2:3001", &six) && stage.reaches("[fd66::2]:3001", &six));
    });
}

#[test]
fn other_loopback_addresses_stay_inside_and_take_nothing() {
    on_stage(|stage| {
        let _ports = stage.open();
        let _resolver = serve("127.0.0.53:53");
        assert!(stage.refuses("10.66.0.2:53"));
        let _server = serve("127.0.0.1:3000");
        assert!(TcpStream::connect("127.0.0.2:3000").is_err(), "calls to loopback are not steered");
        assert!(TcpStream::connect("[::1]:3000").is_err());
    });
}

#[test]
fn servers_of_containers_stay_theirs() {
    on_stage(|stage| {
        let _ports = stage.open();
        let container = scratch::network();
        let serve: fn() -> TcpListener = || serve("127.0.0.1:3000");
        let _server = namespace::within(std::slice::from_ref(&container), serve).unwrap().remove(0);
        assert!(stage.refuses("10.66.0.2:3000"));
    });
}
