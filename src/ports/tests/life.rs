//! Servers that come, go and come again.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::net::{Shutdown, listen, shutdown};

use super::stage::{Stage, Wish, many_files, on_stage, serve, serve_as};

/// A process that holds a server's socket, and nothing else of it.
struct Worker(Child);

impl Worker {
    fn holding(server: TcpListener) -> Self {
        let mut command = Command::new("sleep");
        Self(command.arg("1000").stdin(Stdio::from(OwnedFd::from(server))).spawn().unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The kernel takes a connection for a server that does not run.
fn taken(stage: &Stage, to: &str) -> bool {
    stage.call(to).is_ok()
}

#[test]
fn a_port_is_served_again_when_the_same_process_listens_again() {
    on_stage(|stage| {
        let _ports = stage.open();
        for round in 0..50 {
            let server = serve("127.0.0.1:3000");
            assert!(stage.reaches("10.66.0.2:3000", &server), "round {round}");
            drop(server);
            assert!(stage.refuses("10.66.0.2:3000"), "round {round}");
        }
    });
}

#[test]
fn so_is_a_socket_that_stopped_listening_and_listens_again() {
    on_stage(|stage| {
        let _ports = stage.open();
        for at in ["127.0.0.1:3000", "10.66.0.2:3001"] {
            let port = &at[at.len() - 4..];
            let server = serve(at);
            for _ in 0..3 {
                assert!(stage.reaches(&format!("10.66.0.2:{port}"), &server));
                shutdown(&server, Shutdown::Both).unwrap();
                assert!(stage.refuses(&format!("10.66.0.2:{port}")));
                listen(&server, 16).unwrap();
            }
        }
        let inside = serve("127.0.0.1:3001");
        assert!(stage.served_by("10.66.0.2:3001", &[&inside]).is_none_or(|index| index == 0));
    });
}

#[test]
fn a_server_that_forked_is_reached_after_its_first_process_ended() {
    on_stage(|stage| {
        let _ports = stage.open();
        let worker = Worker::holding(serve("127.0.0.1:3000"));
        assert!(taken(stage, "10.66.0.2:3000"));
        drop(worker);
        assert!(stage.refuses("10.66.0.2:3000"));
    });
}

#[test]
fn of_servers_that_share_a_port_all_take_part_and_the_last_one_is_reached() {
    on_stage(|stage| {
        let _ports = stage.open();
        let shared = Wish { shared: true, ..Wish::default() };
        let mut servers: Vec<_> = (0..4).map(|_| serve_as("127.0.0.1:3000", shared)).collect();
        let mut calls = [0; 4];
        for _ in 0..64 {
            let all: Vec<_> = servers.iter().collect();
            calls[stage.served_by("10.66.0.2:3000", &all).unwrap()] += 1;
        }
        assert!(calls.iter().all(|&calls| calls > 0), "{calls:?}");
        // The newest go first: a map with one place would have forgotten the others.
        while servers.pop().is_some() {
            let left = stage.served_by("10.66.0.2:3000", &servers.iter().collect::<Vec<_>>());
            assert_eq!(left.is_none(), servers.is_empty());
        }
    });
}

#[test]
fn more_siblings_than_places_are_reached_as_well() {
    on_stage(|stage| {
        let _ports = stage.open();
        let shared = Wish { shared: true, ..Wish::default() };
        let servers: Vec<_> = (0..40).map(|_| serve_as("127.0.0.1:3000", shared)).collect();
        assert!(stage.served_by("10.66.0.2:3000", &servers.iter().collect::<Vec<_>>()).is_some());
    });
}

#[test]
fn a_thousand_servers_are_reached() {
    many_files();
    on_stage(|stage| {
        let _ports = stage.open();
        let servers: Vec<_> = (0..1000).map(|number| serve(&format!("127.0.0.1:{}", 20_000 + number))).collect();
        for (number, server) in servers.iter().enumerate() {
            assert!(stage.reaches(&format!("10.66.0.2:{}", 20_000 + number), server));
        }
        drop(servers);
        assert!(stage.refuses("10.66.0.2:20000") && stage.refuses("10.66.0.2:20999"));
    });
}

#[test]
fn servers_that_are_older_than_the_programs_are_taken_up_whoever_has_them() {
    on_stage(|stage| {
        let (mine, six) = (serve("127.0.0.1:3000"), serve("[::1]:3001"));
        let _other = Worker::holding(serve("127.0.0.1:3002"));
        let shared = Wish { shared: true, ..Wish::default() };
        let (one, two) = (serve_as("127.0.0.1:3003", shared), serve_as("127.0.0.1:3003", shared));
        let _ports = stage.open();
        assert!(stage.reaches("10.66.0.2:3000", &mine) && stage.reaches("10.66.0.2:3001", &six));
        assert!(taken(stage, "10.66.0.2:3002"));
        drop(one);
        assert!(stage.reaches("10.66.0.2:3003", &two));
        drop((mine, two));
        stage.comes_to_refuse("10.66.0.2:3000");
        stage.comes_to_refuse("10.66.0.2:3003");
    });
}

#[test]
fn an_agent_that_is_started_again_finds_what_its_predecessor_had() {
    on_stage(|stage| {
        let ports = stage.open();
        let (inside, outside, both) = (serve("127.0.0.1:3000"), serve("10.66.0.2:3001"), serve("127.0.0.1:3001"));
        drop(ports);
        assert!(stage.refuses("10.66.0.2:3000"));
        let _ports = stage.open();
        assert!(stage.reaches("10.66.0.2:3000", &inside));
        assert_eq!(stage.served_by("10.66.0.2:3001", &[&both, &outside]), Some(1));
        drop(outside);
        assert!(stage.reaches("10.66.0.2:3001", &both), "its end is told to the new program, too");
    });
}

#[test]
fn a_connection_lives_on_when_its_server_stops_and_the_programs_go() {
    use std::io::{Read, Write};
    on_stage(|stage| {
        let ports = stage.open();
        let server = serve("127.0.0.1:3000");
        let mut client = stage.call("10.66.0.2:3000").unwrap();
        let (mut kept, _) = server.accept().unwrap();
        kept.set_nonblocking(false).unwrap();
        kept.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        drop((server, ports));
        client.write_all(b"still here").unwrap();
        let mut told = [0; 10];
        kept.read_exact(&mut told).unwrap();
        assert_eq!(&told, b"still here");
    });
}
