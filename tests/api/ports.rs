//! Servers on loopback addresses, with the built daemon in a network and a cgroup of its own.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;

use rustix::thread::{UnshareFlags, unshare_unsafe};
use serde_json::json;
use thawd::sys::netlink::link::{self, Held};
use thawd::sys::netlink::{Family, Follow, Socket};

use crate::support::connect::call;
use crate::support::{Daemon, cgroup_root, wait_until};

/// The address of the guest.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 2);

/// Does `work` in a network of its own, in a cgroup of its own, whose root it is told.
fn in_guest(work: impl FnOnce(&str) + Send) {
    let root = cgroup_root().expect("a writable cgroup v2 is needed").join(format!("thawd-api-{}", std::process::id()));
    let seat = Seat::below(root.clone());
    let alone = || {
        #[allow(unsafe_code, reason = "descriptors could be unshared")]
        // SAFETY: descriptors stay shared.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.unwrap();
        let mut socket = Socket::open(Family::Route, Follow::Nothing).unwrap();
        let index = link::index("lo").unwrap();
        link::up(&mut socket, index).unwrap();
        link::add_address(&mut socket, &Held { index, ip: OUTSIDE.into(), prefix: 32 }).unwrap();
        work(root.to_str().unwrap());
    };
    std::thread::scope(|scope| {
        if let Err(panic) = scope.spawn(alone).join() {
            std::panic::resume_unwind(panic);
        }
    });
    drop(seat);
}

/// Keeps this process in a part of the cgroup tree.
struct Seat(PathBuf);

impl Seat {
    fn below(root: PathBuf) -> Self {
        fs::create_dir_all(root.join("seat")).unwrap();
        fs::write(root.join("seat/cgroup.procs"), "0").unwrap();
        Self(root)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _ = fs::write(self.0.with_file_name("cgroup.procs"), "0");
        let gone = || {
            for part in ["seat", "user", "ptys", "socats", "lifecycle", "."] {
                let _ = fs::remove_dir(self.0.join(part).components().collect::<PathBuf>());
            }
            !self.0.exists()
        };
        wait_until("the cgroups are gone", gone);
    }
}

fn daemon(root: &str, wanted: &str) -> Daemon {
    Daemon::with(&["-cgroup-root", root, wanted])
}

fn able(daemon: &Daemon) -> bool {
    let status = call(daemon.address, "thawd.v1.Lifecycle/Status", &json!({})).json();
    status["capabilities"]["loopback_ports"].as_bool().unwrap()
}

fn refused(port: u16) -> bool {
    TcpStream::connect((OUTSIDE, port)).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Counts how often the threads of the daemon ran, and gave way.
fn turns(daemon: &Daemon) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
    let of_one = |folder: PathBuf| -> u64 {
        let status = fs::read_to_string(folder.join("status")).unwrap();
        let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
        lines.map(|line| line.split_whitespace().last().unwrap().parse::<u64>().unwrap()).sum()
    };
    tasks.map(|task| of_one(task.unwrap().path())).sum()
}

#[test]
fn servers_come_and_go_and_are_called_while_the_agent_sleeps() {
    in_guest(|root| {
        let daemon = daemon(root, "--loopback-ports");
        assert!(able(&daemon), "{}", daemon.log());
        let mut before = 0;
        // What the start and the question above set off comes to its end.
        wait_until("the agent is idle", || {
            let last = std::mem::replace(&mut before, turns(&daemon));
            std::thread::sleep(std::time::Duration::from_millis(300));
            last == before
        });
        for _ in 0..500 {
            let server = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = server.local_addr().unwrap().port();
            let client = TcpStream::connect((OUTSIDE, port)).unwrap();
            assert_eq!(server.accept().unwrap().1, client.local_addr().unwrap());
            drop(server);
            assert!(refused(port));
        }
        assert_eq!(turns(&daemon), before, "it woke up");
    });
}

#[test]
fn nothing_is_steered_when_it_is_turned_off() {
    in_guest(|root| {
        let daemon = daemon(root, "--loopback-ports=false");
        assert!(!able(&daemon));
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(refused(server.local_addr().unwrap().port()));
    });
}

#[test]
fn nothing_is_left_of_an_agent_that_ended_or_died_and_the_next_one_takes_over() {
    in_guest(|root| {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        for kill in [false, true] {
            let mut daemon = daemon(root, "--loopback-ports");
            // It answers when everything is in place.
            assert!(able(&daemon), "{}", daemon.log());
            assert!(TcpStream::connect((OUTSIDE, port)).is_ok(), "older than the agent");
            if kill {
                daemon.kill();
            } else {
                daemon.terminate();
            }
            wait_until("the programs are gone", || refused(port));
        }
    });
}

#[test]
fn where_the_kernel_cannot_the_agent_says_so_and_serves_all_the_same() {
    let daemon = Daemon::with(&["-cgroup-root", "/proc", "--loopback-ports", "-verbose"]);
    assert!(!able(&daemon));
    wait_until("it says so", || daemon.log().contains("cannot attach to the cgroup /proc"));
}
