//! What a freezer does when a tree is strange, broken, large or shared.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::poll;

use super::stage::Fake;
use crate::workload::{Counts, Freezer, Mode};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(100);
const ALL: Mode = Mode::Hierarchy { max_cgroups: 0 };

#[tokio::test]
async fn a_guest_that_never_freezes_is_not_waited_for_without_a_budget() {
    let fake = Fake::new(&[]);
    let counts = fake.freezer().freeze(Mode::Legacy, None).await;
    assert_eq!((counts.visited, counts.requested, counts.not_frozen, counts.failed), (2, 2, 2, 0));
    assert!(fake.told("user") && fake.told("ptys"));
}

#[tokio::test]
async fn a_freeze_can_be_a_part_of_any_task() {
    fn of_a_task<T: Send>(work: T) -> T {
        work
    }
    let fake = Fake::new(&[]);
    let mut freezer = fake.freezer();
    assert_eq!(of_a_task(freezer.freeze(ALL, None)).await.requested, 2);
}

#[tokio::test]
async fn cgroups_share_one_budget() {
    const BUDGET: Duration = Duration::from_secs(1);
    let fake = Fake::new(&[]);
    let began = Instant::now();
    let counts = fake.freezer().freeze(Mode::Legacy, Some(BUDGET)).await;
    assert_eq!((counts.not_frozen, counts.frozen), (2, 0));
    assert!(began.elapsed() >= BUDGET && began.elapsed() < 2 * BUDGET, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_write_that_fails_is_counted_and_not_waited_for() {
    let fake = Fake::new(&[]);
    fake.break_writes("user");
    fake.break_writes("ptys");
    let began = Instant::now();
    let counts = fake.freezer().freeze(Mode::Legacy, Some(LONG)).await;
    assert_eq!((counts.failed, counts.requested, counts.not_frozen), (2, 0, 0));
    assert!(began.elapsed() < LONG);
}

#[tokio::test]
async fn a_state_that_cannot_be_read_is_a_failure_and_not_waited_for() {
    let fake = Fake::new(&[]);
    for cgroup in ["user", "ptys"] {
        let events = fake.at(cgroup).join("cgroup.events");
        fs::remove_file(&events).unwrap();
        fs::create_dir(events).unwrap();
    }
    let began = Instant::now();
    let counts = fake.freezer().freeze(Mode::Legacy, Some(LONG)).await;
    assert_eq!((counts.failed, counts.not_frozen), (2, 0));
    assert!(began.elapsed() < LONG);
}

#[tokio::test]
async fn without_cgroups_nothing_can_be_said_and_nothing_is_waited_for() {
    let wanted = Counts { unobservable: 2, ..Counts::default() };
    let mut nowhere = Freezer::new(None);
    let counts = nowhere.freeze(ALL, Some(LONG)).await;
    assert_eq!(Counts { sweep: Duration::ZERO, wait: Duration::ZERO, ..counts }, wanted);
    assert!(nowhere.thaw().clean() && !nowhere.in_effect());

    let fake = Fake::new(&[]);
    fs::remove_dir_all(fake.at("user")).unwrap();
    let counts = fake.freezer().freeze(Mode::Legacy, None).await;
    assert_eq!((counts.unobservable, counts.requested), (1, 1));
}

#[tokio::test]
async fn a_thaw_that_fails_tries_both_and_the_next_one_tries_again() {
    let fake = Fake::new(&["other"]);
    let mut freezer = fake.freezer();
    let _ = freezer.freeze(ALL, None).await;
    drop(freezer);
    for cgroup in ["user", "ptys"] {
        fake.break_writes(cgroup);
    }
    let mut freezer = fake.freezer();
    freezer.adopt(crate::workload::Record::default());
    let outcome = freezer.thaw();
    assert_eq!((outcome.failed, outcome.clean(), fake.told("other")), (2, false, false));
    assert!(freezer.in_effect());
    for cgroup in ["user", "ptys"] {
        fs::remove_file(fake.at(cgroup).join("cgroup.freeze")).unwrap();
        fs::write(fake.at(cgroup).join("cgroup.freeze"), "1\n").unwrap();
    }
    // The open files are still the broken ones; a new agent opens the repaired ones.
    let mut next = fake.freezer();
    assert!(next.in_effect() && next.thaw().clean() && !next.in_effect());
    assert!(!fake.told("user") && !fake.told("ptys"));
}

#[tokio::test]
async fn what_the_guest_froze_stays_frozen_in_both_modes() {
    for mode in [Mode::Legacy, ALL] {
        let fake = Fake::new(&["docker/one", "user/leaf/inner", "other"]);
        for cgroup in ["docker", "docker/one", "user/leaf/inner"] {
            fake.pause(cgroup);
        }
        let mut freezer = fake.freezer();
        let counts = freezer.freeze(mode, None).await;
        assert_eq!(counts.pre_frozen, 3);
        assert_eq!(counts.requested, if mode == Mode::Legacy { 2 } else { 3 });
        assert!(freezer.thaw().clean());
        for cgroup in ["docker", "docker/one", "user/leaf/inner"] {
            assert!(fake.told(cgroup), "{cgroup}");
        }
        assert!(!fake.told("user") && !fake.told("other") && !freezer.in_effect());
    }
}

#[tokio::test]
async fn what_the_guest_freezes_between_the_look_and_the_write_stays_frozen() {
    let fake = Fake::new(&["docker", "other"]);
    let mut freezer = fake.freezer();
    freezer.prepare(ALL).await;
    assert!(freezer.record().unwrap().guest.is_empty());
    fake.pause("docker");
    assert_eq!(freezer.freeze(ALL, None).await.pre_frozen, 1);
    assert_eq!(freezer.record().unwrap().guest, [PathBuf::from("docker")]);
    assert!(freezer.thaw().clean() && fake.told("docker") && !fake.told("other"));
}

#[tokio::test]
async fn what_the_guest_freezes_during_the_freeze_stays_frozen() {
    let fake = Fake::new(&["docker", "other"]);
    let mut freezer = fake.freezer();
    let _ = freezer.freeze(Mode::Legacy, None).await;
    fake.pause("docker");
    assert!(freezer.thaw().clean() && fake.told("docker"));
}

#[tokio::test]
async fn a_second_freeze_takes_nothing_of_ours_for_the_guests() {
    let fake = Fake::new(&["other"]);
    let mut freezer = fake.freezer();
    for _ in 0..2 {
        let counts = freezer.freeze(ALL, None).await;
        assert_eq!((counts.pre_frozen, counts.requested), (0, 3));
    }
    assert!(freezer.thaw().clean());
    assert!(!fake.told("other"));
}

#[tokio::test]
async fn without_a_freeze_of_ours_a_thaw_leaves_the_guests_alone() {
    let fake = Fake::new(&["docker"]);
    fake.pause("docker");
    let mut freezer = fake.freezer();
    assert!(!freezer.in_effect());
    assert_eq!((freezer.thaw().cleared, fake.told("docker")), (2, true));
}

#[tokio::test]
async fn a_successor_thaws_what_a_dead_agent_froze_and_keeps_what_its_record_says() {
    let fake = Fake::new(&["docker", "other/below"]);
    fake.pause("docker");
    let mut dead = fake.freezer();
    let _ = dead.freeze(ALL, None).await;
    let lines = dead.record().unwrap().to_lines();
    drop(dead);
    let mut successor = fake.freezer();
    assert!(successor.in_effect());
    successor.adopt(crate::workload::Record::from_lines(&lines));
    // Freezing again takes nothing of the dead agent's for the guest's.
    assert_eq!(successor.freeze(ALL, None).await.pre_frozen, 1);
    assert!(successor.thaw().clean());
    assert!(fake.told("docker") && !fake.told("other") && !fake.told("user"));
}

#[tokio::test]
async fn a_successor_without_a_record_thaws_everything() {
    let fake = Fake::new(&["docker", "other/below"]);
    fake.pause("docker");
    let _ = fake.freezer().freeze(ALL, None).await;
    assert!(fake.freezer().thaw().clean());
    assert!(!fake.told("docker") && !fake.told("other") && !fake.told("user"));
}

#[tokio::test]
async fn a_tree_that_is_too_large_for_the_walk_of_a_successor_is_told() {
    let fake = Fake::new(&[]);
    for number in 0..crate::workload::MAX_CGROUPS {
        fs::create_dir(fake.at(&format!("c{number}"))).unwrap();
    }
    let mut freezer = fake.freezer();
    freezer.adopt(crate::workload::Record::default());
    let outcome = freezer.thaw();
    assert!(outcome.truncated && !outcome.clean() && freezer.in_effect());
}

#[tokio::test]
async fn other_cgroups_cannot_push_ours_past_the_bound() {
    let many: Vec<_> = (0..20).map(|number| format!("a{number:02}")).collect();
    let fake = Fake::new(&many.iter().map(String::as_str).collect::<Vec<_>>());
    fake.add("zz");
    fake.pause("zz");
    let mut freezer = fake.freezer();
    let counts = freezer.freeze(Mode::Hierarchy { max_cgroups: 5 }, None).await;
    assert_eq!((counts.visited, counts.requested, counts.truncated), (5, 5, true));
    assert!(fake.told("user") && fake.told("ptys") && fake.told("a02") && !fake.told("a03"));
    assert!(freezer.thaw().clean() && fake.told("zz") && !fake.told("a02"));
}

#[tokio::test]
async fn a_root_with_a_slash_at_its_end_is_the_same_root() {
    let fake = Fake::new(&["other", "init.scope"]);
    let root = PathBuf::from(format!("{}/", fake.root.display()));
    let mut freezer = Freezer::new(Some(root)).with_own(PathBuf::new());
    let counts = freezer.freeze(ALL, None).await;
    assert_eq!((counts.visited, counts.requested, counts.allowlisted), (4, 3, 1));
}

#[tokio::test]
async fn where_our_own_place_is_not_known_only_our_programs_are_frozen() {
    let fake = Fake::new(&["other"]);
    let mut freezer = Freezer::new(Some(fake.root.clone()));
    let counts = freezer.freeze(ALL, None).await;
    assert_eq!((counts.mode, counts.requested, fake.told("other")), (Mode::Legacy, 2, false));
    assert_eq!(freezer.audit(), None);
}

#[tokio::test]
async fn an_agent_below_its_own_programs_does_not_stop_itself() {
    let fake = Fake::new(&["user/agent", "user/other"]);
    let mut freezer = Freezer::new(Some(fake.root.clone())).with_own(PathBuf::from("user/agent"));
    let counts = freezer.freeze(Mode::Legacy, None).await;
    assert_eq!((counts.requested, counts.failed), (1, 1));
    assert!(!fake.told("user") && !fake.told("user/agent") && fake.told("ptys"));
}

#[tokio::test]
async fn a_sweep_stops_everything_but_what_a_resume_needs() {
    let go_on = ["init.scope", "socats", "lifecycle/hook", "system.slice/systemd-journald.service/x", "agents/us"];
    let stop = ["system.slice/cron.service", "user.slice", "agents/them", "agents/us/child", "kubepods/pod"];
    let fake = Fake::new(&[go_on, stop].concat());
    let mut freezer = Freezer::new(Some(fake.root.clone())).with_own(PathBuf::from("agents/us"));
    let counts = freezer.freeze(ALL, None).await;
    assert_eq!((counts.allowlisted, counts.requested, counts.truncated), (4, 7, false));
    for cgroup in go_on.iter().chain(&["agents", "system.slice", "kubepods/pod"]) {
        assert!(!fake.told(cgroup), "{cgroup}");
    }
    for cgroup in stop[..4].iter().chain(&["kubepods", "user"]) {
        assert!(fake.told(cgroup), "{cgroup}");
    }
    assert_eq!(freezer.thaw_files().count(), 7);
}

#[tokio::test]
async fn a_sweep_that_is_given_up_half_way_is_undone_completely() {
    let many: Vec<_> = (0..200).map(|number| format!("c{number:03}")).collect();
    let fake = Fake::new(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let mut freezer = fake.freezer();
    freezer.prepare(ALL).await;
    assert!(poll!(Box::pin(freezer.freeze(ALL, Some(LONG)))).is_pending());
    let told = |fake: &Fake| many.iter().filter(|cgroup| fake.told(cgroup)).count();
    assert!((1..200).contains(&told(&fake)), "{}", told(&fake));
    assert!(freezer.thaw().clean());
    assert_eq!((told(&fake), fake.told("user"), freezer.in_effect()), (0, false, false));
}

#[tokio::test]
async fn a_wait_that_is_given_up_is_undone_completely() {
    let fake = Fake::new(&["other"]);
    let mut freezer = fake.freezer();
    assert!(tokio::time::timeout(SHORT, freezer.freeze(ALL, Some(LONG))).await.is_err());
    assert!(fake.told("user") && fake.told("other"));
    assert!(freezer.thaw().clean() && !fake.told("user") && !fake.told("other"));
}

#[tokio::test]
async fn a_cgroup_that_is_made_again_under_its_name_is_not_thawed_for_the_old_one() {
    let fake = Fake::new(&["other"]);
    let mut freezer = fake.freezer();
    let _ = freezer.freeze(ALL, None).await;
    fs::remove_dir_all(fake.at("other")).unwrap();
    fake.add("other");
    fake.pause("other");
    assert!(freezer.thaw().clean() && fake.told("other"));
}

#[tokio::test]
async fn an_audit_tells_what_ran_and_what_should_have() {
    let fake = Fake::new(&["other/below", "init.scope", "system.slice/cron.service", "us"]);
    let mut freezer = Freezer::new(Some(fake.root.clone())).with_own(PathBuf::from("us"));
    let _ = freezer.freeze(Mode::Legacy, None).await;
    assert_eq!(freezer.audit(), None);
    let _ = freezer.freeze(ALL, None).await;
    for cgroup in ["user", "ptys", "other", "other/below", "system.slice/cron.service", "init.scope"] {
        fake.show(cgroup, true, true);
    }
    fake.add("late");
    fake.add("late/empty");
    fake.show("late/empty", false, false);
    let audit = freezer.audit().unwrap();
    assert_eq!((audit.visited, audit.frozen, audit.escaped, audit.violations), (10, 5, 1, 1));
    assert!(!audit.truncated);
    assert!(freezer.thaw().clean());
    assert_eq!(freezer.audit(), None);
}
