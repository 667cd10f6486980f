//! What runs goes on: memory, open files, terminals, listening servers.

use std::time::Duration;

use icebox::guest::Guest;
use serde_json::{Value, json};

use crate::guests::{self, Terminal, fetch};

/// Nothing runs for so long: more than any timer in a kernel or a client waits.
const AWAY: Duration = Duration::from_secs(30);

/// Counts in memory, with a file held open, and writes each number there.
const COUNTER: &str = "exec 3>/root/held; i=0; while :; do i=$((i+1)); echo $i >&3; sleep 0.05; done";

fn counted(guest: &Guest) -> u64 {
    guest.sh("tail -n 1 /root/held").trim().parse().unwrap()
}

#[test]
fn in_an_image_with_nothing_but_the_agent_everything_goes_on() {
    let mut guest = Guest::start("scratch");
    let counter = guest.spawn(COUNTER);
    guest.spawn("nc -ll -p 8080 -e cat");
    let mut shell = Terminal::start(&guest, "sh", &["-i"]);
    shell.type_in(&guest, "kept=forty\n");
    shell.read_until(&guest, "kept=forty");
    guests::wait(&guest, "the counter counts", || guest.run("test $(tail -n 1 /root/held) -gt 5").exit_code == 0);
    let before = counted(&guest);
    assert_eq!(guests::echo(guest.address(8080), b"before"), b"before");

    let asleep = guest.pause();
    std::thread::sleep(AWAY);
    let mut guest = asleep.resume();

    let first = counted(&guest);
    assert!(first >= before, "it counted {before} before and {first} after");
    guests::wait(&guest, "it goes on", || counted(&guest) > first + 5);
    let held = format!("test \"$(readlink /proc/{counter}/fd/3)\" = /root/held");
    assert_eq!(guest.run(&held).exit_code, 0, "the same process, with the same file");
    guest.sh("awk '$1 != NR { exit 1 }' /root/held");
    assert_eq!(guests::echo(guest.address(8080), b"after"), b"after");
    shell.attach(&guest);
    shell.type_in(&guest, "echo ${kept}two\n");
    shell.read_until(&guest, "fortytwo");
}

#[test]
fn a_repl_an_editor_and_a_web_server_go_on() {
    let mut guest = Guest::start("debian");
    guest.sh("mkdir -p /srv/web && echo hello > /srv/web/index.html");
    guest.spawn("cd /srv/web && exec python3 -m http.server 8080 --bind 0.0.0.0");
    let mut repl = Terminal::start(&guest, "python3", &["-q", "-i"]);
    repl.read_until(&guest, ">>>");
    repl.type_in(&guest, "kept = ['forty']\n");
    let mut editor = Terminal::start(&guest, "vim.tiny", &["-u", "NONE", "/root/text"]);
    editor.type_in(&guest, "ihello");
    editor.read_until(&guest, "hello");
    let web = guest.address(8080);
    guests::wait(&guest, "the server serves", || fetch(web, "/").is_some());

    let asleep = guest.pause();
    std::thread::sleep(AWAY);
    let mut guest = asleep.resume();

    assert!(fetch(guest.address(8080), "/").unwrap().ends_with("hello\n"));
    repl.attach(&guest);
    repl.type_in(&guest, "kept + ['two']\n");
    repl.read_until(&guest, "['forty', 'two']");
    editor.attach(&guest);
    editor.type_in(&guest, " world\u{1b}:wq\r");
    guests::wait(&guest, "the editor saves", || guest.run("grep -q 'hello world' /root/text").exit_code == 0);
}

#[test]
fn the_freeze_tells_what_it_did_and_the_thaw_too() {
    let guest = Guest::start("scratch");
    guest.spawn(COUNTER);
    let lived = guests::generation(&guest);
    let asleep = guest.pause();
    let frozen = asleep.report.frozen.clone().expect("the agent freezes");
    let names = |report: &Value| -> Vec<String> {
        report["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap().to_owned()).collect()
    };
    let steps = names(&frozen["report"]);
    for step in ["part clients", "write back", "freeze programs", "list connections"] {
        assert!(steps.iter().any(|name| name == step), "{step} in {steps:?}");
    }
    assert_eq!(frozen["report"]["stragglers"], Value::Null);
    let (guest, report) = asleep.resume_with(&icebox::snapshot::Guided::default());
    let thawed = report.thawed.unwrap();
    assert_eq!(thawed["generation"], json!((lived + 1).to_string()));
    assert_eq!(thawed["report"]["entropy"], json!("host"));
    assert_eq!(names(&thawed["report"])[..2], ["entropy", "clock"], "random numbers come first");
    let status = guest.block_on(guest.agent().status()).unwrap();
    for name in ["rng", "clock", "sock_destroy", "rtc", "cgroup_freeze", "fs_freeze", "vmgenid"] {
        assert_eq!(status["capabilities"][name], json!(true), "{name} in {status}");
    }
}
