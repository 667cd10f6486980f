//! The Connect protocol with JSON, as the SDKs speak it.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{self, Answer, Connection};

/// Sends a unary call.
pub fn call(address: SocketAddr, method: &str, message: &Value) -> Answer {
    call_with(address, method, &[], message)
}

pub fn call_with(address: SocketAddr, method: &str, headers: &[(&str, &str)], message: &Value) -> Answer {
    let headers = [&[("content-type", "application/json"), ("connect-protocol-version", "1")], headers].concat();
    http::request(address, "POST", &format!("/{method}"), &headers, message.to_string().as_bytes())
}

/// Puts a message into the envelope of streams.
pub fn envelope(flags: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[flags], &length.to_be_bytes()[..], message].concat()
}

/// Reads a server stream message by message.
#[derive(Debug)]
pub struct Stream {
    pub connection: Connection,
    pub head: Answer,
    buffer: Vec<u8>,
    /// What the end of the stream said, once it was read.
    pub end: Option<Value>,
}

impl Stream {
    pub fn open(address: SocketAddr, method: &str, headers: &[(&str, &str)], message: &Value) -> Self {
        let mut connection = Connection::open(address);
        let headers =
            [&[("content-type", "application/connect+json"), ("connect-protocol-version", "1")], headers].concat();
        let body = envelope(0, message.to_string().as_bytes());
        connection.request("POST", &format!("/{method}"), &headers, &body);
        let head = connection.head().expect("a response head");
        // A stream that ends before its first message is one block.
        let buffer = if head.header("transfer-encoding") == "chunked" { Vec::new() } else { connection.block(&head) };
        Self { connection, head, buffer, end: None }
    }

    /// Reads the next message; `None` at the end of the stream.
    pub fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((flags, message)) = self.take() {
                let message = serde_json::from_slice(&message).unwrap();
                if flags & 2 == 0 {
                    return Some(message);
                }
                self.end = Some(message);
                return None;
            }
            self.buffer.extend(self.connection.chunk()?);
        }
    }

    fn take(&mut self) -> Option<(u8, Vec<u8>)> {
        let length = u32::from_be_bytes(self.buffer.get(1..5)?.try_into().unwrap()) as usize;
        let message = self.buffer.get(5..5 + length)?.to_vec();
        let flags = self.buffer[0];
        self.buffer.drain(..5 + length);
        Some((flags, message))
    }

    /// The code of the error that ended the stream.
    pub fn error_code(&self) -> Option<&str> {
        self.end.as_ref()?.get("error")?.get("code")?.as_str()
    }
}

/// A running program as its stream tells about it.
#[derive(Debug)]
pub struct Program {
    pub stream: Stream,
    pub pid: u32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub pty: Vec<u8>,
    pub keepalives: usize,
    /// The end event.
    pub end: Option<Value>,
}

impl Program {
    /// Starts `sh -c SCRIPT`.
    pub fn shell(address: SocketAddr, script: &str) -> Self {
        Self::start(address, &[], &shell(script))
    }

    pub fn start(address: SocketAddr, headers: &[(&str, &str)], message: &Value) -> Self {
        Self::follow(Stream::open(address, "process.Process/Start", headers, message))
    }

    pub fn connect(address: SocketAddr, headers: &[(&str, &str)], selector: &Value) -> Self {
        Self::follow(Stream::open(address, "process.Process/Connect", headers, &json!({"process": selector})))
    }

    fn follow(stream: Stream) -> Self {
        let mut program =
            Self { stream, pid: 0, stdout: Vec::new(), stderr: Vec::new(), pty: Vec::new(), keepalives: 0, end: None };
        program.step();
        program
    }

    /// Reads one event; false at the end of the stream.
    pub fn step(&mut self) -> bool {
        let Some(message) = self.stream.next() else { return false };
        let event = &message["event"];
        if let Some(pid) = event["start"]["pid"].as_u64() {
            self.pid = u32::try_from(pid).unwrap();
        }
        for (name, output) in [("stdout", &mut self.stdout), ("stderr", &mut self.stderr), ("pty", &mut self.pty)] {
            if let Some(text) = event["data"][name].as_str() {
                output.extend(base64_simd::STANDARD.decode_to_vec(text).unwrap());
            }
        }
        if event.get("keepalive").is_some() {
            self.keepalives += 1;
        }
        if let Some(end) = event.get("end") {
            assert!(self.end.is_none(), "two end events");
            self.end = Some(end.clone());
        }
        true
    }

    /// Reads until `text` was written to stdout or the terminal.
    #[track_caller]
    pub fn read_until(&mut self, text: &str) {
        let found = |output: &[u8]| output.windows(text.len()).any(|window| window == text.as_bytes());
        while !found(&self.stdout) && !found(&self.pty) {
            let before = (String::from_utf8_lossy(&self.stdout), String::from_utf8_lossy(&self.pty));
            assert!(self.end.is_none(), "ended without {text:?}: {before:?}");
            assert!(self.step(), "the stream ended: {:?}", self.stream.end);
        }
    }

    /// Reads to the end of the stream and gives the end event.
    pub fn finish(&mut self) -> Value {
        while self.step() {}
        self.end.clone().unwrap_or_else(|| panic!("no end event; the stream ended with {:?}", self.stream.end))
    }

    pub fn exit_code(&mut self) -> i64 {
        let end = self.finish();
        end["exitCode"].as_i64().unwrap_or(0)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

pub fn shell(script: &str) -> Value {
    json!({"process": {"cmd": "sh", "args": ["-c", script]}, "stdin": false})
}

/// Runs a script to its end.
pub fn run(address: SocketAddr, script: &str) -> Program {
    let mut program = Program::shell(address, script);
    program.finish();
    program
}

/// A time that is long for the machine and short for a test.
pub const SOON: Duration = Duration::from_secs(3);
