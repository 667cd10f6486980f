//! Many VMs out of one snapshot.

use std::collections::BTreeSet;

use icebox::guest::{Choice, Guest};
use icebox::snapshot::{Guided, Silent};
use serde_json::Value;

use crate::support::{COUNTER, count};

#[test]
fn four_copies_at_once_share_the_past_and_nothing_else() {
    let guest = Guest::start("scratch");
    guest.spawn(COUNTER);
    guest.sh("echo past > /root/file; echo past > /run/file");
    let before = count(&guest);
    let asleep = guest.pause();
    let snapshot = std::fs::read(asleep.snapshot().folder().join("memory")).unwrap();
    let copies = asleep.copies(4, &Guided::default());
    for (number, copy) in copies.iter().enumerate() {
        copy.sh(&format!("echo {number} >> /root/file; echo {number} >> /run/file; sync"));
    }
    for (number, copy) in copies.iter().enumerate() {
        assert_eq!(copy.sh("cat /root/file /run/file"), format!("past\n{number}\npast\n{number}\n"));
        assert!(count(copy) >= before);
    }
    drop(copies);
    let unchanged = std::fs::read(asleep.snapshot().folder().join("memory")).unwrap() == snapshot;
    assert!(unchanged, "a copy wrote into the snapshot");
    assert_eq!(asleep.resume().sh("cat /root/file /run/file"), "past\npast\n");
}

#[test]
fn a_copy_of_a_copy_outlives_both_and_their_snapshots() {
    let guest = Guest::start("scratch");
    guest.sh("echo one > /root/file; sync");
    let first = guest.pause();
    let copy = first.resume();
    copy.sh("echo two >> /root/file; sync");
    let second = copy.pause();
    let last = second.resume();
    // The folders are gone; what runs keeps what it needs of them.
    drop((first, second));
    assert_eq!(last.sh("cat /root/file"), "one\ntwo\n");
    let again = last.pause().resume();
    assert_eq!(again.sh("cat /root/file"), "one\ntwo\n");
}

#[test]
fn each_start_has_a_generation_of_its_own_unless_the_device_is_left_out() {
    let ask = |guest: &mut Guest| {
        let asked = guest.vm().qmp().clone();
        guest.block_on(async move { asked.execute("query-vm-generation-id", Value::Null).await })
    };
    let asleep = Guest::start("scratch").pause_with(&Silent);
    let mut copies = asleep.copies(2, &Silent);
    let generations: BTreeSet<_> = copies.iter_mut().map(|copy| ask(copy).unwrap().to_string()).collect();
    assert_eq!(generations.len(), 2, "{generations:?}");
    let mut without = Choice::of("scratch").without_vmgenid().start();
    assert!(ask(&mut without).is_err());
    assert_eq!(without.sh("echo fine"), "fine\n");
}
