//! What programs write, and who reads it how fast.

use serde_json::json;

use crate::support::connect::{Program, call, run, shell};
use crate::support::{Daemon, wait_until};

#[test]
fn output_is_whole_and_in_order_on_each_channel() {
    let daemon = Daemon::start();
    let program = run(daemon.address, "for i in $(seq 1 2000); do echo o$i; echo e$i >&2; done");
    let numbered = |letter: char| (1..=2000).map(|number| format!("{letter}{number}\n")).collect::<String>();
    assert_eq!(program.text(), numbered('o'));
    assert_eq!(String::from_utf8_lossy(&program.stderr), numbered('e'));
}

#[test]
fn large_output_arrives_byte_for_byte() {
    let daemon = Daemon::start();
    let program = run(daemon.address, "seq 1 3000000");
    let mut expected = Vec::new();
    for number in 1..=3_000_000 {
        expected.extend(format!("{number}\n").bytes());
    }
    assert!(program.stdout == expected, "{} of {} bytes", program.stdout.len(), expected.len());
}

#[test]
fn chunks_end_at_character_borders_however_the_pipe_cuts_them() {
    let daemon = Daemon::start();
    let text = "aé€😀".repeat(40_000);
    let file = daemon.folder.join("text");
    std::fs::write(&file, &text).unwrap();
    let mut program =
        Program::shell(daemon.address, &format!("cat {0}; printf '\\303'; sleep 0.1; printf '\\251'", file.display()));
    let mut chunks = 0;
    loop {
        let before = program.stdout.len();
        if !program.step() {
            break;
        }
        let chunk = program.stdout[before..].to_vec();
        if before + chunk.len() <= text.len() && !chunk.is_empty() {
            assert!(std::str::from_utf8(&chunk).is_ok(), "a chunk of {} bytes cuts a character", chunk.len());
            chunks += 1;
        }
    }
    assert!(chunks > 2);
    assert_eq!(program.stdout, [text.as_bytes(), "é".as_bytes()].concat());
}

#[test]
fn bytes_that_are_no_text_arrive_unchanged() {
    let daemon = Daemon::start();
    let file = daemon.folder.join("bytes");
    let bytes: Vec<u8> = (0..=255u8).cycle().take(100_000).collect();
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(run(daemon.address, &format!("cat {}", file.display())).stdout, bytes);
}

#[test]
fn what_was_written_while_nobody_was_connected_can_be_read_from_its_offset() {
    let daemon = Daemon::start();
    let go = daemon.folder.join("go");
    let script =
        format!("echo one; while [ ! -e {} ]; do sleep 0.01; done; echo two; echo three; sleep 300", go.display());
    let mut program = Program::shell(daemon.address, &script);
    program.read_until("one\n");
    let (pid, offset) = (program.pid, program.stdout.len());
    drop(program);
    std::fs::write(&go, "").unwrap();
    let mut again =
        Program::connect(daemon.address, &[("thawd-output-offset", &offset.to_string())], &json!({"pid": pid}));
    assert_eq!(again.stream.head.header("thawd-output-offset"), "4");
    again.read_until("three\n");
    assert_eq!(again.text(), "two\nthree\n");
}

#[test]
fn an_offset_that_is_no_longer_kept_is_answered_with_the_one_that_is() {
    let daemon = Daemon::with(&["--output-ring", "65536"]);
    let mut program = Program::shell(daemon.address, "head -c 1000000 /dev/zero; echo END; sleep 300");
    program.read_until("END\n");
    let again = Program::connect(daemon.address, &[("thawd-output-offset", "0")], &json!({"pid": program.pid}));
    let start: u64 = again.stream.head.header("thawd-output-offset").parse().unwrap();
    assert!((1_000_004 - 65_536..1_000_004).contains(&start), "{start}");
}

#[test]
fn a_stalled_reader_stops_neither_the_program_nor_another_reader() {
    let daemon = Daemon::with(&["--output-stall", "2"]);
    let go = daemon.folder.join("go");
    let script = format!("while [ ! -e {} ]; do sleep 0.01; done; head -c 60000000 /dev/zero; echo END", go.display());
    let stalled = Program::shell(daemon.address, &script);
    let mut reader = Program::connect(daemon.address, &[], &json!({"pid": stalled.pid}));
    std::fs::write(&go, "").unwrap();
    assert_eq!(reader.exit_code(), 0);
    assert_eq!(reader.stdout.len(), 60_000_004);
    let mut stalled = stalled;
    while stalled.step() {}
    assert_eq!(stalled.stream.error_code(), Some("resource_exhausted"), "{:?}", stalled.stream.end);
    assert!(stalled.stdout.len() < 60_000_000);
}

