//! Connections that cannot be handed over, and are carried.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::stage::{Wish, many_files, on_stage, serve, serve_as};

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_multipath_server_as_go_makes_them_is_reached_while_it_listens() {
    on_stage(|stage| {
        let multipath = Wish { multipath: true, ..Wish::default() };
        let older = serve_as("127.0.0.1:2999", multipath);
        let _ports = stage.open();
        assert!(stage.reaches("10.66.0.2:2999", &older));
        for at in ["127.0.0.1:3000", "[::1]:3000"] {
            let server = serve_as(at, multipath);
            assert!(stage.reaches("10.66.0.2:3000", &server), "{at}");
            assert!(stage.reaches("[fd66::2]:3000", &server), "{at}");
            drop(server);
            assert!(stage.refuses("10.66.0.2:3000") && stage.refuses("[fd66::2]:3000"), "{at}");
        }
    });
}

#[test]
fn everything_arrives_and_so_does_its_end_both_ways() {
    on_stage(|stage| {
        let _ports = stage.open();
        let server = serve("[::1]:3000");
        server.set_nonblocking(false).unwrap();
        let mut client = stage.call("10.66.0.2:3000").unwrap();
        let (mut kept, from) = server.accept().unwrap();
        assert!(from.ip().is_loopback());
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
        let mut answer = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut told = Vec::new();
                kept.read_to_end(&mut told).unwrap();
                kept.write_all(&told).unwrap();
                drop(kept);
            });
            client.write_all(&bytes).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            client.read_to_end(&mut answer).unwrap();
        });
        assert!(answer == bytes);
    });
}

#[test]
fn a_server_that_ended_unnoticed_resets_one_caller_and_refuses_the_next() {
    on_stage(|stage| {
        // Older than the programs, which are not told of its end.
        let server = serve("[::1]:3000");
        let _ports = stage.open();
        drop(server);
        let ended = stage.call("10.66.0.2:3000").and_then(|mut client| {
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client.read(&mut [0])
        });
        assert_eq!(ended.map_err(|error| error.kind()), Err(std::io::ErrorKind::ConnectionReset));
        stage.comes_to_refuse("10.66.0.2:3000");
        let again = serve("[::1]:3000");
        assert!(stage.reaches("10.66.0.2:3000", &again));
    });
}

#[test]
fn more_connections_than_are_carried_at_a_time_wait_for_their_turn() {
    many_files();
    on_stage(|stage| {
        let _ports = stage.open();
        let server = serve("[::1]:3000");
        server.set_nonblocking(false).unwrap();
        let mut callers: Vec<TcpStream> = (0..530).map(|_| stage.call("10.66.0.2:3000").unwrap()).collect();
        // The first ones end, unserved; then the last ones are served.
        callers.drain(..500);
        callers.last_mut().unwrap().write_all(b"?").unwrap();
        let served = (0..530).any(|_| {
            let (mut kept, _) = server.accept().unwrap();
            kept.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            kept.read(&mut [0]).is_ok_and(|count| count == 1)
        });
        assert!(served);
    });
}
