//! What is left when something goes wrong: an error that says it, and nothing else.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use icebox::agent::{Agent, AgentError};
use icebox::guest::{Guest, chain};
use icebox::host::Qemu;
use icebox::image::{Image, find};
use icebox::snapshot::{Companion, Pause, Resume, Silent, Snapshot, SnapshotError};
use icebox::vm::{Boot, Hardware, Vm, VmError};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::support::{COUNTER, Folder, Tmpfs, count, eventually, lives, qemus_in};

fn boot_with(image: &Image, append: &str, within: u64, folder: &Path) -> VmError {
    Runtime::new().unwrap().block_on(async {
        let qemu = Qemu::find().await.unwrap();
        let hardware = Hardware::find(&qemu).await.unwrap();
        let within = Duration::from_secs(within);
        let boot = Boot { append: append.into(), within, ..Boot::new(hardware) };
        Vm::boot(&qemu, image, &boot, folder).await.unwrap_err()
    })
}

fn scratch() -> Image {
    // Built by whoever starts a guest first.
    drop(Guest::start("scratch"));
    find("scratch").unwrap().unwrap()
}

#[test]
fn a_kernel_that_hangs_ends_at_the_deadline_with_its_console_told() {
    let folder = Folder::new("hang");
    let error = boot_with(&scratch(), "rdinit=/no/such/init panic=0", 10, &folder.join("vm"));
    assert!(matches!(error, VmError::NotReady { .. }), "{}", chain(&error));
    assert!(error.to_string().contains("Kernel panic"), "{error}");
    assert!(folder.names().is_empty(), "{:?} is left", folder.names());
    assert!(qemus_in(folder.path()).is_empty(), "QEMU is still there");
}

#[test]
fn a_kernel_that_panics_ends_at_once_with_its_console_told() {
    let folder = Folder::new("panic");
    let error = boot_with(&scratch(), "rdinit=/no/such/init", 60, &folder.join("vm"));
    assert!(matches!(error, VmError::Ended { .. }), "{}", chain(&error));
    assert!(error.to_string().contains("Kernel panic"), "{error}");
    assert!(folder.names().is_empty(), "{:?} is left", folder.names());
}

#[test]
fn a_command_line_that_qemu_refuses_is_told_in_its_words() {
    let folder = Folder::new("refused");
    let image = Image { kernel: "/no/such/kernel".into(), ..scratch() };
    let error = boot_with(&image, "", 60, &folder.join("vm"));
    assert!(matches!(error, VmError::Ended { .. }), "{}", chain(&error));
    assert!(error.to_string().contains("/no/such/kernel"), "{error}");
    assert!(folder.names().is_empty(), "{:?} is left", folder.names());
}

#[test]
fn a_qemu_that_is_killed_in_the_middle_of_a_pause_leaves_no_snapshot() {
    let folder = Folder::new("killed");
    let mut guest = Guest::start("scratch");
    let pid = guest.vm().pid();
    let watched = folder.path().to_owned();
    let killer = std::thread::spawn(move || {
        // The staging folder comes first, the memory's file when the guest has stopped.
        eventually("the pause has begun", || {
            let entries = fs::read_dir(&watched).unwrap().flatten();
            entries.into_iter().any(|entry| entry.path().join("memory").exists())
        });
        Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    });
    let to = folder.join("snapshot");
    let outcome = Runtime::new().unwrap().block_on(guest.vm().pause(&to, Pause::default(), &Silent));
    killer.join().unwrap();
    let error = outcome.unwrap_err();
    assert!(!error.goes_on, "{}", chain(&error));
    assert!(folder.names().is_empty(), "{:?} is left", folder.names());
    assert!(matches!(Snapshot::open(&to), Err(SnapshotError::File { .. })));
    assert!(!lives(pid));
}

