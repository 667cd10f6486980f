//! A blocking client of HTTP/1.1 on a kept-alive connection: one write for a request, large reads, nothing parsed that
//! need not be.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Read buffer: four reads for each MiB of output.
const BUFFER_BYTES: usize = 256 * 1024;

/// How long the agent may say nothing before the measurement fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
pub struct Client {
    stream: TcpStream,
    authorization: String,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    body: Body,
}

/// What is left of the body of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Done,
    Bytes(usize),
    /// Bytes left in this chunk.
    Chunk(usize),
}

impl Client {
    pub fn open(address: SocketAddr, user: Option<&str>) -> Self {
        let stream = TcpStream::connect(address).expect("the agent listens");
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let authorization = user.map_or_else(String::new, |user| {
            let words = base64_simd::STANDARD.encode_to_string(user);
            format!("authorization: Basic {words}\r\n")
        });
        Self { stream, authorization, buffer: vec![0; BUFFER_BYTES], start: 0, end: 0, body: Body::Done }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Writes a request: `head` holds header lines, each with its end.
    pub fn prepare(&self, verb: &str, target: &str, head: &str, body: &[u8]) -> Vec<u8> {
        let length = body.len();
        let mut request = self.head(verb, target, head, length as u64);
        request.extend_from_slice(body);
        request
    }

    /// Writes the head of a request whose body is sent apart.
    pub fn head(&self, verb: &str, target: &str, head: &str, length: u64) -> Vec<u8> {
        let authorization = &self.authorization;
        let length = if verb == "GET" { String::new() } else { format!("content-length: {length}\r\n") };
        format!("{verb} {target} HTTP/1.1\r\nhost: agent\r\n{authorization}{head}{length}\r\n").into_bytes()
    }

    /// Writes a call of one message.
    pub fn unary(&self, method: &str, message: &str) -> Vec<u8> {
        let head = "content-type: application/json\r\nconnect-protocol-version: 1\r\n";
        self.prepare("POST", &format!("/{method}"), head, message.as_bytes())
    }

    /// Writes a call that is answered with a stream.
    pub fn streaming(&self, method: &str, codec: &str, message: &[u8]) -> Vec<u8> {
        let head = format!("content-type: application/connect+{codec}\r\nconnect-protocol-version: 1\r\n");
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        self.prepare("POST", &format!("/{method}"), &head, &[&[0], &length[..], message].concat())
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the agent reads the request");
    }

    /// Sends a request and reads the whole answer; gives the bytes of its body.
    #[track_caller]
    pub fn call(&mut self, request: &[u8], status: u16) -> u64 {
        self.send(request);
        self.answer(status)
    }

    /// Asks for a target and reads the whole answer.
    #[track_caller]
    pub fn get(&mut self, target: &str, status: u16) -> u64 {
        let request = self.prepare("GET", target, "", b"");
        self.call(&request, status)
    }

    /// Reads a whole answer; gives the bytes of its body.
    #[track_caller]
    pub fn answer(&mut self, status: u16) -> u64 {
        self.begin(status);
        let mut bytes = 0;
        while let Some(piece) = self.piece() {
            bytes += piece.len() as u64;
        }
        bytes
    }

    /// Reads the head of an answer.
    #[track_caller]
    pub fn begin(&mut self, status: u16) {
        let length = loop {
            let found = self.buffer[self.start..self.end].windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(found) = found {
                break found + 4;
            }
            self.fill();
        };
        let head = String::from_utf8_lossy(&self.buffer[self.start..self.start + length]).to_ascii_lowercase();
        self.start += length;
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        self.body = match (field("content-length:"), field("transfer-encoding:")) {
            (Some(length), _) => Body::Bytes(length.parse().unwrap()),
            (None, Some(_)) => Body::Chunk(0),
            (None, None) => Body::Done,
        };
        let answered = head.split(' ').nth(1).and_then(|word| word.parse::<u16>().ok());
        if answered != Some(status) {
            let piece = self.piece().map(|piece| String::from_utf8_lossy(piece).into_owned());
            panic!("expected {status}: {head}{}", piece.unwrap_or_default());
        }
    }

    /// Reads the next piece of the body, whatever is there; `None` at its end.
    pub fn piece(&mut self) -> Option<&[u8]> {
        let left = match self.body {
            Body::Done | Body::Bytes(0) => {
                self.body = Body::Done;
                return None;
            }
            Body::Chunk(0) => {
                let length = self.chunk();
                if length == 0 {
                    self.body = Body::Done;
                    return None;
                }
                length
            }
            Body::Bytes(left) | Body::Chunk(left) => left,
        };
        if self.start == self.end {
            self.fill();
        }
        let length = left.min(self.end - self.start);
        let from = self.start;
        self.start += length;
        self.body = match self.body {
            Body::Bytes(_) => Body::Bytes(left - length),
            _ => Body::Chunk(left - length),
        };
        Some(&self.buffer[from..from + length])
    }

    /// Reads the line that says how long the next chunk is, and behind the last one the empty line that ends the body.
    fn chunk(&mut self) -> usize {
        loop {
            let waiting = &self.buffer[self.start..self.end];
            // The chunk before ends with an empty line.
            let skip = if waiting.starts_with(b"\r\n") { 2 } else { 0 };
            if let Some(found) = waiting[skip..].windows(2).position(|window| window == b"\r\n") {
                let line = std::str::from_utf8(&waiting[skip..skip + found]).unwrap();
                let length = usize::from_str_radix(line, 16).unwrap_or_else(|_| panic!("not a chunk: {line:?}"));
                let last = if length == 0 { 2 } else { 0 };
                if waiting.len() >= skip + found + 2 + last {
                    self.start += skip + found + 2 + last;
                    return length;
                }
            }
            self.fill();
        }
    }

    /// Says whether more has arrived, and waits for it for a while.
    pub fn is_readable(&self, wait: Duration) -> bool {
        if self.start < self.end {
            return true;
        }
        self.stream.set_read_timeout(Some(wait)).unwrap();
        let readable = self.stream.peek(&mut [0]).is_ok();
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        readable
    }

    fn fill(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let length = self.stream.read(&mut self.buffer[self.end..]).expect("the agent answers");
        assert!(length > 0, "the agent closed the connection");
        self.end += length;
    }
}
