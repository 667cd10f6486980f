//! What the tests do with guests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use icebox::agent::Stream;
use icebox::guest::Guest;
use serde_json::{Value, json};

/// How long anything in an emulated guest may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits on a condition in the guest.
#[track_caller]
pub(crate) fn wait(_guest: &Guest, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Counts the lives of the guest; being copied from a template was one.
#[track_caller]
pub(crate) fn generation(guest: &Guest) -> u64 {
    let status = guest.block_on(guest.agent().status()).unwrap();
    status["generation"].as_str().map_or(0, |number| number.parse().unwrap())
}

/// Sends bytes to a server that sends them back; tries again, since slirp accepts before the guest does.
#[track_caller]
pub(crate) fn echo(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(back) = once(address, bytes) {
            return back;
        }
        assert!(Instant::now() < deadline, "no answer from {address}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn once(address: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(bytes).ok()?;
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).ok()?;
    Some(back)
}

/// Gets a page; `None` where nobody answers yet.
pub(crate) fn fetch(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    Some(page).filter(|page| page.contains("200 OK"))
}

/// A program on a terminal of the guest.
pub(crate) struct Terminal {
    pid: u64,
    stream: Stream,
    text: String,
}

impl Terminal {
    #[track_caller]
    pub(crate) fn start(guest: &Guest, command: &str, arguments: &[&str]) -> Self {
        let message = json!({
            "process": {"cmd": command, "args": arguments, "envs": {"TERM": "xterm", "PS1": "$ "}},
            "pty": {"size": {"cols": 80, "rows": 24}},
        });
        let stream = guest.block_on(guest.agent().stream("process.Process/Start", &[], &message)).unwrap();
        let mut terminal = Self { pid: 0, stream, text: String::new() };
        terminal.greet(guest);
        terminal
    }

    /// Goes on in a guest that was resumed.
    #[track_caller]
    pub(crate) fn attach(&mut self, guest: &Guest) {
        let message = json!({"process": {"pid": self.pid}});
        self.stream = guest.block_on(guest.agent().stream("process.Process/Connect", &[], &message)).unwrap();
        self.text.clear();
        self.greet(guest);
    }

    #[track_caller]
    fn greet(&mut self, guest: &Guest) {
        let start = guest.block_on(self.stream.next()).unwrap().expect("a start event");
        self.pid = start.pointer("/event/start/pid").and_then(Value::as_u64).expect("a process id");
    }

    #[track_caller]
    pub(crate) fn type_in(&self, guest: &Guest, keys: &str) {
        let input = json!({
            "process": {"pid": self.pid},
            "input": {"pty": base64_simd::STANDARD.encode_to_string(keys)},
        });
        guest.block_on(guest.agent().call("process.Process/SendInput", &input, PATIENCE)).unwrap();
    }

    #[track_caller]
    pub(crate) fn read_until(&mut self, guest: &Guest, text: &str) {
        while !self.text.contains(text) {
            let next = guest.block_on(async { tokio::time::timeout(PATIENCE, self.stream.next()).await });
            let message = next.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.text)).unwrap();
            let message = message.unwrap_or_else(|| panic!("the terminal ended without {text:?}: {:?}", self.text));
            let bytes = message.pointer("/event/data/pty").and_then(Value::as_str).unwrap_or_default();
            self.text += &String::from_utf8_lossy(&base64_simd::STANDARD.decode_to_vec(bytes).unwrap());
        }
    }
}
