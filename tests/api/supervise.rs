//! `thawd supervise`: an agent below a supervisor, under an init that restarts nothing.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{cgroup_flags, free_port, is_alive, wait_until};

struct Supervised {
    supervisor: Child,
    port: u16,
}

impl Supervised {
    fn start() -> Self {
        let port = free_port();
        let supervisor = Command::new(env!("CARGO_BIN_EXE_thawd"))
            .args(["supervise", "-isnotfc", "--listen", &format!("tcp://127.0.0.1:{port}")])
            .args(cgroup_flags())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self { supervisor, port };
        wait_until("the agent answers", || started.answers());
        started
    }

    fn answers(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    fn agent(&self) -> Option<u32> {
        let pid = self.supervisor.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.split_whitespace().next().map(|child| child.parse().unwrap())
    }

    fn end(&mut self, signal: Signal) -> Option<i32> {
        kill(pid(self.supervisor.id()), signal).unwrap();
        wait_until("the supervisor ends", || self.supervisor.try_wait().unwrap().is_some());
        self.supervisor.wait().unwrap().code()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if self.supervisor.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.end(Signal::SIGTERM);
        }
    }
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.try_into().unwrap())
}

#[test]
fn an_agent_that_is_killed_is_started_again() {
    let supervised = Supervised::start();
    let first = supervised.agent().unwrap();
    kill(pid(first), Signal::SIGKILL).unwrap();
    wait_until("there is another agent", || supervised.agent().is_some_and(|agent| agent != first));
    wait_until("the other agent answers", || supervised.answers());
}

#[test]
fn a_signal_ends_the_agent_and_then_the_supervisor() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let mut supervised = Supervised::start();
        let agent = supervised.agent().unwrap();
        assert_eq!(supervised.end(signal), Some(0), "{signal}");
        assert!(!is_alive(agent), "{signal}");
    }
}

#[test]
fn an_agent_that_ends_by_itself_hands_its_code_on() {
    let run = |flag: &str| {
        let mut supervisor = Command::new(env!("CARGO_BIN_EXE_thawd"));
        supervisor.args(["supervise", flag]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut supervisor = supervisor.spawn().unwrap();
        wait_until("the supervisor ends", || supervisor.try_wait().unwrap().is_some());
        supervisor.wait().unwrap().code()
    };
    assert_eq!(run("-version"), Some(0));
    assert_eq!(run("-nonsense"), Some(2));
}
