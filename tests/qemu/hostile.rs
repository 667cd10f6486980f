//! Guests that make a freeze hard: programs that cannot be stopped, filesystems in files, full disks, hooks that
//! misbehave, callers that change their minds, and things that somebody else froze.

use std::time::{Duration, Instant};

use icebox::guest::Guest;
use icebox::snapshot::Guided;
use serde_json::{Value, json};

use super::common::{Counter, counting, freeze, lifecycle, phase, read, start_system, system, thaw, within, write};
use crate::support::connect::{Program, call};
use crate::support::wait_until;

/// Where a filesystem in a file of the root is mounted.
const INNER: &str = "/mnt/inner";
/// How much longer than it may take a call takes on an emulated machine beside others.
const SLACK: Duration = Duration::from_secs(3);

fn disk_too() -> Value {
    json!({"scope": "SCOPE_DISK"})
}

/// A line that makes a filesystem in a file of the root and mounts it.
fn mount_inner(at: &str) -> String {
    format!(
        "mkdir -p /root {at}; dd if=/dev/zero of=/root/inner.img bs=1M count=4 2>/dev/null; \
         mke2fs -F /root/inner.img > /dev/null; mount -o loop /root/inner.img {at}"
    )
}

fn outcome<'a>(report: &'a Value, mount: &str) -> &'a str {
    let filesystems = report["filesystems"].as_array().unwrap();
    let found = filesystems.iter().find(|filesystem| filesystem["mount"] == json!(mount));
    found.unwrap_or_else(|| panic!("{mount} in {report}"))["outcome"].as_str().unwrap()
}

/// Puts hooks where the agent looks for them.
fn hooks(guest: &Guest, hooks: &[(&str, &str)]) {
    for (name, script) in hooks {
        write(guest, &format!("/etc/thawd/hooks.d/{name}"), &format!("#!/bin/sh\n{script}\n"));
    }
    guest.sh("chmod 755 /etc/thawd /etc/thawd/hooks.d /etc/thawd/hooks.d/*");
}

#[test]
fn a_program_that_cannot_be_stopped_is_told_of_or_undoes_the_freeze() {
    let guest = Guest::start("scratch");
    guest.sh(&mount_inner(INNER));
    let counter = Counter::start(&guest);
    guest.sh(&format!("fsfreeze --freeze {INNER}"));
    let mut stuck = Program::shell(guest.agent().address(), &format!("echo $$; echo x > {INNER}/f; echo through"));
    stuck.read_until("\n");
    let pid = stuck.pid;
    wait_until("it waits uninterruptibly", || read(&guest, &format!("/proc/{pid}/stat")).contains(") D "));

    let refused = lifecycle(&guest, "Freeze", &json!({"abortOnStraggler": true}));
    assert_eq!(refused["code"], json!("failed_precondition"), "{refused}");
    assert_eq!(phase(&guest), "PHASE_RUNNING");
    counter.goes_on(&guest);

    let report = freeze(&guest, &disk_too());
    let straggler = &report["stragglers"][0];
    assert_eq!((&straggler["pid"], &straggler["state"]), (&json!(pid), &json!("D")), "{report}");
    assert!(straggler["cgroup"].as_str().unwrap().starts_with("user/"), "{straggler}");
    assert_eq!((outcome(&report, INNER), outcome(&report, "/")), ("frozen by somebody else", "frozen"));
    assert!(counter.stands_still(&guest), "all others do");
    thaw(&guest, &json!({}));
    counter.goes_on(&guest);
    write(&guest, "/root/f", "x");
    assert!(read(&guest, &format!("/proc/{pid}/stat")).contains(") D "), "it is left to whoever froze it");
    guest.sh(&format!("fsfreeze --unfreeze {INNER}"));
    let mut stuck = Program::connect(guest.agent().address(), &[("thawd-output-offset", "0")], &json!({"pid": pid}));
    assert_eq!(stuck.exit_code(), 0);
    assert!(stuck.text().ends_with("through\n"));
}

