//! Sandboxes: an id, a deadline, and a life over many VMs and many hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use icebox::agent::Agent;
use icebox::sandbox::{Create, Lifecycle, OnTimeout, PauseMode, SandboxError, State, View};

use crate::host::Host;
use crate::support::{COUNTER, PATIENCE, eventually, lives};

const HOUR: Duration = Duration::from_secs(3_600);

fn wish(on_timeout: OnTimeout, timeout: Duration) -> Create {
    Create {
        template: "base".into(),
        timeout,
        metadata: BTreeMap::from([("of".into(), "a test".into())]),
        env_vars: BTreeMap::from([("GREETING".into(), "hello".into())]),
        lifecycle: Lifecycle { on_timeout, auto_resume: true },
        secure: true,
        allow_internet: None,
        allow_public_traffic: true,
        network: None,
        mask_request_host: None,
    }
}

pub(crate) fn lasting() -> Create {
    wish(OnTimeout::Pause(PauseMode::Full), HOUR)
}

#[test]
fn a_program_goes_on_through_a_pause_and_everything_shown_is_true() {
    let host = Host::open("life");
    let view = host.create(lasting());
    assert_eq!((view.state, view.cpus, view.memory_mib, view.disk_mib), (State::Running, 1, 256, 512));
    assert!(view.envd_version.split('.').count() == 3, "{}", view.envd_version);
    let token = view.token.clone().unwrap();
    assert!(token.len() >= 40, "{token}");
    assert_eq!(host.sh(&view.id, "echo $GREETING; whoami; hostname"), format!("hello\nuser\n{}\n", view.id));
    assert!(host.try_sh(&view.id, Some("wrong"), "true").is_err(), "any token opens it");
    let pid = host.spawn(&view.id, COUNTER);
    host.block_on(host.all().pause(&view.id, PauseMode::Full, true)).unwrap();
    let paused = host.view(&view.id);
    assert_eq!(paused.state, State::Paused(PauseMode::Full));
    assert!(paused.snapshot_bytes.unwrap() > 1 << 20 && !paused.last_pause.is_empty(), "{paused:?}");
    assert!(host.qemus().is_empty(), "QEMU is still there");
    let again = host.block_on(host.all().pause(&view.id, PauseMode::Full, true)).unwrap_err();
    assert!(matches!(again, SandboxError::AlreadyPaused(_)), "{again}");
    let late = host.block_on(host.all().set_timeout(&view.id, HOUR, false)).unwrap_err();
    assert!(matches!(late, SandboxError::Paused(_)), "{late}");

    let (woken, resumed) = host.block_on(host.all().connect(&view.id, HOUR, true)).unwrap();
    assert!(resumed && woken.token == Some(token) && woken.started_ms == view.started_ms, "{woken:?}");
    assert_eq!(
        host.sh(&view.id, &format!("test -d /proc/{pid} && echo $GREETING; hostname")),
        format!("hello\n{}\n", view.id)
    );
    let (_, resumed) = host.block_on(host.all().connect(&view.id, Duration::from_secs(1), true)).unwrap();
    assert!(!resumed && host.view(&view.id).end_ms == woken.end_ms, "a deadline came nearer");
    let running = host.block_on(host.all().resume(&view.id, HOUR, None)).unwrap_err();
    assert!(matches!(running, SandboxError::AlreadyRunning(_)), "{running}");
    assert_eq!(host.block_on(host.all().metrics(&view.id, 0, u64::MAX)).unwrap().len(), 1);

    host.block_on(host.all().kill(&view.id)).unwrap();
    assert!(host.all().view(&view.id).is_none() && host.all().views().is_empty());
    let gone = host.block_on(host.all().kill(&view.id)).unwrap_err();
    assert!(matches!(gone, SandboxError::NotFound(_)), "{gone}");
    host.is_empty();
}

