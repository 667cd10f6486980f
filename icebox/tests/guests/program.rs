//! The program `icebox`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use icebox::template::Templates;

use crate::support::{Folder, eventually, lives};

fn demo(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_icebox"));
    command.arg("demo").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Processes that `pid` has started.
fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

#[test]
fn the_demo_ends_well() {
    let output = demo(&["--wait", "1"]).wait_with_output().unwrap();
    let (told, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}{wrong}");
    assert!(told.ends_with("all as promised\n"), "{told}");
}

/// Reads the program's lines until one that begins so.
fn told(child: &mut Child, beginning: &str) {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let found = lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with(beginning)));
    found.expect(beginning).unwrap();
}

#[test]
fn a_demo_that_waits_keeps_its_memory_when_others_sweep() {
    let mut demo = demo(&["--wait", "3"]);
    told(&mut demo, "nothing runs now");
    Templates::of_workspace().sweep();
    let output = demo.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn qemu_dies_with_its_owner_even_if_that_is_killed() {
    let mut owner = demo(&["--wait", "60"]);
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let booted = lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("booted")));
    booted.expect("a line that says booted").unwrap();
    let qemu = children(owner.id());
    assert_eq!(qemu.len(), 1, "{qemu:?}");
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("QEMU is gone", || !lives(qemu[0]));
}

#[test]
fn a_demo_that_is_told_to_end_leaves_nothing() {
    // With QEMU running, and while it waits with all in files.
    for line in ["booted", "nothing runs now"] {
        let root = Folder::new("told-to-end");
        let mut command = Command::new(env!("CARGO_BIN_EXE_icebox"));
        command.args(["demo", "--wait", "60"]).env("ICEBOX_ROOT", root.path());
        let mut demo = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        told(&mut demo, line);
        let qemu = children(demo.id());
        assert_eq!(qemu.len(), usize::from(line == "booted"), "{qemu:?}");
        Command::new("kill").args(["-TERM", &demo.id().to_string()]).status().unwrap();
        let output = demo.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted"), "{output:?}");
        assert!(!qemu.into_iter().any(lives), "QEMU is still there");
        let left: Vec<_> = fs::read_dir(root.join("vms")).unwrap().collect();
        assert!(left.is_empty(), "after {line:?}: {left:?}");
    }
}

#[test]
fn an_image_that_is_not_there_is_named() {
    let output = demo(&["--image", "/no/such/image"]).wait_with_output().unwrap();
    assert!(!output.status.success());
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(wrong.contains("/no/such/image"), "{wrong}");
}
