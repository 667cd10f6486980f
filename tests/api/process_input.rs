//! What programs are fed.

use serde_json::{Value, json};

use crate::support::connect::{Program, call, envelope, shell};
use crate::support::http::Connection;
use crate::support::{Daemon, wait_until};

fn with_stdin(script: &str) -> Value {
    let mut message = shell(script);
    message["stdin"] = json!(true);
    message
}

fn base64(text: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(text)
}

fn feed(daemon: &Daemon, pid: u32, kind: &str, text: &[u8]) -> (u16, String) {
    let message = json!({"process": {"pid": pid}, "input": {kind: base64(text)}});
    let answer = call(daemon.address, "process.Process/SendInput", &message);
    (answer.status, answer.json()["code"].as_str().unwrap_or("").to_owned())
}

fn close(daemon: &Daemon, pid: u32) -> (u16, String) {
    let answer = call(daemon.address, "process.Process/CloseStdin", &json!({"process": {"pid": pid}}));
    (answer.status, answer.json()["code"].as_str().unwrap_or("").to_owned())
}

const OK: (u16, &str) = (200, "");
const INTERNAL: (u16, &str) = (500, "internal");

fn same(got: (u16, String), want: (u16, &str)) {
    assert_eq!((got.0, got.1.as_str()), want);
}

#[test]
fn input_arrives_in_order_and_closing_ends_it() {
    let daemon = Daemon::start();
    let mut program = Program::start(daemon.address, &[], &with_stdin("cat; echo END; sleep 300"));
    for number in 0..50 {
        same(feed(&daemon, program.pid, "stdin", format!("{number}\n").as_bytes()), OK);
    }
    same(close(&daemon, program.pid), OK);
    same(close(&daemon, program.pid), OK);
    same(feed(&daemon, program.pid, "stdin", b"late"), INTERNAL);
    program.read_until("END\n");
    let expected: String = (0..50).map(|number| format!("{number}\n")).chain(["END\n".to_owned()]).collect();
    assert_eq!(program.text(), expected);
}

#[test]
fn input_of_the_wrong_kind_or_to_nobody_is_a_typed_error() {
    let daemon = Daemon::start();
    let pipes = Program::start(daemon.address, &[], &with_stdin("sleep 300"));
    let closed = Program::start(daemon.address, &[], &shell("sleep 300"));
    let pty = json!({"process": {"cmd": "sleep", "args": ["300"]}, "pty": {"size": {"cols": 80, "rows": 24}}});
    let pty = Program::start(daemon.address, &[], &pty);
    same(feed(&daemon, pipes.pid, "pty", b"x"), INTERNAL);
    same(feed(&daemon, pty.pid, "stdin", b"x"), INTERNAL);
    same(feed(&daemon, closed.pid, "stdin", b"x"), INTERNAL);
    same(feed(&daemon, 1, "stdin", b"x"), (404, "not_found"));
    same(close(&daemon, closed.pid), OK);
    same(close(&daemon, pty.pid), (500, "unknown"));
    let resize = json!({"process": {"pid": pipes.pid}, "pty": {"size": {"cols": 1, "rows": 1}}});
    assert_eq!(call(daemon.address, "process.Process/Update", &resize).json()["code"], "internal");
    let nothing = json!({"process": {"pid": pipes.pid}});
    assert_eq!(call(daemon.address, "process.Process/Update", &nothing).status, 200);
    assert_eq!(call(daemon.address, "process.Process/SendInput", &nothing).json()["code"], "unimplemented");
    assert_eq!(call(daemon.address, "process.Process/SendSignal", &nothing).json()["code"], "unimplemented");
    assert_eq!(call(daemon.address, "process.Process/CloseStdin", &json!({})).json()["code"], "unimplemented");
}

#[test]
fn stdin_that_is_off_reads_as_empty() {
    let daemon = Daemon::start();
    let mut program = Program::shell(daemon.address, "read line");
    assert_eq!(program.exit_code(), 1);
}

#[test]
fn a_full_pipe_holds_up_neither_closing_nor_killing() {
    let daemon = Daemon::start();
    let mut program = Program::start(daemon.address, &[], &with_stdin("sleep 300"));
    let message = json!({"process": {"pid": program.pid}, "input": {"stdin": base64(&vec![b'x'; 1 << 20])}});
    let mut blocked = Connection::open(daemon.address);
    let body = message.to_string();
    blocked.request("POST", "/process.Process/SendInput", &[("content-type", "application/json")], body.as_bytes());
    let fd = format!("/proc/{}/fd/0", program.pid);
    wait_until("the pipe is full", || {
        let pipe = std::fs::File::open(&fd).unwrap();
        let mut count: nix::libc::c_int = 0;
        // SAFETY: FIONREAD stores one int.
        #[allow(unsafe_code, reason = "no safe wrapper")]
        unsafe {
            nix::libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&pipe), nix::libc::FIONREAD, &raw mut count)
        };
        count >= 65_536
    });
    same(close(&daemon, program.pid), OK);
    let kill = json!({"process": {"pid": program.pid}, "signal": "SIGNAL_SIGKILL"});
    assert_eq!(call(daemon.address, "process.Process/SendSignal", &kill).status, 200);
    assert_eq!(program.finish()["status"], "signal: killed");
    assert_eq!(blocked.answer().unwrap().json()["code"], "internal");
}

fn stream_input(daemon: &Daemon, messages: &[Value]) -> String {
    let mut connection = Connection::open(daemon.address);
    let body: Vec<u8> = messages.iter().flat_map(|message| envelope(0, message.to_string().as_bytes())).collect();
    let headers = [("content-type", "application/connect+json")];
    connection.request("POST", "/process.Process/StreamInput", &headers, &body);
    String::from_utf8_lossy(&connection.answer().unwrap().body).into_owned()
}

#[test]
fn a_stream_of_input_is_written_in_order() {
    let daemon = Daemon::start();
    let mut program = Program::start(daemon.address, &[], &with_stdin("head -c 9; echo END"));
    let data = |text: &str| json!({"data": {"input": {"stdin": base64(text.as_bytes())}}});
    let start = json!({"start": {"process": {"pid": program.pid}}});
    let answer = stream_input(&daemon, &[start, data("abc"), json!({"keepalive": {}}), data("def"), data("ghi")]);
    assert!(!answer.contains("error"), "{answer}");
    program.finish();
    assert_eq!(program.text(), "abcdefghiEND\n");
}

#[test]
fn data_before_start_is_refused_and_the_daemon_goes_on() {
    let daemon = Daemon::start();
    let answer = stream_input(&daemon, &[json!({"data": {"input": {"stdin": "eA=="}}})]);
    assert!(answer.contains("invalid_argument"), "{answer}");
    let answer = stream_input(&daemon, &[json!({})]);
    assert!(answer.contains("unimplemented"), "{answer}");
    assert_eq!(crate::support::http::get(daemon.address, "/health").status, 204);
}