#[test]
fn at_its_deadline_a_sandbox_is_paused_or_gone() {
    let host = Host::open("deadline");
    let pauses = host.create(lasting());
    let dies = host.create(wish(OnTimeout::Kill, HOUR));
    let soon = Duration::from_millis(100);
    host.block_on(host.all().set_timeout(&pauses.id, soon, true)).unwrap();
    assert_eq!(host.view(&pauses.id).end_ms, pauses.end_ms, "a deadline came nearer");
    host.block_on(host.all().set_timeout(&pauses.id, soon, false)).unwrap();
    host.block_on(host.all().set_timeout(&dies.id, soon, false)).unwrap();
    eventually("the one is paused", || host.view(&pauses.id).state == State::Paused(PauseMode::Full));
    eventually("the other is gone", || host.all().view(&dies.id).is_none());
    eventually("no QEMU is left", || host.qemus().is_empty());
    // And again after a resume.
    host.block_on(host.all().connect(&pauses.id, soon, true)).unwrap();
    eventually("it is paused again", || host.view(&pauses.id).state == State::Paused(PauseMode::Full));
}

#[test]
fn a_sandbox_whose_vm_dies_is_what_it_was_at_its_last_pause_or_gone() {
    let host = Host::open("dies");
    let (paused_once, never) = (host.create(lasting()), host.create(lasting()));
    host.sh(&paused_once.id, "echo before > /tmp/file");
    host.block_on(host.all().pause(&paused_once.id, PauseMode::Full, false)).unwrap();
    host.block_on(host.all().connect(&paused_once.id, HOUR, true)).unwrap();
    host.sh(&paused_once.id, "echo after > /tmp/file");
    let reach = host.block_on(host.all().reach(&paused_once.id, 49983)).unwrap();
    for qemu in host.qemus() {
        Command::new("kill").args(["-9", &qemu.to_string()]).status().unwrap();
    }
    eventually("it fell back", || host.view(&paused_once.id).state == State::Paused(PauseMode::Full));
    assert!(reach.gone.is_cancelled(), "a way into nowhere is held for good");
    assert!(host.view(&paused_once.id).trouble.is_some());
    eventually("the other is gone", || host.all().view(&never.id).is_none());
    host.block_on(host.all().connect(&paused_once.id, HOUR, true)).unwrap();
    assert_eq!(host.sh(&paused_once.id, "cat /tmp/file"), "before\n");
    assert_eq!(host.view(&paused_once.id).trouble, None);
}

