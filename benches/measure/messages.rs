//! The calls that are measured.

use serde_json::json;

use super::client::Client;
use super::envelope::Envelopes;

/// A file that everybody looks at, on the filesystem of `/`.
pub const WARM: &str = "/etc/passwd";
pub const START: &str = "process.Process/Start";
pub const STAT: &str = "filesystem.Filesystem/Stat";
pub const LIST_DIR: &str = "filesystem.Filesystem/ListDir";
pub const WATCH_DIR: &str = "filesystem.Filesystem/WatchDir";

/// Where programs are looked for, as in the images: what this machine has in front of it is not the agent's.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Writes a Start without stdin, in JSON.
pub fn start(client: &Client, program: &[&str]) -> Vec<u8> {
    let process = json!({"cmd": program[0], "args": program[1..], "envs": {"PATH": PATH}});
    let message = json!({"process": process, "stdin": false});
    client.streaming(START, "json", message.to_string().as_bytes())
}

pub fn stat(client: &Client, path: &str) -> Vec<u8> {
    client.unary(STAT, &json!({"path": path}).to_string())
}

/// Sends the request of a stream and reads it to its end.
#[track_caller]
pub fn whole(client: &mut Client, request: &[u8]) -> Envelopes {
    client.send(request);
    client.begin(200);
    let mut read = Envelopes::default();
    while let Some(piece) = client.piece() {
        read.feed(piece);
    }
    read
}

/// Sends the request of a stream and reads its first message.
#[track_caller]
pub fn open(client: &mut Client, request: &[u8]) -> Envelopes {
    client.send(request);
    client.begin(200);
    let mut read = Envelopes::default();
    while read.count == 0 {
        read.feed(client.piece().expect("the stream has a message"));
    }
    assert!(read.end.is_none(), "{:?}", read.end.as_deref().map(String::from_utf8_lossy));
    read
}

/// Reads the id of a process in the first message of its stream.
#[track_caller]
pub fn pid(read: &Envelopes) -> u32 {
    let message: serde_json::Value = serde_json::from_slice(&read.last).unwrap();
    message["event"]["start"]["pid"].as_u64().and_then(|pid| pid.try_into().ok()).expect("a process has started")
}

/// Ends a program.
pub fn kill(client: &mut Client, pid: u32) {
    let message = json!({"process": {"pid": pid}, "signal": "SIGNAL_SIGKILL"}).to_string();
    let request = client.unary("process.Process/SendSignal", &message);
    client.call(&request, 200);
}

/// Runs programs to their end, one after another.
#[track_caller]
pub fn run(client: &mut Client, program: &[&str], times: usize) {
    let request = start(client, program);
    for _ in 0..times {
        whole(client, &request).assert_success();
    }
}

/// Opens a watch of a folder; it lasts as long as the connection.
#[track_caller]
pub fn watch(mut client: Client, folder: &str) -> Client {
    let message = json!({"path": folder, "recursive": false}).to_string();
    let request = client.streaming(WATCH_DIR, "json", message.as_bytes());
    open(&mut client, &request);
    client
}

/// Lists a folder; gives the bytes of the answer.
#[track_caller]
pub fn list(client: &mut Client, folder: &str, depth: u32) -> u64 {
    let request = client.unary(LIST_DIR, &json!({"path": folder, "depth": depth}).to_string());
    client.call(&request, 200)
}
