//! The disk of a frozen guest, taken without its memory: whole, clean, and with everything that was acknowledged.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use icebox::agent::Program as Line;
use icebox::guest::Guest;
use icebox::host::Qemu;
use icebox::image;
use icebox::template::Templates;
use icebox::vm::{Boot, Hardware, Vm};
use serde_json::json;

use super::life::{freeze, phase};
use crate::support::connect::Program;

/// Writes numbered files, and tells of each one that is on the disk.
const WRITER: &str = "mkdir -p /root/load; i=0; while :; do i=$((i+1)); \
                      echo number $i | dd of=/root/load/$i conv=fsync 2>/dev/null && echo $i; done";

/// A program that writes; what it told of must be on the disk.
struct Load(Program);

impl Load {
    fn start(guest: &Guest) -> Self {
        let mut load = Self(Program::shell(guest.agent().address(), WRITER));
        load.0.read_until("20\n");
        load
    }

    /// Reads on to the end of the stream; says which file it told of last, and that none was left out.
    #[track_caller]
    fn acknowledged(&mut self) -> u64 {
        while self.0.step() {}
        let text = self.0.text();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let numbers: Vec<u64> = whole.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
        numbers.len() as u64
    }
}

/// The disk of a guest as one raw file, in its folder.
struct Flat(PathBuf);

impl Flat {
    /// Ends the guest's QEMU as a crash would, and takes what is on the disk then.
    fn of_killed(guest: &mut Guest) -> Self {
        guest.vm().kill();
        let ended = guest.vm().ended();
        guest.block_on(ended);
        let folder = guest.vm().folder().to_owned();
        let layers =
            std::fs::read_dir(&folder).unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
        let top = layers.filter(|name| name.starts_with("disk-")).max().unwrap();
        let flat = folder.join("flat.raw");
        run(Command::new("qemu-img").args(["convert", "-O", "raw"]).arg(folder.join(top)).arg(&flat));
        Self(flat)
    }

    /// Says whether its journal holds what is not in its place yet. `e2fsck -n` finds nothing wrong with that.
    fn needs_recovery(&self) -> bool {
        let told = run(Command::new("dumpe2fs").arg("-h").arg(&self.0));
        let features = told.lines().find(|line| line.starts_with("Filesystem features:")).unwrap();
        features.split_whitespace().any(|feature| feature == "needs_recovery")
    }

    #[track_caller]
    fn check(&self) {
        let told = run(Command::new("e2fsck").args(["-f", "-n"]).arg(&self.0));
        assert!(!told.contains("? no") && !told.contains("WARNING"), "{told}");
    }

    /// Reads the files of the load without mounting anything.
    #[track_caller]
    fn holds(&self, count: u64) {
        let to = self.0.with_file_name("load");
        let _ = std::fs::remove_dir_all(&to);
        std::fs::create_dir(&to).unwrap();
        run(Command::new("debugfs").arg("-R").arg(format!("rdump /root/load {}", to.display())).arg(&self.0));
        for number in 1..=count {
            let text = std::fs::read_to_string(to.join(format!("load/{number}")));
            assert_eq!(text.unwrap_or_default(), format!("number {number}\n"), "file {number} of {count}");
        }
    }

    /// Boots it in a VM of its own, and has that look at the files.
    #[track_caller]
    fn boots_and_holds(&self, guest: &Guest, count: u64) {
        guest.block_on(async {
            let image = image::Image { disk: self.0.clone(), ..image::find("scratch").unwrap().unwrap() };
            let qemu = Qemu::find().await.unwrap();
            let boot = Boot::new(Hardware::find(&qemu).await.unwrap());
            let folder = Templates::of_workspace().new_vm_folder().unwrap();
            let vm = Vm::boot(&qemu, &image, &boot, &folder).await.unwrap();
            let look = format!(
                "cd /root/load; i=1; while [ $i -le {count} ]; do read -r l < $i; \
                 [ \"$l\" = \"number $i\" ] || exit 1; i=$((i+1)); done; echo written > /root/new; cat /root/new"
            );
            let output = vm.agent().run(&Line::shell(&look), Duration::from_secs(60)).await.unwrap();
            assert_eq!((output.exit_code, output.stdout.as_slice()), (0, b"written\n".as_slice()), "{output:?}");
            assert!(!vm.console().contains("recovering journal"), "{}", vm.console());
        });
    }
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(output.status.success(), "{command:?}: {told}");
    told
}

fn disk_alone() -> serde_json::Value {
    json!({"scope": "SCOPE_DISK"})
}

#[test]
fn the_disk_of_a_frozen_guest_is_whole_by_itself() {
    let mut guest = Guest::start("scratch");
    let mut load = Load::start(&guest);
    let report = freeze(&guest, &disk_alone());
    assert_eq!(report["filesystems"][0]["outcome"], json!("frozen"), "{report}");
    let count = load.acknowledged();
    let disk = Flat::of_killed(&mut guest);
    assert!(!disk.needs_recovery());
    disk.check();
    disk.holds(count);
    disk.boots_and_holds(&guest, count);
}

#[test]
fn the_disk_of_a_guest_that_was_not_frozen_needs_its_journal() {
    let mut guest = Guest::start("scratch");
    let mut load = Load::start(&guest);
    let disk = Flat::of_killed(&mut guest);
    assert!(disk.needs_recovery(), "or the other test proves nothing");
    // It is repaired by replaying, and what was acknowledged is there then.
    let repaired = Command::new("e2fsck").args(["-f", "-y"]).arg(&disk.0).output().unwrap();
    assert!(repaired.status.code().is_some_and(|code| code < 4), "{repaired:?}");
    disk.holds(load.acknowledged());
}

#[test]
fn a_load_on_the_disk_goes_on_after_a_pause_with_memory() {
    let guest = Guest::start("scratch");
    let mut load = Load::start(&guest);
    let pid = load.0.pid;
    let guest = guest.pause().resume();
    let before = load.acknowledged();
    assert!(before >= 20);
    let offset = [("thawd-output-offset", "0")];
    let mut load = Load(Program::connect(guest.agent().address(), &offset, &json!({"pid": pid})));
    load.0.read_until(&format!("\n{}\n", before + 20));
    guest.sh(&format!("kill {pid}"));
    let count = load.acknowledged();
    assert!(count >= before + 20, "{before} {count}");
    guest.sh(&format!("cd /root/load && [ \"$(cat {count})\" = \"number {count}\" ]"));
    assert_eq!(phase(&guest), "PHASE_RUNNING");
}

#[test]
fn a_disk_that_was_frozen_with_memory_is_writable_after_the_resume() {
    let guest = Guest::start("scratch");
    let mut load = Load::start(&guest);
    let pid = load.0.pid;
    let companion = icebox::snapshot::Guided { freeze: Some(disk_alone()), ..Default::default() };
    let asleep = guest.pause_with(&companion);
    let (guest, report) = asleep.resume_with(&companion);
    assert!(report.thawed.is_some());
    let before = load.acknowledged();
    let offset = [("thawd-output-offset", "0")];
    let mut load = Load(Program::connect(guest.agent().address(), &offset, &json!({"pid": pid})));
    load.0.read_until(&format!("\n{}\n", before + 20));
}
