//! Files up and down.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::{Compress, Compression, Crc, FlushCompress};

use super::agent::Agent;
use super::client::Client;
use super::counters;

/// What moving a file took.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    pub wall: Duration,
    /// CPU time of the agent.
    pub cpu: Duration,
    /// Its largest resident size meanwhile, in bytes.
    pub peak: u64,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Raw,
    Multipart,
    Gzip,
}

/// Bytes that are sent with one call.
pub const BLOCK_BYTES: usize = 1 << 20;

/// Fills a block with words that compress about as well as text does.
pub fn block() -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut text = Vec::with_capacity(BLOCK_BYTES + 16);
    while text.len() < BLOCK_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        writeln!(text, "line {} of {:x}", state % 10_000, state >> 40).unwrap();
    }
    text.truncate(BLOCK_BYTES);
    text
}

/// A body of many equal blocks: what is in front of them, one block, how many, and what is behind them.
struct Blocks {
    head: &'static str,
    front: Vec<u8>,
    block: Vec<u8>,
    count: usize,
    behind: Vec<u8>,
}

impl Blocks {
    fn new(form: Form, bytes: usize) -> Self {
        let count = bytes.div_ceil(BLOCK_BYTES);
        let block = block();
        match form {
            Form::Raw => Self {
                head: "content-type: application/octet-stream\r\n",
                front: Vec::new(),
                block,
                count,
                behind: Vec::new(),
            },
            Form::Multipart => Self {
                head: "content-type: multipart/form-data; boundary=measured\r\n",
                front: b"--measured\r\ncontent-disposition: form-data; name=\"file\"; filename=\"up\"\r\n\
                         content-type: application/octet-stream\r\n\r\n"
                    .to_vec(),
                block,
                count,
                behind: b"\r\n--measured--\r\n".to_vec(),
            },
            Form::Gzip => Self::gzip(&block, count),
        }
    }

    /// Compresses a block so that it stands alone, and repeats it: one stream of any length for the work of one block.
    fn gzip(block: &[u8], count: usize) -> Self {
        let mut packed = Vec::with_capacity(block.len() * 2);
        let mut compress = Compress::new(Compression::default(), false);
        compress.compress_vec(block, &mut packed, FlushCompress::Full).unwrap();
        let mut part = Crc::new();
        part.update(block);
        let mut all = Crc::new();
        (0..count).for_each(|_| all.combine(&part));
        let length = u32::try_from(block.len() * count % (1 << 32)).unwrap();
        Self {
            head: "content-type: application/octet-stream\r\ncontent-encoding: gzip\r\n",
            front: vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255],
            block: packed,
            count,
            // An empty last block, the checksum and the length (RFC 1951 and 1952).
            behind: [&[3, 0], &all.sum().to_le_bytes()[..], &length.to_le_bytes()].concat(),
        }
    }

    fn send(&self, client: &mut Client, target: &str) {
        let length = self.front.len() + self.block.len() * self.count + self.behind.len();
        let head = client.head("POST", target, self.head, length as u64);
        client.send(&[head, self.front.clone()].concat());
        (0..self.count).for_each(|_| client.send(&self.block));
        client.send(&self.behind);
        client.answer(200);
    }
}

/// Uploads a file; what it had before is replaced.
#[track_caller]
pub fn upload(agent: &Agent, name: &str, form: Form, bytes: usize) -> Moved {
    let blocks = Blocks::new(form, bytes);
    let mut client = agent.client();
    let moved = moved(agent, || blocks.send(&mut client, &agent.file(name)));
    let arrived = std::fs::metadata(agent.path(name)).unwrap().len();
    assert_eq!(arrived, (blocks.count * BLOCK_BYTES) as u64, "{form:?}");
    moved
}

/// Downloads a file.
#[track_caller]
pub fn download(agent: &Agent, name: &str, form: Form) -> Moved {
    let mut client = agent.client();
    let head = if form == Form::Gzip { "accept-encoding: gzip\r\n" } else { "" };
    let request = client.prepare("GET", &agent.file(name), head, b"");
    let mut bytes = 0;
    let moved = moved(agent, || bytes = client.call(&request, 200));
    let length = std::fs::metadata(agent.path(name)).unwrap().len();
    assert!(if form == Form::Gzip { bytes < length && bytes > 0 } else { bytes == length }, "{bytes} of {length}");
    moved
}

fn moved(agent: &Agent, work: impl FnOnce()) -> Moved {
    counters::rest(agent.pid);
    counters::forget_peak(agent.pid);
    let (cpu, started) = (counters::cpu(agent.pid), Instant::now());
    work();
    let (wall, cpu) = (started.elapsed(), counters::cpu(agent.pid) - cpu);
    Moved { wall, cpu, peak: counters::peak(agent.pid) }
}

/// Writes the upload of a small file.
pub fn small(client: &Client, target: &str, bytes: usize) -> Vec<u8> {
    let block = block();
    let body = block.iter().copied().cycle().take(bytes).collect::<Vec<_>>();
    client.prepare("POST", target, "content-type: application/octet-stream\r\n", &body)
}
