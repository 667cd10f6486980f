//! How programs end, and what is left of them.

use serde_json::json;

use crate::support::connect::{Program, SOON, call, run, shell};
use crate::support::{Daemon, is_alive, wait_until};

#[test]
fn exit_codes_and_signals_are_told_in_the_words_of_the_contract() {
    let daemon = Daemon::start();
    for (script, code, exited, status, error) in [
        ("true", 0, true, "exit status 0", None),
        ("exit 3", 3, true, "exit status 3", Some("exit status 3")),
        ("exit 255", 255, true, "exit status 255", Some("exit status 255")),
        ("kill -9 $$", -1, false, "signal: killed", Some("signal: killed")),
        ("kill -TERM $$", -1, false, "signal: terminated", Some("signal: terminated")),
        ("kill -USR1 $$", -1, false, "signal: user defined signal 1", Some("signal: user defined signal 1")),
    ] {
        let end = run(daemon.address, script).end.unwrap();
        assert_eq!(end["exitCode"].as_i64().unwrap_or(0), code, "{script}");
        assert_eq!(end["exited"].as_bool().unwrap_or(false), exited, "{script}");
        assert_eq!(end["status"], status, "{script}");
        assert_eq!(end["error"].as_str(), error, "{script}");
    }
}

#[test]
fn exit_is_reported_while_a_grandchild_holds_stdout() {
    let daemon = Daemon::start();
    let started = std::time::Instant::now();
    let mut program = Program::shell(daemon.address, "sleep 30 & echo $!; exit 4");
    assert_eq!(program.exit_code(), 4);
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    let grandchild: u32 = program.text().trim().parse().unwrap();
    assert!(is_alive(grandchild), "a background child outlives its parent");
}

#[test]
fn output_of_a_grandchild_after_the_exit_never_breaks_its_pipe() {
    let daemon = Daemon::start();
    let flag = daemon.folder.join("alive");
    let script = format!("(trap '' HUP; sleep 0.6; echo late; echo later && touch {}) & exit 0", flag.display());
    let mut program = Program::shell(daemon.address, &script);
    assert_eq!(program.exit_code(), 0);
    wait_until("the grandchild has written to the pipe of its dead parent", || flag.exists());
}

#[test]
fn nothing_written_before_the_exit_is_lost() {
    let daemon = Daemon::start();
    for script in [
        "head -c 300000 /dev/zero",
        "head -c 300000 /dev/zero; kill -9 $$",
        "trap 'head -c 300000 /dev/zero; exit 0' TERM; kill -TERM $$; sleep 5",
    ] {
        for _ in 0..10 {
            assert_eq!(run(daemon.address, script).stdout.len(), 300_000, "{script}");
        }
    }
}

#[test]
fn output_of_a_termination_handler_reaches_the_client() {
    let daemon = Daemon::start();
    let script = "trap 'head -c 200000 /dev/zero; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let mut program = Program::shell(daemon.address, script);
    program.read_until("ready\n");
    let selector = json!({"process": {"pid": program.pid}, "signal": "SIGNAL_SIGTERM"});
    assert_eq!(call(daemon.address, "process.Process/SendSignal", &selector).status, 200);
    assert_eq!(program.exit_code(), 5);
    assert_eq!(program.stdout.len(), "ready\n".len() + 200_000);
}

/// A parent, a child in its own session, and a grandchild that lost its parent; each says its id.
const FAMILY: &str = "setsid sh -c 'echo $$; (sleep 300 & echo $!) ; sleep 300' & echo $$; wait; sleep 300";

