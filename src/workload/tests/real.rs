//! What the kernel does.

use std::fs;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use super::stage::{Real, until};
use crate::workload::Mode;

const LONG: Duration = Duration::from_secs(20);
const ALL: Mode = Mode::Hierarchy { max_cgroups: 0 };
const BUSY: &str = "while :; do :; done";
const SLEEP: &str = "exec sleep 1000";

#[tokio::test]
async fn programs_in_leaves_stand_still_through_their_parent() {
    let mut real = Real::new();
    real.add("user/leaf");
    real.run("user/leaf", BUSY);
    let mut freezer = real.freezer();
    let counts = freezer.freeze(Mode::Legacy, Some(LONG)).await;
    assert_eq!((counts.frozen, counts.not_frozen, counts.failed), (2, 0, 0));
    assert!(real.frozen("user/leaf") && !real.told("user/leaf") && freezer.in_effect());
    assert!(freezer.thaw().clean());
    until("the program runs again", || !real.frozen("user/leaf"));
}

#[tokio::test]
async fn a_wait_ends_when_the_last_cgroup_stands_still() {
    let mut real = Real::new();
    for number in 0..20 {
        real.add(&format!("other{number}"));
        real.run(&format!("other{number}"), if number % 2 == 0 { BUSY } else { SLEEP });
    }
    let counts = real.freezer().freeze(ALL, Some(LONG)).await;
    assert_eq!((counts.frozen, counts.not_frozen, counts.requested), (22, 0, 22));
    assert!(counts.wait < LONG / 2, "{:?}", counts.wait);
}

#[tokio::test]
async fn a_program_that_the_guest_paused_stays_paused() {
    let mut real = Real::new();
    for cgroup in ["docker", "user/leaf"] {
        real.add(cgroup);
        real.run(cgroup, SLEEP);
        real.pause(cgroup);
    }
    let mut freezer = real.freezer();
    assert_eq!(freezer.freeze(ALL, Some(LONG)).await.pre_frozen, 2);
    assert!(freezer.thaw().clean());
    until("what is ours runs", || !real.frozen("ptys"));
    assert!(real.frozen("docker") && real.frozen("user/leaf") && !real.frozen("user"));
}

#[tokio::test]
async fn hooks_and_the_agent_run_while_everything_else_stands_still() {
    let mut real = Real::new();
    for cgroup in ["lifecycle/hook", "agent", "other"] {
        real.add(cgroup);
        real.run(cgroup, SLEEP);
    }
    let mut freezer = real.freezer();
    let _ = freezer.freeze(ALL, Some(LONG)).await;
    assert!(real.frozen("other") && !real.frozen("agent") && !real.frozen("lifecycle/hook"));
    // A program that is started in the meantime, outside of what was swept, has escaped.
    real.add("late");
    real.run("late", SLEEP);
    let audit = freezer.audit().unwrap();
    assert_eq!((audit.escaped, audit.violations, audit.frozen), (1, 0, 3));
    assert!(freezer.thaw().clean());
}

#[tokio::test]
async fn a_write_to_the_lent_files_thaws_everything() {
    let mut real = Real::new();
    real.add("other");
    real.run("other", BUSY);
    real.run("user", BUSY);
    let mut freezer = real.freezer();
    let _ = freezer.freeze(ALL, Some(LONG)).await;
    let files: Vec<BorrowedFd<'_>> = freezer.thaw_files().collect();
    assert_eq!(files.len(), 3);
    for file in files {
        assert_eq!(rustix::io::pwrite(file, b"0", 0).unwrap(), 1);
    }
    until("everything runs again", || !["user", "ptys", "other"].iter().any(|cgroup| real.frozen(cgroup)));
    assert!(freezer.thaw().clean());
}

#[tokio::test]
async fn cgroups_that_go_during_a_freeze_are_no_failures() {
    let real = Real::new();
    real.add("other");
    let mut freezer = real.freezer();
    let _ = freezer.freeze(ALL, Some(LONG)).await;
    fs::remove_dir(real.at("other")).unwrap();
    fs::remove_dir(real.at("user")).unwrap();
    assert!(freezer.thaw().clean());
    // The same freezer goes on with the one that is made in its place.
    real.add("user");
    assert_eq!(freezer.freeze(Mode::Legacy, Some(LONG)).await.frozen, 2);
    assert!(real.told("user"));
    assert!(freezer.thaw().clean() && !real.told("user"));
}

#[tokio::test]
async fn a_frozen_program_can_be_killed() {
    let mut real = Real::new();
    let pid = real.run("user", BUSY);
    let mut freezer = real.freezer();
    let _ = freezer.freeze(Mode::Legacy, Some(LONG)).await;
    fs::write(real.at("user/cgroup.kill"), "1").unwrap();
    until("the program is dead", || {
        fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap().contains(") Z ")
    });
}

#[tokio::test]
async fn hundreds_of_programs_stand_still_within_a_second() {
    let mut real = Real::new();
    for _ in 0..200 {
        real.run("user", SLEEP);
    }
    let mut freezer = real.freezer();
    let counts = freezer.freeze(Mode::Legacy, Some(LONG)).await;
    assert_eq!(counts.frozen, 2);
    assert!(counts.sweep + counts.wait < Duration::from_secs(1), "{counts:?}");
}
