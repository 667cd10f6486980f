//! Programs whose exec is held up.

use std::fs;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use super::stage::{Real, until};
use crate::base::Tasks;
use crate::sys::spawn::{Image, spawn};
use crate::sys::{fd, wait};
use crate::workload::{Leaf, start};

fn image() -> Image {
    let null = Arc::new(fd::null().unwrap());
    Image {
        candidates: vec![c"/bin/true".to_owned()],
        argv: vec![c"true".to_owned()],
        envp: Vec::new(),
        cwd: c"/".to_owned(),
        credentials: None,
        stdio: [Arc::clone(&null), Arc::clone(&null), null],
        terminal: false,
    }
}

fn empty(real: &Real, cgroup: &str) -> bool {
    fs::read_to_string(real.at(cgroup).join("cgroup.procs")).is_ok_and(|list| list.is_empty())
}

/// A frozen cgroup holds its child before the first instruction, as a dead mount holds it inside of the exec.
#[tokio::test]
async fn a_held_program_holds_up_no_other_and_is_killed_when_nobody_wants_it() {
    let (real, tasks) = (Real::new(), Tasks::default());
    real.pause("user");
    let leaf = |name: &str| Some(Leaf::make(real.at(&format!("user/{name}"))).unwrap());
    let mut held: Vec<_> = ["a", "b", "c"].map(|name| Box::pin(start(image(), leaf(name), &tasks))).into();
    for held in &mut held {
        assert!(tokio::time::timeout(Duration::from_millis(50), held).await.is_err());
    }
    until("they are born", || ["user/a", "user/b", "user/c"].iter().all(|cgroup| !empty(&real, cgroup)));

    for _ in 0..5 {
        let spawned = spawn(image(), None).await.unwrap();
        assert_eq!(spawned.failure, None);
        assert_eq!(wait::reap_at_last(spawned.pidfd.as_fd()).unwrap(), Some(wait::Ended::Code(0)));
    }

    drop(held);
    let gone = async {
        while tasks.running() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
    assert_eq!(fs::read_dir(real.at("user")).unwrap().flatten().filter(|entry| entry.path().is_dir()).count(), 0);
    // None of them is left to be waited for either.
    let children = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    until("they are reaped", || {
        fs::read_dir("/proc/self/task").unwrap().flatten().all(|thread| children(thread).is_empty())
    });
}

#[tokio::test]
async fn a_program_that_was_held_begins_when_it_may() {
    let (real, tasks) = (Real::new(), Tasks::default());
    real.pause("user");
    let leaf = Some(Leaf::make(real.at("user/leaf")).unwrap());
    let mut held = Box::pin(start(image(), leaf, &tasks));
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut held).await.is_err());
    fs::write(real.at("user/cgroup.freeze"), "0").unwrap();
    let (spawned, leaf) = held.await.unwrap();
    assert!(spawned.placed && spawned.failure.is_none());
    assert_eq!(wait::reap_at_last(spawned.pidfd.as_fd()).unwrap(), Some(wait::Ended::Code(0)));
    leaf.unwrap().removed().await;
    assert!(!real.at("user/leaf").exists());
}

#[tokio::test]
async fn where_no_birth_is_allowed_a_program_is_born_beside_us() {
    let (real, tasks) = (Real::new(), Tasks::default());
    let leaf = Leaf::make(real.at("user/leaf")).unwrap();
    // A domain with threads of others in it takes no process.
    fs::write(real.at("user/leaf/cgroup.type"), "threaded").unwrap();
    fs::create_dir(real.at("user/leaf/domain")).unwrap();
    let leaf_below = Leaf::make(real.at("user/leaf/domain/x")).unwrap();
    drop(leaf);
    let (spawned, leaf) = start(image(), Some(leaf_below), &tasks).await.unwrap();
    assert!(!spawned.placed && leaf.is_none() && !real.at("user/leaf/domain/x").exists());
    assert_eq!(wait::reap_at_last(spawned.pidfd.as_fd()).unwrap(), Some(wait::Ended::Code(0)));
}
