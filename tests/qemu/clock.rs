//! After a resume it is now, names are found, and nobody waits for a peer of the old life.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use icebox::agent::Thaw;
use icebox::guest::{Choice, Guest};
use icebox::snapshot::Guided;
use icebox::vm::Network;
use serde_json::json;

use crate::guests;

/// What the guest's clock may be off at its first answer, in milliseconds.
const TOLERANCE_MS: i64 = 50;
/// The host, as guests see it.
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

#[test]
fn the_clock_is_right_at_the_first_answer_each_of_ten_times() {
    let mut guest = Guest::start("scratch");
    for round in 1..=10 {
        let asleep = guest.pause();
        thread::sleep(Duration::from_secs(2));
        guest = asleep.resume();
        let offset = guest.block_on(guest.agent().clock_offset()).unwrap();
        let (off, error) = (offset.offset_ns / 1_000_000, offset.error_ns / 1_000_000);
        eprintln!("resume {round}: the guest's clock is {off} ms off, measured to {error} ms");
        assert!(off.abs() <= TOLERANCE_MS + error, "{off} ms off, measured to {error} ms");
    }
}

fn open_network() -> Network {
    Network { restrict: false, ..Network::default() }
}

#[test]
fn a_client_that_waits_for_a_peer_of_the_old_life_is_told_within_a_second() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let guest = Choice::of("scratch").network(open_network()).start();
    guest.spawn(&format!("sleep 1000 | nc {HOST} {port}; date +%s > /tmp/ended"));
    let (_old, _) = server.accept().unwrap();
    let asleep = guest.pause();
    thread::sleep(Duration::from_secs(3));
    let guest = asleep.network(open_network()).resume();
    let resumed = Instant::now();
    // `sleep` keeps the pipeline going: it is nc whose end counts.
    guests::wait(&guest, "the client has given up", || guest.run("pgrep -x nc").exit_code != 0);
    eprintln!("the old connection was over {:?} after the resume", resumed.elapsed());
    assert!(resumed.elapsed() < Duration::from_secs(1), "{:?}", resumed.elapsed());
    guest.spawn(&format!("echo new | nc {HOST} {port}"));
    let (new, _) = server.accept().unwrap();
    assert_eq!(std::io::read_to_string(new).unwrap(), "new\n");
}

/// Answers every question for an address with one that no network has (RFC 5737).
fn name_server() {
    let socket = UdpSocket::bind("127.0.0.1:53").expect("port 53 of the loopback is free, and ours to take");
    thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, asker)) = socket.recv_from(&mut question) {
            let kind = question.get(length - 4..length - 2);
            let mut answer = question[..length].to_vec();
            answer[2..4].copy_from_slice(&[0x81, 0x80]);
            if kind == Some(&[0, 1]) {
                answer[6..8].copy_from_slice(&[0, 1]);
                // The name of the question, A, IN, 60 s, four bytes.
                answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
            }
            let _ = socket.send_to(&answer, asker);
        }
    });
}

#[test]
fn names_are_found_after_the_name_server_moved() {
    name_server();
    let guest = Choice::of("debian").network(open_network()).start();
    guest.sh("cp /etc/resolv.conf /tmp/before");
    let asleep = guest.pause();
    let more = json!({"network": {"dns": [HOST.to_string()]}});
    let thaw = Thaw { more: more.as_object().unwrap().clone(), ..Thaw::default() };
    let asleep = asleep.network(open_network());
    let (guest, report) = asleep.resume_with(&Guided { thaw, ..Guided::default() });
    assert_eq!(guest.sh("grep nameserver /etc/resolv.conf"), format!("nameserver {HOST}\n"), "{report:?}");
    let asked = Instant::now();
    assert!(guest.sh("getent ahostsv4 sandbox.test").starts_with("192.0.2.7"));
    eprintln!("a name was found in {:?}", asked.elapsed());
}
