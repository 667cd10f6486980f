//! Clients that leave, at each point of each kind of call.

use serde_json::json;

use crate::build::{TAG, base64, envelope, escape, get, many, one, raw};
use crate::outcome::Want;
use crate::row::Leave::{self, After, Drop, HalfClose, Reset};
use crate::row::{Row, Starts};
use crate::stage::{BIG, Stage};

pub(crate) fn rows(stage: &Stage) -> Vec<Row> {
    [requests(stage), programs(), watching(stage), inputs(stage), transfers(stage)].concat()
}

fn start(script: &str) -> Vec<u8> {
    let message = json!({"process": {"cmd": "sh", "args": ["-c", script]}, "stdin": false, "tag": TAG});
    one("process.Process/Start", &[], message.to_string().as_bytes())
}

fn connect(pid: u32) -> Vec<u8> {
    one("process.Process/Connect", &[], json!({"process": {"pid": pid}}).to_string().as_bytes())
}

fn watch(path: &str) -> Vec<u8> {
    one("filesystem.Filesystem/WatchDir", &[], json!({"path": path, "recursive": true}).to_string().as_bytes())
}

fn input(pid: u32) -> Vec<u8> {
    let data = json!({"data": {"input": {"stdin": base64(b"0123456789")}}});
    many("process.Process/StreamInput", &[json!({"start": {"process": {"pid": pid}}}), data])
}

fn upload(path: &str, body: &[u8], promised: u64) -> Vec<u8> {
    let length = promised.to_string();
    let headers = [("content-type", "application/octet-stream"), ("content-length", &*length)];
    raw("POST", &format!("/files?path={}", escape(path)), &headers, body)
}

/// Every call, cut in its head, after it, in its body and after that.
fn requests(stage: &Stage) -> Vec<Row> {
    let calls = [
        ("Start", start("sleep 300"), Starts::Perhaps),
        ("Connect", connect(stage.pipes), Starts::No),
        ("WatchDir", watch(&stage.at("dir")), Starts::No),
        ("StreamInput", input(stage.pipes), Starts::No),
        ("a new upload", upload(&stage.at("new"), b"0123456789", 1000), Starts::No),
        ("an upload over a file", upload(&stage.at("old"), b"0123456789", 1000), Starts::No),
        ("a download", get(&format!("/files?path={}", stage.at("big")), &[]), Starts::No),
    ];
    let mut rows = Vec::new();
    for (name, send, starts) in calls {
        let is_plain = name.contains("load");
        let head = send.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let mut points = vec![("in the head", head - 6), ("after the head", head)];
        if send.len() > head {
            points.extend([("in the first envelope", head + 3), ("in the body", send.len() - 3)]);
            points.push(("after the request", send.len()));
        }
        for (point, at) in points {
            let whole = at == send.len();
            for leave in [Drop, Reset, HalfClose] {
                // A half-close after a whole request is looked at with the answers.
                if whole && leave == HalfClose {
                    continue;
                }
                let row = Row::leaving(format!("{name}: {leave:?} {point}"), send[..at].to_vec(), leave);
                // A stream that breaks off in its request is told so, by whoever still listens.
                let told = leave == HalfClose && at >= head && !is_plain;
                let row = if told { row.wanting(Want::End("unavailable")) } else { row };
                rows.push(row.starts(if whole { starts } else { Starts::No }));
            }
        }
    }
    rows
}

/// A program outlives every client.
fn programs() -> Vec<Row> {
    let noisy = "while :; do echo noise; done";
    let big = "head -c 3000000 /dev/zero; sleep 300";
    let table: [(&str, &str, Leave, Starts); 6] = [
        ("the head of the answer", "sleep 300", After("HTTP/1.1 200"), Starts::Yes),
        ("the first event", "sleep 300", After("\"start\""), Starts::Yes),
        ("some data", noisy, After("\"stdout\""), Starts::Yes),
        ("the beginning of much data", big, After("AAAAAAAA"), Starts::Yes),
        ("the end event", "true", After("\"end\""), Starts::No),
        ("the end of the stream", "true", After("{}"), Starts::No),
    ];
    let rows = table.into_iter().map(|(name, script, leave, starts)| {
        Row::leaving(format!("Start: away after {name}"), start(script), leave).starts(starts)
    });
    let followed = Row::act("Connect: 20 clients away in the middle of data", |stage| {
        let message = json!({"process": {"cmd": "sh", "args": ["-c", "while :; do echo noise; done"]}, "tag": TAG});
        let mut program = stage.stream("process.Process/Start", &message);
        let pid = program.next().unwrap()["event"]["start"]["pid"].clone();
        let clients: Vec<_> = (0..20)
            .map(|_| {
                let mut client = stage.stream("process.Process/Connect", &json!({"process": {"pid": pid}}));
                assert!(client.next().is_some() && client.next().is_some());
                client
            })
            .collect();
        drop(clients);
        assert!(program.next().is_some(), "the first client still follows");
    });
    rows.chain([followed.starts(Starts::Yes)]).collect()
}

