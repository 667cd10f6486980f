//! What clients see of a pause: streams and connections that end well, output that goes on, calls that wait.

use std::io::Read as _;
use std::time::{Duration, Instant};

use serde_json::json;
use thawd::base::Phase;

use crate::guest::Guest;
use crate::support::connect::{Program, SOON, Stream, call, call_with, shell};
use crate::support::http::{Connection, get, request};
use crate::support::{PATIENCE, scratch, wait_until};

/// Reads to the end of a stream that a pause ends, and gives the offset that it names.
#[track_caller]
fn parted(program: &mut Program) -> u64 {
    while program.step() {}
    offset(program)
}

/// Gives the offset that the end of a stream names.
#[track_caller]
fn offset(program: &Program) -> u64 {
    assert_eq!(program.stream.error_code(), Some("unavailable"), "{:?}", program.stream.end);
    let metadata = &program.stream.end.as_ref().unwrap()["metadata"];
    metadata["thawd-output-offset"][0].as_str().unwrap().parse().unwrap()
}

/// Gives an idle connection; those that were opened before it have been looked at by then.
fn settled(guest: &Guest) -> Connection {
    let mut connection = Connection::open(guest.address);
    for _ in 0..3 {
        connection.request("GET", "/health", &[], b"");
        assert_eq!(connection.answer().unwrap().status, 204);
    }
    connection
}

fn again(guest: &Guest, pid: u32) -> Program {
    Program::connect(guest.address, &[], &json!({"pid": pid}))
}

fn start_of(program: &Program) -> u64 {
    program.stream.head.header("thawd-output-offset").parse().unwrap()
}

#[test]
fn a_numbered_stream_crosses_pauses_byte_for_byte() {
    let guest = Guest::start();
    let expected: String = (1..=3_000_000).map(|number| format!("{number}\n")).collect();
    let mut program = Program::shell(guest.address, "seq 1 3000000; exit 7");
    let pid = program.pid;
    let mut output = Vec::new();
    let mut pauses = 0;
    loop {
        let mut open = true;
        for _ in 0..pauses * 5 % 13 {
            open = open && program.step();
        }
        guest.phase(Phase::Freezing);
        // The client reads on: what was sent before the end of its stream arrives.
        let left = std::thread::scope(|scope| {
            let parting = scope.spawn(|| guest.part(PATIENCE));
            while open {
                open = program.step();
            }
            parting.join().unwrap()
        });
        assert_eq!(left, 0);
        output.append(&mut program.stdout);
        if program.end.is_some() {
            break;
        }
        assert_eq!(offset(&program), output.len() as u64);
        let generation = &program.stream.end.as_ref().unwrap()["metadata"]["thawd-generation"][0];
        assert_eq!(generation, &json!(pauses.to_string()));
        guest.phase(Phase::Frozen);
        guest.resume(Duration::ZERO);
        pauses += 1;
        program = again(&guest, pid);
        assert_eq!(start_of(&program), output.len() as u64);
    }
    assert!(pauses >= 3, "{pauses} pauses");
    assert_eq!(program.end.unwrap()["exitCode"].as_i64(), Some(7));
    assert!(output == expected.as_bytes(), "{} of {} bytes", output.len(), expected.len());
}

#[test]
fn a_program_that_ends_during_the_pause_is_told_to_its_end() {
    let guest = Guest::start();
    let mut programs: Vec<_> = (0..2)
        .map(|_| Program::start(guest.address, &[], &json!({"process": {"cmd": "cat"}, "stdin": true})))
        .collect();
    for program in &programs {
        let input = json!({"process": {"pid": program.pid}, "input": {"stdin": "b25l"}});
        assert_eq!(call(guest.address, "process.Process/SendInput", &input).status, 200);
    }
    for program in &mut programs {
        program.read_until("one");
    }
    assert_eq!(guest.part(SOON), 0);
    for program in &mut programs {
        assert_eq!(parted(program), 3);
        guest.table.find(&thawd::process::Selector::Pid(program.pid)).unwrap().close_stdin().unwrap();
    }
    wait_until("they end", || guest.table.list().is_empty());
    guest.resume(Duration::ZERO);
    for program in &programs {
        assert_eq!(again(&guest, program.pid).exit_code(), 0);
    }
}

#[test]
fn two_readers_come_back_in_any_order_and_miss_nothing() {
    let guest = Guest::start();
    let mut first = Program::shell(guest.address, "printf before; sleep 300");
    let mut second = Program::connect(guest.address, &[("thawd-output-offset", "0")], &json!({"pid": first.pid}));
    first.read_until("before");
    second.read_until("before");
    assert_eq!(guest.part(SOON), 0);
    assert_eq!((parted(&mut first), parted(&mut second)), (6, 6));
    guest.resume(Duration::ZERO);
    assert_eq!((start_of(&again(&guest, first.pid)), start_of(&again(&guest, first.pid))), (6, 6));
}

