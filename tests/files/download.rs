//! What a client gets is the file, the whole file, or an error.

use std::fs;
use std::io::{Read, Write};

use crate::support::{Scratch, Server, gunzip, noise, wait_until};

const SDK: (&str, &str) = ("Accept-Encoding", "gzip, deflate");

#[test]
fn any_size_arrives_with_its_length_and_type() {
    let (server, scratch) = (Server::open(), Scratch::new());
    for size in [0, 1, 1000, 262_144, 262_145, 1_000_000] {
        let content = noise(size);
        let path = scratch.at("f.bin");
        fs::write(&path, &content).unwrap();
        let answer = server.get(&path, &[]).ok();
        assert!(answer.body == content, "{size}");
        assert_eq!(answer.header("content-length"), size.to_string());
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        assert_eq!(answer.header("content-disposition"), "inline; filename=f.bin");
        assert_eq!((answer.header("vary"), answer.header("accept-ranges")), ("Accept-Encoding", "bytes"));
        assert!(httpdate::parse_http_date(answer.header("last-modified")).is_ok());
        let head = server.ask("HEAD", &format!("/files?path={}", path.display()), &[], b"").ok();
        assert!(head.body.is_empty());
        for name in ["content-length", "content-type", "etag", "last-modified"] {
            assert_eq!(head.header(name), answer.header(name), "{name}");
        }
    }
    fs::write(scratch.at("plain"), "na\u{ef}ve text").unwrap();
    assert_eq!(server.get(&scratch.at("plain"), &[]).header("content-type"), "text/plain; charset=utf-8");
}

#[test]
fn sixty_four_mebibytes_go_up_and_come_down_unharmed() {
    let (server, scratch) = (Server::open(), Scratch::new());
    let content = noise(64 << 20);
    server.put(&scratch.at("f"), &[], &content).ok();
    assert!(server.get(&scratch.at("f"), &[SDK]).ok().body == content);
}

#[test]
fn what_is_not_there_or_no_file_is_refused_by_name() {
    let (server, scratch) = (Server::open(), Scratch::new());
    let message = server.get(&scratch.at("missing"), &[]).refused(404);
    assert_eq!(message, format!("path '{}' does not exist", scratch.at("missing").display()));
    let message = server.get(scratch.path(), &[]).refused(400);
    assert_eq!(message, format!("path '{}' is a directory", scratch.path().display()));
    fs::write(scratch.at("f"), "").unwrap();
    server.get(&scratch.at("f/below"), &[]).refused(404);
    server.ask("GET", "/files?path=~other/x", &[], b"").refused(400);
    server.ask("GET", "/files?path=/etc/passwd&username=nobody-at-all", &[], b"").refused(401);
    assert_eq!(server.ask("GET", "/files?path=a&path=b", &[], b"").status, 400);
}

#[test]
fn names_round_trip_through_content_disposition() {
    let (server, scratch) = (Server::open(), Scratch::new());
    for (name, want) in [
        ("a b", "filename=\"a b\""),
        ("q\"uote", "filename=\"q\\\"uote\""),
        ("back\\slash", "filename=\"back\\\\slash\""),
        (".hidden", "filename=.hidden"),
        ("na\u{ef}ve", "filename*=utf-8''na%C3%AFve"),
    ] {
        server.put(&scratch.at(name), &[], b"x").ok();
        let answer = server.get(&scratch.at(name), &[]).ok();
        assert_eq!(answer.header("content-disposition"), format!("inline; {want}"));
    }
}

#[test]
fn gzip_is_sent_when_asked_alone_or_when_it_pays() {
    let (server, scratch) = (Server::open(), Scratch::new());
    let (text, random) = (b"the same words again and again\n".repeat(40_000), noise(1_240_000));
    for (name, content, pays) in
        [("text", &text, true), ("random", &random, false), ("tiny", &text[..93].to_vec(), false)]
    {
        let path = scratch.at(name);
        fs::write(&path, content).unwrap();
        for (accept, want) in [
            ("gzip, deflate", pays),
            ("gzip", true),
            ("identity;q=0, *", true),
            ("identity, gzip;q=0.5", false),
            ("br", false),
        ] {
            let answer = server.get(&path, &[("Accept-Encoding", accept)]).ok();
            assert_eq!(answer.header("content-encoding") == "gzip", want, "{name} {accept}");
            let plain = if want { gunzip(&answer.body) } else { answer.body.clone() };
            assert!(plain == *content && answer.whole, "{name} {accept}");
            if let Some((_, all_but_last)) = answer.chunks.split_last() {
                assert!(all_but_last.iter().all(|size| *size >= 64 * 1024), "{:?}", answer.chunks);
            }
        }
        server.get(&path, &[("Accept-Encoding", "identity;q=0")]).refused(406);
        server.get(&path, &[("Accept-Encoding", "*;q=0")]).refused(406);
        server.get(&path, &[("Accept-Encoding", "identity;q=0"), ("Range", "bytes=0-1")]).refused(406);
        let ranged = server.get(&path, &[SDK, ("Range", "bytes=1-2")]);
        assert_eq!((ranged.status, ranged.header("content-encoding"), &ranged.body[..]), (206, "", &content[1..3]));
    }
}

