//! What is not a regular file on a disk.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use crate::support::{Answer, Scratch, Server, noise};

fn fifo(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
}

#[test]
fn files_of_proc_and_sys_are_read_whole() {
    let server = Server::open();
    for path in ["/proc/cpuinfo", "/proc/self/mounts", "/sys/class/net/lo/mtu", "/proc/sys/kernel/ostype"] {
        let answer = server.get(Path::new(path), &[("Accept-Encoding", "gzip, deflate")]).ok();
        assert!(answer.whole && !answer.body.is_empty(), "{path}");
        assert_eq!(answer.header("content-encoding"), if answer.body.starts_with(&[0x1f, 0x8b]) { "gzip" } else { "" });
    }
    let symbols = server.get(Path::new("/proc/kallsyms"), &[]).ok();
    assert!(symbols.whole && symbols.body == fs::read("/proc/kallsyms").unwrap());
    assert_eq!(server.get(Path::new("/proc/sys/kernel/ostype"), &[("Range", "bytes=0-2")]).body, b"Lin");
}

#[test]
fn a_pipe_is_read_until_its_writer_closes_it() {
    let (server, scratch) = (Server::open(), Scratch::new());
    let path = scratch.at("pipe");
    fifo(&path);
    let content = noise(300_000);
    let written = content.clone();
    let asked = server.open_request("GET", &format!("/files?path={}", path.display()), &[]);
    // The answer's head comes before any writer does.
    let mut head = [0; 12];
    asked.peek(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    fs::File::options().write(true).open(&path).unwrap().write_all(&written).unwrap();
    let answer = Answer::read(asked, "GET").ok();
    assert!(answer.whole && answer.body == content);
    // Others are served while one waits for a writer.
    let _waiting = server.open_request("GET", &format!("/files?path={}", path.display()), &[]);
    server.get(Path::new("/proc/cpuinfo"), &[]).ok();
}

#[test]
fn a_pipe_without_a_reader_is_an_error_and_with_one_gets_the_bytes() {
    let (server, scratch) = (Server::open(), Scratch::new());
    let path = scratch.at("pipe");
    fifo(&path);
    for size in [3, 1_000_000] {
        let message = server.put(&path, &[], &noise(size)).refused(400);
        assert_eq!(message, format!("nobody reads from '{}'", path.display()));
    }
    for size in [3, 1_000_000] {
        // Opened for both, so that the upload has a reader whenever it comes.
        let both = fs::File::options().read(true).write(true).open(&path).unwrap();
        let mut reader = fs::File::open(&path).unwrap();
        let reading = std::thread::spawn(move || {
            let mut content = vec![0; size];
            reader.read_exact(&mut content).unwrap();
            content
        });
        server.put(&path, &[], &noise(size)).ok();
        assert!(reading.join().unwrap() == noise(size));
        drop(both);
    }
    assert!(fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()));
}

#[test]
fn devices_and_kernel_files_are_written_straight() {
    let server = Server::open();
    for size in [0, 10, 1_000_000] {
        server.put(Path::new("/dev/null"), &[("X-Metadata-A", "1")], &noise(size)).ok();
    }
    let knob = Path::new("/proc/self/oom_score_adj");
    let before = fs::read_to_string(knob).unwrap();
    server.put(knob, &[("X-Metadata-A", "1")], b"500\n").ok();
    assert_eq!(fs::read_to_string(knob).unwrap(), "500\n");
    fs::write(knob, before).unwrap();
}

#[test]
fn a_socket_is_refused() {
    let (server, scratch) = (Server::open(), Scratch::new());
    let path = scratch.at("socket");
    let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    server.get(&path, &[]).refused(400);
    server.put(&path, &[], b"x").refused(400);
}