#[test]
fn other_streams_end_with_unavailable() {
    let guest = Guest::start();
    let folder = scratch();
    let message = json!({"path": folder.display().to_string()});
    let mut watch = Stream::open(guest.address, "filesystem.Filesystem/WatchDir", &[], &message);
    assert!(watch.next().is_some());
    assert_eq!(guest.part(SOON), 0);
    while watch.next().is_some() {}
    assert_eq!(watch.error_code(), Some("unavailable"));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn an_idle_connection_closes_at_once_and_a_silent_one_too() {
    let guest = Guest::start();
    let mut silent = Connection::open(guest.address);
    let mut idle = settled(&guest);
    let began = Instant::now();
    assert_eq!(guest.part(SOON), 0);
    assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
    assert!(idle.answer().is_none() && silent.answer().is_none());
}

#[test]
fn the_freeze_is_answered_last_and_its_connection_closes() {
    let guest = Guest::start();
    let mut program = Program::shell(guest.address, "echo up; sleep 300");
    program.read_until("up");
    let mut host = Connection::open(guest.address);
    host.request("POST", "/freeze", &[], b"");
    let answer = host.answer().unwrap();
    assert_eq!((answer.status, answer.text().as_str(), answer.header("connection")), (200, "0", "close"));
    assert!(host.answer().is_none());
    assert_eq!(parted(&mut program), 3);
    // Whoever comes now is answered as far as that needs no program.
    assert_eq!(get(guest.address, "/health").status, 204);
    assert_eq!(call(guest.address, "process.Process/List", &json!({})).status, 200);
}

#[test]
fn an_upload_that_is_on_its_way_is_cut_and_leaves_nothing() {
    let guest = Guest::start();
    let folder = scratch();
    let mut upload = Connection::open(guest.address);
    let path = folder.join("file");
    let head = format!(
        "POST /files?path={} HTTP/1.1\r\nhost: a\r\ncontent-type: application/octet-stream\r\n\
         content-length: 1000000\r\n\r\n",
        path.display()
    );
    upload.send(head.as_bytes()).unwrap();
    upload.send(&vec![0; 500_000]).unwrap();
    settled(&guest);
    let began = Instant::now();
    assert_eq!(guest.part(SOON), 0);
    assert!((500..1500).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert!(upload.answer().is_none_or(|answer| answer.status >= 400));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    let guest = Guest::start();
    let mut program = Program::shell(guest.address, "cat /dev/zero");
    let began = Instant::now();
    assert_eq!(guest.part(SOON), 0);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    while program.step() {}
    guest.resume(Duration::ZERO);
    assert!(start_of(&again(&guest, program.pid)) >= program.stdout.len() as u64);
}

#[test]
fn while_programs_are_being_stopped_new_work_is_refused_in_its_own_protocol() {
    let guest = Guest::start();
    guest.phase(Phase::Freezing);
    let plain = get(guest.address, "/files?path=/etc/passwd");
    assert_eq!((plain.status, plain.header("connection"), plain.json()["code"].as_i64()), (503, "close", Some(503)));
    let unary = call(guest.address, "filesystem.Filesystem/Stat", &json!({"path": "/"}));
    assert_eq!((unary.status, unary.json()["code"].as_str()), (503, Some("unavailable")));
    for refused in [plain, unary] {
        assert!(!refused.header("x-thawd-unexecuted").is_empty(), "a proxy may send it again");
    }
    let mut stream = Stream::open(guest.address, "process.Process/Start", &[], &shell("true"));
    assert!(stream.next().is_none());
    assert_eq!(stream.error_code(), Some("unavailable"));
    for path in ["/health", "/metrics", "/envs"] {
        assert!(get(guest.address, path).status < 300, "{path}");
    }
    guest.phase(Phase::Running);
    assert_eq!(call(guest.address, "filesystem.Filesystem/Stat", &json!({"path": "/"})).status, 200);
}

#[test]
fn calls_that_come_before_the_thaw_ends_are_served_after_it_with_what_it_brought() {
    let guest = Guest::start();
    guest.token("old");
    guest.phase(Phase::Frozen);
    let address = guest.address;
    let new = [("x-access-token", "new")];
    let file = std::thread::spawn(move || request(address, "GET", "/files?path=/etc/passwd", &new, b""));
    let program = std::thread::spawn(move || {
        let mut program = Program::start(address, &new, &shell("echo woken"));
        program.finish();
        program.text()
    });
    let mut quick = Connection::open(address);
    quick.stream().set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    quick.request("POST", "/process.Process/Start", &new, b"");
    assert!(quick.stream().read(&mut [0]).is_err(), "nothing is answered yet");
    guest.phase(Phase::Thawing);
    guest.token("new");
    guest.resume(Duration::from_secs(60));
    assert_eq!(file.join().unwrap().status, 200);
    assert_eq!(program.join().unwrap(), "woken\n");
}

#[test]
fn a_call_from_before_the_pause_is_not_executed_after_it() {
    let guest = Guest::start();
    let folder = scratch();
    guest.phase(Phase::Frozen);
    *guest.gap.lock().unwrap() = Some(Duration::ZERO);
    let mut ghost = Connection::open(guest.address);
    let made = json!({"path": folder.join("made").display().to_string()}).to_string();
    ghost.request("POST", "/filesystem.Filesystem/MakeDir", &[("content-type", "application/json")], made.as_bytes());
    ghost.stream().set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(ghost.stream().read(&mut [0]).is_err(), "it waits");
    *guest.gap.lock().unwrap() = Some(Duration::from_secs(60));
    guest.resume(Duration::from_secs(60));
    ghost.stream().set_read_timeout(Some(PATIENCE)).unwrap();
    let answer = ghost.answer().unwrap();
    assert_eq!((answer.status, answer.header("connection")), (503, "close"));
    assert!(!folder.join("made").exists());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_hosts_own_programs_run_while_all_others_stand_still() {
    let guest = Guest::start();
    guest.phase(Phase::Frozen);
    let script = json!({"process": {"cmd": "sh", "args": ["-c", "echo reclaimed"]}, "stdin": false, "tag": "_system"});
    let mut program = Program::start(guest.address, &[], &script);
    assert_eq!((program.exit_code(), program.text().as_str()), (0, "reclaimed\n"));
    guest.token("secret");
    let refused = call_with(guest.address, "process.Process/List", &[], &json!({}));
    assert_eq!(refused.status, 401, "the token holds all the while");
}