#[test]
fn a_filesystem_in_a_file_is_frozen_before_the_one_that_holds_it() {
    let guest = Guest::start("scratch");
    guest.sh(&mount_inner(INNER));
    let mut hidden = Program::shell(
        guest.agent().address(),
        "cp /root/inner.img /root/hidden.img; exec unshare -m sh -c 'mkdir -p /mnt/hidden; \
             mount -o loop /root/hidden.img /mnt/hidden; echo up; \
             while :; do echo x > /mnt/hidden/x; sleep 0.02; done'",
    );
    hidden.read_until("up\n");
    assert!(!guest.sh("cat /proc/mounts").contains("/mnt/hidden"), "nobody else sees it");
    guest.spawn(&format!("while :; do echo x > {INNER}/x; echo y > /root/y; sleep 0.02; done"));
    for _ in 0..3 {
        let began = Instant::now();
        let report = freeze(&guest, &disk_too());
        assert!(began.elapsed() < SLACK, "{:?} {report}", began.elapsed());
        let mounts: Vec<_> = report["filesystems"].as_array().unwrap().iter().map(|at| &at["mount"]).collect();
        assert_eq!(mounts.len(), 3, "{report}");
        assert_eq!(mounts[2], &json!("/"), "{report}");
        for mount in [INNER, "/mnt/hidden", "/"] {
            assert_eq!(outcome(&report, mount), "frozen");
        }
        thaw(&guest, &json!({}));
        guest.sh(&format!("echo z > {INNER}/z; echo z > /root/z"));
        assert!(read(&guest, &format!("/proc/{}/stat", hidden.pid)).contains('('), "it lives");
    }
}

#[test]
fn a_guest_with_a_full_disk_is_paused_and_resumed_as_any_other() {
    let guest = Guest::start("scratch");
    let counter = Counter::start(&guest);
    guest.sh("fallocate -l $(df -k / | tail -1 | awk '{print $4}')K /root/big; \
              dd if=/dev/zero of=/root/rest bs=64k 2>/dev/null; dd if=/dev/zero of=/root/last bs=1k 2>/dev/null; true");
    assert_ne!(guest.run("echo more > /root/more && sync && [ -s /root/more ]").exit_code, 0, "it is full");
    let companion = Guided { freeze: Some(disk_too()), ..Guided::default() };
    let asleep = guest.pause_with(&companion);
    let frozen = asleep.report.frozen.clone().unwrap();
    assert_eq!(outcome(&frozen["report"], "/"), "frozen");
    let guest = asleep.resume_with(&companion).0;
    counter.goes_on(&guest);
    assert_eq!(phase(&guest), "PHASE_RUNNING");
    guest.sh("rm /root/big; echo more > /root/more; [ -s /root/more ]");
}

#[test]
fn hooks_that_misbehave_cost_their_time_and_nothing_else() {
    let guest = Guest::start("scratch");
    guest.sh(&mount_inner(INNER));
    guest.sh(&format!("mkdir -p /root; fsfreeze --freeze {INNER}"));
    hooks(
        &guest,
        &[
            ("10-hangs", "exec sleep 4321"),
            ("20-dies", "kill -SEGV $$"),
            ("30-forks", "sleep 4321 & setsid sleep 4321 & exec sleep 4321"),
            ("40-waits-for-a-disk", &format!("[ $1 = freeze ] || echo x > {INNER}/x")),
            ("50-tells", "echo $1 >> /root/told"),
        ],
    );
    let counter = Counter::start(&guest);
    let budget = Duration::from_secs(4);
    for round in 1..=2 {
        let requests =
            [("Freeze", json!({"scope": "SCOPE_DISK", "hooksMs": 4000})), ("Thaw", json!({"hooksMs": 4000}))];
        for (method, request) in requests {
            let began = Instant::now();
            let answer = lifecycle(&guest, method, &request);
            let report = &answer["report"];
            let took = Duration::from_micros(report["totalUs"].as_str().unwrap().parse().unwrap());
            assert!(took < budget + Duration::from_secs(2) && began.elapsed() < budget + SLACK, "{report}");
            let failed = |name: &str| {
                let found = report["hooks"].as_array().unwrap().iter().find(|hook| hook["name"] == json!(name));
                !found.unwrap_or_else(|| panic!("{name} in {report}"))["error"].is_null()
            };
            let late = method == "Thaw";
            let names = ["10-hangs", "20-dies", "30-forks", "40-waits-for-a-disk", "50-tells"];
            assert_eq!(names.map(failed), [true, true, true, late, false], "{method}: {report}");
            if method == "Freeze" {
                assert!(counter.stands_still(&guest));
            }
        }
        counter.goes_on(&guest);
        assert_eq!(read(&guest, "/root/told"), "freeze\nthaw\n".repeat(round));
        within(SLACK, "what they started has gone", || !guest.sh("ps").contains("sleep 4321"));
    }
    guest.sh(&format!("fsfreeze --unfreeze {INNER}"));
    within(SLACK, "the one that waited has gone", || guest.sh("ls /sys/fs/cgroup/lifecycle").find("thawd-").is_none());
}