#[test]
fn paused_sandboxes_and_snapshots_survive_a_crash_of_the_host_and_files_of_nobody_do_not() {
    let mut host = Host::open("crash");
    let paused = host.create(lasting());
    host.sh(&paused.id, "echo kept > /tmp/file");
    let snapshot = host.block_on(host.all().snapshot(&paused.id, Some("mine".into()))).unwrap();
    host.block_on(host.all().pause(&paused.id, PauseMode::Full, true)).unwrap();
    let running = host.create(lasting());
    let before = host.view(&paused.id);
    host.crash();
    fs::create_dir(host.path().join("paused/.pausing-1")).unwrap();
    fs::create_dir(host.path().join("paused/nobodys")).unwrap();
    host.reopen();
    assert_eq!(host.all().view(&running.id).map(|view| view.state), None, "what ran is there without its VM");
    let after = host.view(&paused.id);
    assert_eq!((after.state, after.end_ms, &after.metadata), (before.state, before.end_ms, &before.metadata));
    assert_eq!((after.token, after.trouble), (before.token, None));
    assert_eq!(fs::read_dir(host.path().join("paused")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(host.path().join("vms")).unwrap().count(), 0);
    assert_eq!(host.all().snapshots(), [snapshot]);
    host.block_on(host.all().connect(&paused.id, HOUR, true)).unwrap();
    assert_eq!(host.sh(&paused.id, "cat /tmp/file"), "kept\n");
    host.crash();
    host.reopen();
    let fell_back = host.view(&paused.id);
    assert_eq!(fell_back.state, State::Paused(PauseMode::Full));
    assert!(fell_back.trouble.is_some(), "it ran when the host crashed, and nobody says so");
}

#[test]
fn a_host_that_goes_down_suspends_what_runs_and_the_next_one_wakes_it() {
    let mut host = Host::open("down");
    let view = host.create(wish(OnTimeout::Kill, HOUR));
    let pid = host.spawn(&view.id, COUNTER);
    host.block_on(host.all().close());
    assert!(host.qemus().is_empty(), "QEMU is still there");
    let refused = host.block_on(host.all().create(lasting())).unwrap_err();
    assert!(matches!(refused, SandboxError::Stopping), "{refused}");
    host.crash();
    host.reopen();
    // Whoever comes before it is awake waits for it.
    assert_eq!(host.sh(&view.id, &format!("test -d /proc/{pid} && echo yes")), "yes\n");
    let left = host.view(&view.id).end_ms.abs_diff(view.end_ms);
    assert!(left < 60_000, "its deadline moved by {left} ms");
}

#[test]
fn many_requests_at_once_resume_a_sandbox_once() {
    let host = Host::open("many");
    let view = host.create(lasting());
    host.block_on(host.all().pause(&view.id, PauseMode::Full, true)).unwrap();
    let reach = || host.all().reach(&view.id, 49983);
    let reached = host.block_on(futures_util::future::join_all((0..8).map(|_| reach())));
    let addresses: BTreeSet<_> = reached.into_iter().map(|reach| reach.unwrap().address).collect();
    assert_eq!(addresses.len(), 1, "{addresses:?}");
    assert_eq!(host.qemus().len(), 1);
    // Five minutes at least.
    let left = host.view(&view.id).end_ms.saturating_sub(host.now_ms());
    assert!((HOUR - PATIENCE..=HOUR).contains(&Duration::from_millis(left)), "{left}");
    let other = host.create(Create { lifecycle: Lifecycle { auto_resume: false, ..view.lifecycle }, ..lasting() });
    host.block_on(host.all().pause(&other.id, PauseMode::Full, true)).unwrap();
    let refused = host.block_on(host.all().reach(&other.id, 49983)).unwrap_err();
    assert!(matches!(refused, SandboxError::NotFound(_)), "{refused}");
}

#[test]
fn copies_of_a_running_sandbox_share_its_past_and_no_identity() {
    let host = Host::open("fork");
    let view = host.create(lasting());
    let pid = host.spawn(&view.id, &format!("tr -d - < /proc/sys/kernel/random/uuid > /etc/machine-id; {COUNTER}"));
    host.sh(&view.id, "while ! test -s /run/count; do sleep 0.1; done");
    let forks = host.block_on(host.all().fork(&view.id, HOUR, 3)).unwrap();
    let forks: Vec<View> = forks.into_iter().map(Result::unwrap).collect();
    let mut own = BTreeSet::new();
    for one in forks.iter().chain([&host.view(&view.id)]) {
        host.sh(&one.id, &format!("test -d /proc/{pid}"));
        let facts = ["hostname", "cat /etc/machine-id", "head -c 16 /dev/urandom | od -A n -t x1"];
        for fact in facts.map(|fact| host.sh(&one.id, fact)).into_iter().chain([one.token.clone().unwrap()]) {
            assert!(own.insert(fact.clone()), "{fact} is not its own");
        }
    }
    assert_eq!(fs::read_dir(host.path().join("snapshots")).unwrap().count(), 0);
    let twin = host.try_sh(&forks[0].id, view.token.as_deref(), "true");
    assert!(twin.is_err(), "a copy answers to the token of the original");
}

#[test]
fn a_full_disk_stops_the_pause_and_not_the_sandbox() {
    let host = Host::on_small_disk("small", 340);
    let view = host.create(lasting());
    let pid = host.spawn(&view.id, COUNTER);
    // Enough to begin with, and nothing at all.
    for left in [40 << 20, 0] {
        host.fill_disk(left);
        let full = host.block_on(host.all().pause(&view.id, PauseMode::Full, false)).unwrap_err();
        assert!(matches!(full, SandboxError::NoSpace(_)), "{left} left: {full}");
        assert_eq!(host.view(&view.id).state, State::Running, "{left} left");
        host.sh(&view.id, &format!("test -d /proc/{pid}"));
        assert_eq!(fs::read_dir(host.path().join("paused")).unwrap().count(), 0, "{left} left");
    }
    // Also when it writes to its disk, where there is no room.
    host.spawn(&view.id, "head -c 3000000 /dev/urandom > /root/big; sync; touch /run/written");
    eventually("it stands still", || host.view(&view.id).trouble.is_some_and(|text| text.contains("stands still")));
    host.empty_disk();
    eventually("it goes on", || host.try_sh(&view.id, view.token.as_deref(), "test -e /run/written").is_ok());
    host.sh(&view.id, "while ! test -e /run/written; do sleep 0.1; done");
    host.block_on(host.all().pause(&view.id, PauseMode::Full, false)).unwrap();
    host.block_on(host.all().connect(&view.id, HOUR, true)).unwrap();
    host.sh(&view.id, &format!("test -d /proc/{pid}"));
    // What is there can be removed however full it is.
    host.fill_disk(0);
    host.block_on(host.all().kill(&view.id)).unwrap();
    host.is_empty();
}

#[test]
fn a_sandbox_that_hangs_can_be_killed() {
    let host = Host::open("hangs");
    let view = host.create(lasting());
    let qemu = host.qemus()[0];
    Command::new("kill").args(["-STOP", &qemu.to_string()]).status().unwrap();
    let all = host.all().clone();
    let id = view.id.clone();
    let pausing = host.spawn_on(async move { all.pause(&id, PauseMode::Full, false).await });
    eventually("the pause has begun", || host.view(&view.id).state == State::Pausing);
    let from = std::time::Instant::now();
    host.block_on(host.all().kill(&view.id)).unwrap();
    assert!(from.elapsed() < Duration::from_secs(10), "it took {:?}", from.elapsed());
    assert!(host.block_on(pausing).unwrap().is_err());
    assert!(!lives(qemu), "QEMU is still there");
    host.is_empty();
}

#[test]
fn a_pause_of_files_alone_boots_again_and_is_told_everything_again() {
    let host = Host::open("files");
    let view = host.create(lasting());
    host.sh(&view.id, "echo kept > /home/user/file");
    let pid = host.spawn(&view.id, COUNTER);
    host.block_on(host.all().pause(&view.id, PauseMode::Filesystem, true)).unwrap();
    assert_eq!(host.view(&view.id).state, State::Paused(PauseMode::Filesystem));
    let refused = host.block_on(host.all().reach(&view.id, 49983)).unwrap_err();
    assert!(matches!(refused, SandboxError::NotFound(_)), "{refused}");
    host.block_on(host.all().connect(&view.id, HOUR, true)).unwrap();
    let told = host.sh(&view.id, &format!("cat /home/user/file; test -d /proc/{pid} || hostname; echo $GREETING"));
    assert_eq!(told, format!("kept\n{}\nhello\n", view.id));
    // A whole pause can be booted too.
    host.spawn(&view.id, COUNTER);
    host.sh(&view.id, "sync");
    host.block_on(host.all().pause(&view.id, PauseMode::Full, true)).unwrap();
    host.block_on(host.all().connect(&view.id, HOUR, false)).unwrap();
    assert_eq!(host.sh(&view.id, "cat /home/user/file; ls /run/count 2>/dev/null || echo new"), "kept\nnew\n");
}

#[test]
fn more_than_may_run_are_refused_and_what_is_paused_does_not_count() {
    let host = Host::with("bound", |settings| settings.max_running = 1);
    let view = host.create(lasting());
    let full = host.block_on(host.all().create(lasting())).unwrap_err();
    assert!(matches!(full, SandboxError::Full(1)), "{full}");
    host.block_on(host.all().pause(&view.id, PauseMode::Full, true)).unwrap();
    let other = host.create(lasting());
    let full = host.block_on(host.all().connect(&view.id, HOUR, true)).unwrap_err();
    assert!(matches!(full, SandboxError::Full(1)), "{full}");
    assert_eq!(host.view(&view.id).state, State::Paused(PauseMode::Full));
    host.block_on(host.all().kill(&other.id)).unwrap();
    host.block_on(host.all().connect(&view.id, HOUR, true)).unwrap();
}

#[test]
fn a_snapshot_is_a_template_until_it_is_deleted() {
    let host = Host::open("template");
    let view = host.create(lasting());
    host.sh(&view.id, "echo past > /tmp/file");
    let snapshot = host.block_on(host.all().snapshot(&view.id, Some("mine".into()))).unwrap();
    assert_eq!(host.view(&view.id).state, State::Running);
    for name in [&*snapshot.id, "mine"] {
        let copy = host.create(Create { template: name.into(), ..lasting() });
        assert_eq!((&copy.template, copy.alias.as_deref()), (&snapshot.id, Some("mine")));
        assert_eq!(host.sh(&copy.id, "cat /tmp/file; hostname"), format!("past\n{}\n", copy.id));
        host.block_on(host.all().kill(&copy.id)).unwrap();
    }
    host.block_on(host.all().delete_snapshot("mine")).unwrap();
    let gone = host.block_on(host.all().create(Create { template: snapshot.id, ..lasting() })).unwrap_err();
    assert!(matches!(gone, SandboxError::NoTemplate(_)), "{gone}");
    assert!(host.block_on(host.all().delete_snapshot("mine")).is_err());
}

/// Says of a folder of a pause whether it has come so far.
type Moment = fn(&Path) -> bool;

#[test]
fn a_crash_at_any_moment_of_a_pause_leaves_the_sandbox_whole_or_as_it_was() {
    let moments: [(&str, Moment); 4] = [
        ("announced", |_| true),
        ("memory is written", |path| path.join("devices").exists()),
        ("all is written", |path| path.join("manifest.json").exists()),
        ("done", |path| path.join("manifest.json").exists() && !path.to_str().unwrap().contains("/.")),
    ];
    let mut host = Host::open("moments");
    let view = host.create(lasting());
    host.sh(&view.id, "echo 0 > /tmp/file");
    host.block_on(host.all().pause(&view.id, PauseMode::Full, true)).unwrap();
    for (number, (name, moment)) in moments.into_iter().enumerate() {
        host.block_on(host.all().connect(&view.id, HOUR, true)).unwrap();
        let before = host.sh(&view.id, "cat /tmp/file");
        let after = format!("{}\n", number + 1);
        host.sh(&view.id, &format!("echo {} > /tmp/file", number + 1));
        // The last pause is there until another one counts.
        let old = fs::read_dir(host.path().join("paused")).unwrap().next().unwrap().unwrap().path();
        let (all, id, folder) = (host.all().clone(), view.id.clone(), host.path().join("paused"));
        let known = old.file_name().unwrap().to_owned();
        let pausing = host.spawn_on(async move { all.pause(&id, PauseMode::Full, true).await });
        host.block_on(async {
            let other = |path: &Path| path.file_name() != Some(&known);
            loop {
                let there = fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path());
                if there.into_iter().any(|path| other(&path) && moment(&path)) || pausing.is_finished() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        });
        host.crash();
        host.reopen();
        assert_eq!(host.view(&view.id).state, State::Paused(PauseMode::Full), "{name}");
        assert_eq!(fs::read_dir(host.path().join("paused")).unwrap().count(), 1, "{name}");
        host.block_on(host.all().connect(&view.id, HOUR, true)).unwrap();
        let now = host.sh(&view.id, "cat /tmp/file");
        assert!(now == before || now == after, "{name}: {now:?} is neither {before:?} nor {after:?}");
        host.block_on(host.all().pause(&view.id, PauseMode::Full, true)).unwrap();
    }
}

#[test]
fn a_guest_whose_agent_hangs_is_refused_or_saved_as_it_is() {
    let host = Host::open("agent-hangs");
    let view = host.create(lasting());
    host.sh(&view.id, "echo kept > /home/user/file; sync");
    host.spawn(&view.id, "for pid in $(pidof thawd); do test $pid = 1 || kill -STOP $pid; done");
    let hangs = || {
        host.block_on(async { !Agent::new(host.all().reach(&view.id, 49983).await.unwrap().address).is_well().await })
    };
    eventually("the agent hangs", hangs);
    let refused = host.block_on(host.all().pause(&view.id, PauseMode::Full, true)).unwrap_err();
    assert!(matches!(refused, SandboxError::Unhealthy(_)), "{refused}");
    assert_eq!(host.view(&view.id).state, State::Running);
    host.block_on(host.all().pause(&view.id, PauseMode::Full, false)).unwrap();
    let paused = host.view(&view.id);
    assert!(paused.state == State::Paused(PauseMode::Full) && paused.trouble.is_some(), "{paused:?}");
    // Its memory hangs still; its files do not.
    host.block_on(host.all().connect(&view.id, HOUR, false)).unwrap();
    assert_eq!(host.sh(&view.id, "cat /home/user/file"), "kept\n");
}

#[test]
fn an_agent_that_is_started_again_is_told_its_token_and_variables() {
    let host = Host::open("forgets");
    let view = host.create(lasting());
    host.spawn(&view.id, "for pid in $(pidof thawd); do test $pid = 1 || kill -KILL $pid; done");
    eventually("it is open to nobody", || {
        let open = host.try_sh(&view.id, None, "true").is_ok();
        let told = host.try_sh(&view.id, view.token.as_deref(), "echo $GREETING");
        !open && told.is_ok_and(|output| output.stdout == b"hello\n")
    });
}