#[test]
fn a_slow_reader_that_goes_on_reading_loses_nothing() {
    let daemon = Daemon::start();
    let mut program = Program::shell(daemon.address, "head -c 40000000 /dev/zero");
    for _ in 0..20 {
        assert!(program.step());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(program.exit_code(), 0);
    assert_eq!(program.stdout.len(), 40_000_000);
}

#[test]
fn a_program_that_nobody_reads_is_never_blocked() {
    let daemon = Daemon::start();
    let done = daemon.folder.join("done");
    drop(Program::shell(daemon.address, &format!("head -c 50000000 /dev/zero; touch {}", done.display())));
    wait_until("it has written everything", || done.exists());
}

#[test]
fn a_terminal_has_its_size_and_its_first_prompt() {
    let daemon = Daemon::start();
    let message = json!({
        "process": {"cmd": "sh", "args": ["-c", "printf first; stty size; tty; test -O $(tty) && echo mine; read x; stty size"]},
        "pty": {"size": {"cols": 123, "rows": 45}},
    });
    for _ in 0..20 {
        let mut program = Program::start(daemon.address, &[], &message);
        program.read_until("mine");
        let text = String::from_utf8_lossy(&program.pty).into_owned();
        assert!(text.starts_with("first45 123\r\n/dev/pts/"), "{text:?}");
        let resize = json!({"process": {"pid": program.pid}, "pty": {"size": {"cols": 200, "rows": 50}}});
        assert_eq!(call(daemon.address, "process.Process/Update", &resize).status, 200);
        let enter = json!({"process": {"pid": program.pid}, "input": {"pty": "Cg=="}});
        assert_eq!(call(daemon.address, "process.Process/SendInput", &enter).status, 200);
        assert_eq!(program.exit_code(), 0);
        assert!(String::from_utf8_lossy(&program.pty).ends_with("50 200\r\n"));
    }
}

#[test]
fn a_terminal_belongs_to_the_user_so_that_tools_can_reopen_it() {
    let daemon = Daemon::start();
    let authorization = format!("Basic {}", base64_simd::STANDARD.encode_to_string("nobody:"));
    let script = "id -un; test -O $(tty) && echo mine; echo again > $(tty)";
    let message = json!({
        "process": {"cmd": "sh", "args": ["-c", script], "cwd": "/"}, "pty": {"size": {"cols": 80, "rows": 24}},
    });
    let mut program = Program::start(daemon.address, &[("authorization", &authorization)], &message);
    assert_eq!(program.exit_code(), 0);
    assert_eq!(String::from_utf8_lossy(&program.pty), "nobody\r\nmine\r\nagain\r\n");
}

#[test]
fn output_of_a_terminal_before_the_exit_is_whole() {
    let daemon = Daemon::start();
    let message = json!({
        "process": {"cmd": "sh", "args": ["-c", "seq 1 20000"]}, "pty": {"size": {"cols": 80, "rows": 24}},
    });
    let mut program = Program::start(daemon.address, &[], &message);
    program.finish();
    let expected: String = (1..=20_000).map(|number| format!("{number}\r\n")).collect();
    assert!(program.pty == expected.as_bytes(), "{} of {}", program.pty.len(), expected.len());
}

#[test]
fn keepalives_come_in_silence_also_after_the_output_was_closed() {
    let daemon = Daemon::start();
    let message = shell("exec >&- 2>&-; sleep 2.5");
    let mut program = Program::start(daemon.address, &[("keepalive-ping-interval", "1")], &message);
    program.finish();
    assert!(program.keepalives >= 2, "{}", program.keepalives);
}

#[test]
fn a_keepalive_interval_of_zero_or_less_harms_nobody() {
    let daemon = Daemon::start();
    for interval in ["0", "-1", "x", "99999999999999999999"] {
        let mut program = Program::start(daemon.address, &[("keepalive-ping-interval", interval)], &shell("echo hi"));
        program.finish();
        assert_eq!((program.text().as_str(), program.keepalives), ("hi\n", 0), "{interval}");
    }
}

#[test]
fn hundreds_of_idle_streams_are_held_at_once() {
    let daemon = Daemon::start();
    let programs: Vec<_> = (0..300).map(|_| Program::shell(daemon.address, "echo up; sleep 300")).collect();
    assert_eq!(crate::support::http::get(daemon.address, "/health").status, 204);
    let list = call(daemon.address, "process.Process/List", &json!({})).json();
    assert_eq!(list["processes"].as_array().map(Vec::len), Some(programs.len()));
}

#[test]
fn a_stalled_reader_does_not_hold_back_the_end_of_a_killed_program() {
    let daemon = Daemon::start();
    let stalled = Program::shell(daemon.address, "exec seq 1000000000");
    let pid = json!({"pid": stalled.pid});
    let mut reader = Program::connect(daemon.address, &[], &pid);
    let bytes = || std::fs::read_to_string(format!("/proc/{}/io", stalled.pid)).unwrap_or_default();
    let (mut before, mut same) = (String::new(), 0);
    // Neither reads: the program writes until the ring, both sockets and its pipe are full.
    wait_until("the program is blocked", || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let now = bytes();
        same = if now == before { same + 1 } else { 0 };
        before = now;
        same > 10
    });
    let kill = json!({"process": pid, "signal": "SIGNAL_SIGKILL"});
    assert_eq!(call(daemon.address, "process.Process/SendSignal", &kill).status, 200);
    let started = std::time::Instant::now();
    wait_until("it has left the list", || {
        call(daemon.address, "process.Process/List", &json!({})).json().get("processes").is_none()
    });
    assert!(started.elapsed() < crate::support::connect::SOON, "{:?}", started.elapsed());
    assert_eq!(reader.finish()["status"], "signal: killed");
    let mut stalled = stalled;
    assert_eq!(stalled.finish()["status"], "signal: killed");
    // Who came later may have missed the beginning, and nothing else.
    assert!(!reader.stdout.is_empty() && stalled.stdout.ends_with(&reader.stdout), "both got everything");
}

#[test]
fn a_program_of_single_bytes_stays_within_its_memory() {
    let daemon = Daemon::start();
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    run(daemon.address, "true");
    let before = resident();
    let script = "import os\nfor i in range(150000): os.write(1, b'.')";
    let message = json!({"process": {"cmd": "python3", "args": ["-c", script]}});
    let mut program = Program::start(daemon.address, &[], &message);
    program.finish();
    assert_eq!(program.stdout.len(), 150_000);
    assert!(resident() < before + 8 * 1024, "{before} KiB grew to {} KiB", resident());
}