#[test]
fn a_hook_that_refuses_keeps_everything_running() {
    let guest = Guest::start("scratch");
    let counter = Counter::start(&guest);
    guest.sh("mkdir -p /root");
    hooks(&guest, &[("10-tells", "echo $1 >> /root/told"), ("20-refuses", "[ $1 = thaw ]")]);
    let refused = lifecycle(&guest, "Freeze", &json!({"scope": "SCOPE_DISK", "abortOnHook": true}));
    assert_eq!(refused["code"], json!("aborted"), "{refused}");
    counter.goes_on(&guest);
    assert_eq!(read(&guest, "/root/told"), "freeze\nthaw\n");
    assert_eq!(phase(&guest), "PHASE_RUNNING");
}

#[test]
fn callers_that_change_their_minds_leave_nothing_frozen() {
    let guest = Guest::start("scratch");
    let counter = Counter::start(&guest);
    guest.sh("mkdir -p /root");
    guest.spawn("while :; do echo y > /root/y; done");
    let address = guest.agent().address();
    let asks = || std::thread::spawn(move || call(address, "thawd.v1.Lifecycle/Freeze", &disk_too()).json());
    for delay in [0, 10, 25, 50, 80, 120, 200, 400] {
        let freezing = asks();
        std::thread::sleep(Duration::from_millis(delay));
        lifecycle(&guest, "Cancel", &json!({}));
        let answer = freezing.join().unwrap();
        // It may have been faster than the cancel, or the cancel faster than it.
        if answer["report"].is_object() && phase(&guest) == "PHASE_FROZEN" {
            assert_eq!(lifecycle(&guest, "Cancel", &json!({}))["cancelled"], json!(true));
        }
        assert_eq!(phase(&guest), "PHASE_RUNNING", "after {delay} ms: {answer}");
        counter.goes_on(&guest);
        write(&guest, "/root/f", "x");
    }
    let both = [asks(), asks()].map(|asked| asked.join().unwrap());
    assert_eq!(both[0], both[1], "a second freeze gets the answer of the first");
    assert!(counter.stands_still(&guest));
    thaw(&guest, &json!({}));
    counter.goes_on(&guest);
}

#[test]
fn what_the_guest_froze_itself_stays_frozen() {
    let guest = Guest::start("scratch");
    guest.sh(&mount_inner(INNER));
    let inside = |name: &str| {
        let cgroup = format!("/sys/fs/cgroup/{name}");
        guest.sh(&format!("mkdir {cgroup}"));
        let line = format!("echo $$ > {cgroup}/cgroup.procs; {}", counting(&format!("/run/{name}")));
        guest.spawn(&line);
        wait_until("it counts", || !read(&guest, &format!("/run/{name}")).is_empty());
    };
    inside("container");
    inside("other");
    guest.sh(&format!("echo 1 > /sys/fs/cgroup/container/cgroup.freeze; fsfreeze --freeze {INNER}"));
    let frozen_container = |guest: &Guest| {
        let events = read(guest, "/sys/fs/cgroup/container/cgroup.events");
        events.contains("frozen 1") && read(guest, "/sys/fs/cgroup/container/cgroup.freeze") == "1\n"
    };
    wait_until("the container stands still", || frozen_container(&guest));
    let counter = Counter::start(&guest);
    let request = json!({"scope": "SCOPE_DISK", "workload": "WORKLOAD_ALL"});
    let companion = Guided { freeze: Some(request), ..Guided::default() };
    let asleep = guest.pause_with(&companion);
    let report = asleep.report.frozen.clone().unwrap()["report"].clone();
    assert_eq!((outcome(&report, INNER), outcome(&report, "/")), ("frozen by somebody else", "frozen"));
    assert_eq!(report["cgroupsFrozen"], json!(3), "user, ptys and the other one: {report}");
    let guest = asleep.resume_with(&companion).0;
    counter.goes_on(&guest);
    let at = |name: &str| read(&guest, &format!("/run/{name}"));
    let (other, container) = (at("other"), at("container"));
    within(SLACK, "the other one counts", || at("other") != other && !at("other").is_empty());
    assert!(frozen_container(&guest));
    assert_eq!(at("container"), container);
    // The filesystem too: a write waits.
    let waiting = start_system(guest.agent().address(), &format!("echo x > {INNER}/f"));
    wait_until("it waits", || read(&guest, &format!("/proc/{}/stat", waiting.pid)).contains(") D "));
    system(&guest, &format!("fsfreeze --unfreeze {INNER}; echo 0 > /sys/fs/cgroup/container/cgroup.freeze"));
    within(SLACK, "the container counts", || at("container") != container);
}