fn watching(stage: &Stage) -> Vec<Row> {
    let watch = watch(&stage.at("dir"));
    let connect = connect(stage.pipes);
    vec![
        Row::leaving("WatchDir: away after the first event", watch.clone(), After("\"start\"")),
        Row::leaving("Connect: away after the first event", connect, After("\"start\"")),
        Row::act("WatchDir: away after a file event", |stage| {
            let mut watch = stage.stream("filesystem.Filesystem/WatchDir", &json!({"path": stage.at("work")}));
            assert!(watch.next().is_some_and(|message| message.get("start").is_some()));
            std::fs::write(stage.at("work/x"), "x").unwrap();
            assert!(watch.next().is_some_and(|message| message.get("filesystem").is_some()));
            std::fs::remove_file(stage.at("work/x")).unwrap();
        }),
        Row::act("WatchDir: the directory goes, then the client", |stage| {
            std::fs::create_dir(stage.at("work/dir")).unwrap();
            let mut watch = stage.stream("filesystem.Filesystem/WatchDir", &json!({"path": stage.at("work/dir")}));
            assert!(watch.next().is_some());
            std::fs::remove_dir(stage.at("work/dir")).unwrap();
        }),
    ]
}

fn inputs(stage: &Stage) -> Vec<Row> {
    let blocked = Row::act("StreamInput: away while the pipe is full", |stage| {
        let message = json!({"process": {"cmd": "sleep", "args": ["300"]}, "stdin": true, "tag": TAG});
        let mut program = stage.stream("process.Process/Start", &message);
        let pid = program.next().unwrap()["event"]["start"]["pid"].clone();
        let mut client = crate::support::http::Connection::open(stage.address);
        let data = json!({"data": {"input": {"stdin": base64(&vec![b'x'; 1 << 20])}}});
        let send =
            many("process.Process/StreamInput", &[json!({"start": {"process": {"pid": pid}}}), data.clone(), data]);
        client.send(&send).unwrap();
    });
    vec![
        blocked.starts(Starts::Yes),
        Row::leaving("StreamInput: away after the answer", input(stage.closed), After("internal")),
        Row::act("StreamInput: away between two messages", |stage| {
            let mut client = crate::support::http::Connection::open(stage.address);
            let headers = [("content-type", "application/connect+json"), ("transfer-encoding", "chunked")];
            client.send(&raw("POST", "/process.Process/StreamInput", &headers, b"")).unwrap();
            let start = envelope(0, format!(r#"{{"start":{{"process":{{"pid":{}}}}}}}"#, stage.pipes).as_bytes());
            client.send(&[format!("{:x}\r\n", start.len()).as_bytes(), &start, b"\r\n"].concat()).unwrap();
        }),
    ]
}

fn transfers(stage: &Stage) -> Vec<Row> {
    let big = vec![b'x'; 3 << 20];
    let download = get(&format!("/files?path={}", stage.at("big")), &[]);
    let packed = get(&format!("/files?path={}", stage.at("big")), &[("accept-encoding", "gzip")]);
    let pipe = get(&format!("/files?path={}", stage.at("fifo")), &[]);
    let mut rows = Vec::new();
    for leave in [Drop, Reset, HalfClose] {
        for (name, path) in [("a new file", "new"), ("a file in new folders", "a/b/c"), ("a file that is there", "old")]
        {
            let send = upload(&stage.at(path), &big, BIG);
            rows.push(Row::leaving(format!("upload: {leave:?} after 3 MiB to {name}"), send, leave));
        }
        for (name, send) in [("a pipe that nobody writes", &pipe), ("a packed file", &packed)] {
            let row = Row::leaving(format!("download: {leave:?} of {name}"), send.clone(), leave);
            // The head may be out before the end of the request is seen.
            rows.push(if leave == HalfClose { row.wanting(Want::Closed) } else { row });
        }
    }
    let done = Row::leaving("upload: away after the answer", upload(&stage.at("new"), b"x", 1), After("200 OK"));
    rows.push(done.makes(stage.folder.join("new")));
    let form = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"";
    let form = format!("{form}{}\"\r\n\r\nhello", stage.at("new"));
    let headers = [("content-type", "multipart/form-data; boundary=B"), ("content-length", "100000")];
    rows.push(Row::leaving("form: away in a part", raw("POST", "/files", &headers, form.as_bytes()), Drop));
    let waiting = [("content-type", "application/octet-stream"), ("content-length", "9"), ("expect", "100-continue")];
    let send = raw("POST", &format!("/files?path={}", escape(&stage.at("new"))), &waiting, b"");
    rows.push(Row::leaving("upload: away after 100 Continue", send, After("100 Continue")));
    rows.push(Row::leaving("download: away after the head", download.clone(), After("200 OK")));
    rows.push(Row::leaving("download: away in the data", download, After("\r\n\r\n\0\0\0\0")));
    rows.push(Row::leaving("download: away in packed data", packed, After("\r\n\r\n")));
    rows
}