#[test]
fn ranges_are_cut_exactly() {
    let (server, scratch) = (Server::open(), Scratch::new());
    for size in [1000_usize, 1_000_000] {
        let (path, content) = (scratch.at("f"), noise(size));
        fs::write(&path, &content).unwrap();
        let range = |range: &str| server.get(&path, &[("Range", range)]);
        for (text, start, end) in [
            ("bytes=0-0".to_owned(), 0, 1),
            (format!("bytes={}-", size - 10), size - 10, size),
            ("bytes=-7".to_owned(), size - 7, size),
            (format!("bytes=100-{}", size * 2), 100, size),
            (format!("bytes=7-{}", size * 9 / 10 - 1), 7, size * 9 / 10),
        ] {
            let answer = range(&text);
            assert_eq!(answer.status, 206, "{text}");
            assert!(answer.body == content[start..end], "{text}");
            assert_eq!(answer.header("content-range"), format!("bytes {start}-{}/{size}", end - 1));
            assert_eq!(answer.header("content-length"), (end - start).to_string());
        }
        let beyond = range(&format!("bytes={size}-"));
        beyond.refused(416);
        assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
        let two = range(&format!("bytes=0-2,{}-", size - 3));
        assert_eq!((two.status, two.whole), (206, true));
        let boundary = two.header("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap().to_owned();
        let part = |start: usize, end: usize| {
            let head =
                format!("Content-Range: bytes {start}-{}/{size}\r\nContent-Type: application/octet-stream", end - 1);
            [format!("--{boundary}\r\n{head}\r\n\r\n").as_bytes(), &content[start..end], b"\r\n"].concat()
        };
        let want = [part(0, 3), part(size - 3, size), format!("--{boundary}--\r\n").into_bytes()].concat();
        assert!(two.body == want, "{}", two.text());
    }
}

#[test]
fn conditions_are_about_the_version_that_is_there() {
    let (server, scratch) = (Server::open(), Scratch::new());
    let path = scratch.at("f");
    fs::write(&path, "content").unwrap();
    let first = server.get(&path, &[]).ok();
    let (tag, date) = (first.header("etag").to_owned(), first.header("last-modified").to_owned());
    let past = "Mon, 01 Jan 2001 00:00:00 GMT";
    for (name, value, want) in [
        ("If-None-Match", tag.as_str(), 304),
        ("If-None-Match", "\"x\"", 200),
        ("If-Modified-Since", &date, 304),
        ("If-Modified-Since", past, 200),
        ("If-Match", &tag, 200),
        ("If-Match", "\"x\"", 412),
        ("If-Unmodified-Since", past, 412),
    ] {
        let answer = server.get(&path, &[(name, value)]);
        assert_eq!(answer.status, want, "{name}: {value}");
        assert_eq!(answer.body.is_empty(), want == 304);
    }
    for (if_range, want) in [(tag.as_str(), 206), (&date, 206), ("\"x\"", 200), (past, 200)] {
        assert_eq!(server.get(&path, &[("Range", "bytes=0-1"), ("If-Range", if_range)]).status, want, "{if_range}");
    }
    server.put(&path, &[], b"changed").ok();
    assert_eq!(server.get(&path, &[("If-None-Match", &tag)]).status, 200);
}

#[test]
fn a_file_that_shrinks_while_it_is_read_ends_the_connection_early() {
    let (server, scratch) = (Server::open(), Scratch::new());
    let path = scratch.at("f");
    let size = 256 << 20;
    fs::File::create(&path).unwrap().set_len(size).unwrap();
    let mut stream = server.open_request("GET", &format!("/files?path={}", path.display()), &[]);
    let mut first = [0; 1024];
    stream.read_exact(&mut first).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!((rest.len() as u64) < size, "the length that was announced cannot have come");
    // The server lives on.
    server.get(&path, &[]).ok();
}

#[test]
fn stalled_clients_hold_no_thread() {
    let (server, scratch) = (Server::open(), Scratch::new());
    let path = scratch.at("f");
    fs::File::create(&path).unwrap().set_len(64 << 20).unwrap();
    let mut stalled = Vec::new();
    for at in 0..40 {
        let mut download = server.open_request("GET", &format!("/files?path={}", path.display()), &[]);
        download.read_exact(&mut [0; 16]).unwrap();
        let mut upload = server.begin(&scratch.at(&format!("up{at}")), &[("Content-Length", "100000000")]);
        upload.write_all(&noise(1_000_000)).unwrap();
        stalled.push((download, upload));
    }
    server.put(&scratch.at("quick"), &[], b"x").ok();
    // Threads of the pool that have no work end after a while; those held by a client never would.
    wait_until("the pool is idle", || threads_at_work() == 0);
    assert_eq!(scratch.names(), ["f", "quick"]);
}

/// Counts the threads of the blocking pool that are inside a read or write.
fn threads_at_work() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let busy = tasks.filter(|task| {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let call = fs::read_to_string(task.path().join("syscall")).unwrap_or_default();
        // pread64 17, pwritev 296, read 0, writev 20: x86_64 numbers.
        name.starts_with("tokio-rt") && ["0 ", "17 ", "20 ", "296 "].iter().any(|number| call.starts_with(number))
    });
    busy.count()
}