fn pids(program: &mut Program) -> Vec<u32> {
    while program.text().lines().count() < 3 {
        assert!(program.step());
    }
    program.text().lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn kill_leaves_no_survivor_and_ends_the_stream_at_once() {
    let daemon = Daemon::start();
    let mut program = Program::shell(daemon.address, FAMILY);
    let family = pids(&mut program);
    let signal = json!({"process": {"pid": program.pid}, "signal": "SIGNAL_SIGKILL"});
    assert_eq!(call(daemon.address, "process.Process/SendSignal", &signal).status, 200);
    let started = std::time::Instant::now();
    let end = program.finish();
    assert_eq!((end["exitCode"].as_i64(), end["status"].as_str()), (Some(-1), Some("signal: killed")));
    assert!(started.elapsed() < SOON);
    wait_until("the whole family is dead", || !family.iter().any(|&pid| is_alive(pid)));
    let again = call(daemon.address, "process.Process/SendSignal", &signal);
    assert_eq!((again.status, again.json()["code"].as_str()), (404, Some("not_found")));
}

#[test]
fn kill_leaves_no_survivor_without_cgroups_either() {
    let daemon = Daemon::with(&["-no-cgroups"]);
    let mut program = Program::shell(daemon.address, FAMILY);
    let family = pids(&mut program);
    let signal = json!({"process": {"pid": program.pid}, "signal": "SIGNAL_SIGKILL"});
    assert_eq!(call(daemon.address, "process.Process/SendSignal", &signal).status, 200);
    program.finish();
    wait_until("the whole family is dead", || !family.iter().any(|&pid| is_alive(pid)));
}

#[test]
fn terminate_reaches_the_whole_tree() {
    let daemon = Daemon::start();
    let mut program = Program::shell(daemon.address, FAMILY);
    let family = pids(&mut program);
    let signal = json!({"process": {"pid": program.pid}, "signal": "SIGNAL_SIGTERM"});
    assert_eq!(call(daemon.address, "process.Process/SendSignal", &signal).status, 200);
    assert_eq!(program.finish()["status"], "signal: terminated");
    wait_until("the whole family is dead", || !family.iter().any(|&pid| is_alive(pid)));
}

#[test]
fn a_timeout_kills_the_whole_tree_and_ends_the_call() {
    let daemon = Daemon::start();
    let mut program = Program::start(daemon.address, &[("connect-timeout-ms", "700")], &shell(FAMILY));
    let family = pids(&mut program);
    while program.step() {}
    assert_eq!(program.stream.error_code(), Some("deadline_exceeded"));
    assert!(program.end.is_none());
    wait_until("the whole family is dead", || !family.iter().any(|&pid| is_alive(pid)));
    wait_until("it has left the list", || {
        call(daemon.address, "process.Process/List", &json!({})).json().get("processes").is_none()
    });
}

#[test]
fn a_client_that_leaves_does_not_end_the_process() {
    let daemon = Daemon::start();
    let mut program = Program::shell(daemon.address, "echo here; sleep 300");
    program.read_until("here\n");
    let pid = program.pid;
    drop(program);
    let list = call(daemon.address, "process.Process/List", &json!({})).json();
    assert_eq!(list["processes"][0]["pid"].as_u64(), Some(u64::from(pid)));
    assert!(is_alive(pid));
}

#[test]
fn a_late_connect_still_gets_the_exit() {
    let daemon = Daemon::start();
    let mut message = shell("echo out; exit 9");
    message["tag"] = json!("late");
    let mut program = Program::start(daemon.address, &[], &message);
    program.finish();
    for selector in [json!({"pid": program.pid}), json!({"tag": "late"})] {
        let mut late = Program::connect(daemon.address, &[], &selector);
        assert_eq!(late.pid, program.pid);
        assert_eq!(late.exit_code(), 9);
        assert_eq!(late.text(), "");
    }
    let mut replayed = Program::connect(daemon.address, &[("thawd-output-offset", "1")], &json!({"tag": "late"}));
    assert_eq!(replayed.exit_code(), 9);
    assert_eq!(replayed.text(), "ut\n");
}

#[test]
fn a_reused_tag_never_answers_with_an_older_exit() {
    let daemon = Daemon::start();
    let tagged = |script: &str| {
        let mut message = shell(script);
        message["tag"] = json!("job");
        Program::start(daemon.address, &[], &message)
    };
    tagged("exit 1").finish();
    let second = tagged("echo up; sleep 300");
    let attached = Program::connect(daemon.address, &[], &json!({"tag": "job"}));
    assert_eq!(attached.pid, second.pid);
    assert!(attached.end.is_none());
}

#[test]
fn programs_and_cgroups_are_gone_when_the_daemon_is_told_to_end() {
    let mut daemon = Daemon::start();
    let mut program = Program::shell(daemon.address, FAMILY);
    let family = pids(&mut program);
    daemon.terminate();
    assert!(!family.iter().any(|&pid| is_alive(pid)));
    if let Some(root) = crate::support::cgroup_root() {
        let mine = format!("thawd-{}-", daemon.pid());
        let left = std::fs::read_dir(root.join("user")).unwrap().flatten();
        let left: Vec<_> = left.map(|entry| entry.file_name().into_string().unwrap()).collect();
        assert!(!left.iter().any(|name| name.starts_with(&mine)), "{left:?}");
    }
}

#[test]
fn a_thousand_programs_leave_nothing_behind() {
    let daemon = Daemon::start();
    run(daemon.address, "true");
    let before = daemon.usage();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..125 {
                    assert_eq!(run(daemon.address, "exit 1").end.unwrap()["exitCode"], 1);
                }
            });
        }
    });
    wait_until("descriptors and children are back to where they were", || {
        let now = daemon.usage();
        now.files <= before.files && now.children <= before.children
    });
}

#[test]
fn what_ended_programs_left_running_goes_with_the_daemon() {
    let mut daemon = Daemon::start();
    if crate::support::cgroup_root().is_none() {
        panic!("this test needs a writable cgroup v2 mount, at /sys/fs/cgroup or /sys/fs/cgroup/unified");
    }
    let left: u32 = run(daemon.address, "sleep 300 & echo $!").text().trim().parse().unwrap();
    assert!(is_alive(left));
    daemon.terminate();
    assert!(!is_alive(left));
}

#[test]
fn a_timeout_runs_while_the_program_is_not_yet_executed() {
    let Some(root) = crate::support::cgroup_root() else {
        panic!("this test needs a writable cgroup v2 mount, at /sys/fs/cgroup or /sys/fs/cgroup/unified");
    };
    let own = root.join(format!("thawd-test-{}", std::process::id()));
    std::fs::create_dir_all(&own).unwrap();
    let daemon = Daemon::with(&["-cgroup-root", own.to_str().unwrap()]);
    let switch = own.join("user/cgroup.freeze");
    crate::support::wait_until("the cgroups are made", || switch.exists());
    let freeze = |value: &str| std::fs::write(&switch, value).unwrap();
    freeze("1");
    let ran = daemon.folder.join("ran");
    let message = shell(&format!("touch {}", ran.display()));
    let headers = [("connect-timeout-ms", "300")];
    let mut stream = crate::support::connect::Stream::open(daemon.address, "process.Process/Start", &headers, &message);
    assert!(stream.next().is_none());
    assert_eq!(stream.error_code(), Some("deadline_exceeded"));
    wait_until("nothing is left of it", || daemon.usage().children == 0);
    freeze("0");
    assert!(!ran.exists());
    drop(daemon);
    for class in ["user", "ptys", "socats", ""] {
        let _ = std::fs::remove_dir(own.join(class));
    }
}
