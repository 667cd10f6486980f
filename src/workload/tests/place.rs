//! Where programs and hooks are put, and who is named when one does not stand still.

use std::fs;

use super::stage::{Fake, Real, until};
use crate::workload::{Class, Mode, Settings, Workload};

#[test]
fn a_hook_has_a_leaf_in_the_part_that_is_never_frozen() {
    let real = Real::new();
    let workload = Workload::prepare(&Settings { root: Some(real.root.clone()) });
    let leaf = workload.place(Class::Hook).unwrap();
    assert_eq!(fs::read_dir(real.at("lifecycle")).unwrap().flatten().filter(|entry| entry.path().is_dir()).count(), 1);
    leaf.remove().unwrap();
}

#[test]
fn what_an_agent_left_that_died_is_removed_and_what_another_one_needs_is_not() {
    let real = Real::new();
    let settings = Settings { root: Some(real.root.clone()) };
    let _ = Workload::prepare(&settings);
    // No process has so high a number; the first one lives as long as anybody.
    let (left, needed) = (real.at("user/thawd-4194305-0"), real.at("user/thawd-1-0"));
    for leaf in [&left, &needed] {
        fs::create_dir(leaf).unwrap();
    }
    let _ = Workload::prepare(&settings);
    assert!(!left.exists() && needed.exists());
    fs::remove_dir(needed).unwrap();
}

#[tokio::test]
async fn threads_that_run_are_named_and_those_that_wait_are_not() {
    let mut real = Real::new();
    let busy = real.run("user", "while :; do :; done");
    let asleep = real.run("user", "exec sleep 1000");
    until("one is asleep", || {
        fs::read_to_string(format!("/proc/{asleep}/stat")).is_ok_and(|stat| stat.contains("(sleep) S"))
    });
    // A tree that claims not to stand still, with the threads of real programs in it.
    let fake = Fake::new(&["user/leaf"]);
    fs::write(fake.at("user/leaf/cgroup.threads"), format!("{busy}\n{asleep}\n")).unwrap();
    let mut freezer = fake.freezer();
    let _ = freezer.freeze(Mode::Legacy, None).await;
    until("the busy one is seen running", || !freezer.stragglers(10).is_empty());
    let found = freezer.stragglers(10);
    assert!(found.iter().all(|one| one.pid == busy && one.state == 'R' && one.cgroup == "user/leaf"), "{found:?}");
    assert_eq!(freezer.stragglers(0), []);
    fake.show("user", true, true);
    assert_eq!(freezer.stragglers(10), []);
}