#[test]
fn a_pause_that_is_given_up_at_its_end_leaves_a_snapshot_or_the_vm_and_never_both() {
    let folder = Folder::new("given-up");
    let mut guest = Guest::start("scratch");
    let pid = guest.vm().pid();
    let (to, watched) = (folder.join("snapshot"), folder.path().to_owned());
    let written = async move {
        // The manifest is the last file; only putting them on the disk and naming them is left.
        let has = || fs::read_dir(&watched).unwrap().flatten().any(|entry| entry.path().join("manifest.json").exists());
        while !has() {
            tokio::task::yield_now().await;
        }
    };
    let runtime = Runtime::new().unwrap();
    let options = Pause { durable: true };
    runtime.block_on(async {
        tokio::select! {
            biased;
            () = written => {}
            paused = guest.vm().pause(&to, options, &Silent) => panic!("it was not given up: {paused:?}"),
        }
    });
    // Waits for what blocking threads still do.
    drop(runtime);
    if to.exists() {
        eventually("QEMU is gone", || !lives(pid));
    } else {
        assert!(folder.names().is_empty(), "{:?} is left", folder.names());
        assert!(lives(pid), "neither a snapshot nor the VM is left");
    }
}

#[test]
fn a_full_disk_stops_the_pause_and_not_the_guest() {
    let small = Tmpfs::new("full", "20m");
    let mut guest = Guest::start("scratch");
    guest.spawn(COUNTER);
    let before = count(&guest);
    let pausing = Runtime::new().unwrap();
    let error = pausing.block_on(guest.vm().pause(&small.0.join("snapshot"), Pause::default(), &Silent)).unwrap_err();
    assert!(error.goes_on && error.source.is_full_disk(), "{}", chain(&error));
    assert!(small.0.names().is_empty(), "{:?} is left", small.0.names());
    eventually("the guest goes on", || count(&guest) > before);
    // And it can be paused where there is room.
    let guest = guest.pause().resume();
    assert!(count(&guest) > before);
}

/// A guest that refuses to be frozen.
struct Refuses;

impl Companion for Refuses {
    async fn freeze(&self, _: Agent) -> Result<Option<Value>, AgentError> {
        Err(AgentError::Strange { what: "freeze".into(), why: "not today".into() })
    }

    async fn cancel(&self, _: Agent) -> Result<(), AgentError> {
        Ok(())
    }

    async fn thaw(&self, _: Agent, _: Option<Value>) -> Result<Option<Value>, AgentError> {
        Err(AgentError::Strange { what: "thaw".into(), why: "not today".into() })
    }
}

#[test]
fn a_guest_that_refuses_to_freeze_runs_on_and_one_that_refuses_to_thaw_is_gone() {
    let folder = Folder::new("refuses");
    let mut guest = Guest::start("scratch");
    let runtime = Runtime::new().unwrap();
    let error = runtime.block_on(guest.vm().pause(&folder.join("no"), Pause::default(), &Refuses)).unwrap_err();
    assert!(error.goes_on && matches!(error.source, SnapshotError::Freeze(_)), "{}", chain(&error));
    assert!(folder.names().is_empty(), "{:?} is left", folder.names());
    assert_eq!(guest.sh("echo fine"), "fine\n");

    let asleep = guest.pause_with(&Silent);
    let error = runtime.block_on(async {
        let qemu = Qemu::find().await.unwrap();
        asleep.snapshot().resume(&qemu, &Resume::default(), &folder.join("vm"), &Refuses).await.unwrap_err()
    });
    assert!(matches!(error, SnapshotError::Thaw(_)), "{}", chain(&error));
    assert!(folder.names().is_empty(), "{:?} is left", folder.names());
    assert!(qemus_in(folder.path()).is_empty(), "QEMU is still there");
}

#[test]
fn a_snapshot_whose_devices_are_cut_off_is_refused_and_nothing_is_left() {
    let folder = Folder::new("cut");
    let asleep = Guest::start("scratch").pause_with(&Silent);
    let devices = asleep.snapshot().folder().join("devices");
    let length = fs::metadata(&devices).unwrap().len();
    fs::File::options().write(true).open(&devices).unwrap().set_len(length / 2).unwrap();
    let error = Runtime::new().unwrap().block_on(async {
        let qemu = Qemu::find().await.unwrap();
        asleep.snapshot().resume(&qemu, &Resume::default(), &folder.join("vm"), &Silent).await.unwrap_err()
    });
    let text = chain(&error);
    assert!(matches!(error, SnapshotError::Vm(VmError::Ended { .. }) | SnapshotError::Migration { .. }), "{text}");
    assert!(folder.names().is_empty(), "{:?} is left", folder.names());
    assert!(qemus_in(folder.path()).is_empty(), "QEMU is still there");
}
