//! Keeps the story for newcomers: a program survives the pause of its VM.

mod counter;
mod error;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use icebox::host::{Accelerator, Qemu};
use icebox::image::{Image, build, find};
use icebox::snapshot::{Guided, Pause, Resume, Resumed, Snapshot};
use icebox::template::Templates;
use icebox::vm::{Boot, Hardware, Vm};

use counter::Counter;
use error::DemoError;

/// How long the counter is watched before and after the pause.
const WATCHED: Duration = Duration::from_secs(2);

/// How far the guest's clock may be from ours, beside what the measurement itself is unsure of: an agent that does not
/// thaw is told the time by `/init`, which leaves up to 50 ms alone.
const CLOCK_TOLERANCE_MS: i64 = 100;

/// What to show.
pub(crate) struct Plan {
    /// The folder of an image; that of the flavour when `None`.
    pub(crate) image: Option<PathBuf>,
    pub(crate) flavour: String,
    pub(crate) memory_mib: u32,
    pub(crate) wait: Duration,
}

/// Tells the story. Everything is gone afterwards, also when it fails or is given up. When the whole process is killed,
/// QEMU goes with it, and the files with the next sweep.
pub(crate) async fn show(plan: &Plan, image: &Image) -> Result<(), DemoError> {
    let templates = Templates::of_workspace();
    templates.sweep();
    let qemu = Qemu::find().await?;
    let mut hardware = Hardware::find(&qemu).await?;
    hardware.memory_mib = plan.memory_mib;
    say(&format!("QEMU {}, {}", qemu.version(), means(hardware.accelerator)));

    let from = Instant::now();
    let mut vm = Vm::boot(&qemu, image, &Boot::new(hardware), &templates.new_vm_folder()?).await?;
    let booted = from.elapsed();
    say(&format!("booted the image {} with {} MiB in {}", image.flavour, plan.memory_mib, seconds(booted)));

    let mut counter = Counter::start(&vm.agent()).await?;
    let before = counter.watch(&vm.agent(), WATCHED).await?;
    say(&format!("a program in it counts, process {}: {}", counter.pid(), before.text()));

    // Whatever comes, the snapshot goes with us, and nobody sweeps it away before.
    let asleep = templates.new_folder("asleep")?;
    let snapshot = pause(&mut vm, &asleep.path().join("snapshot")).await?;
    drop(vm);
    if !plan.wait.is_zero() {
        say(&format!("nothing runs now; waiting {} s", plan.wait.as_secs()));
        tokio::time::sleep(plan.wait).await;
    }

    let companion = Guided::default();
    let folder = templates.new_vm_folder()?;
    let Resumed { vm, report } = snapshot.resume(&qemu, &Resume::default(), &folder, &companion).await?;
    let how = if report.thawed.is_some() { "thawed" } else { "told the time" };
    say(&format!("resumed in {} in a new QEMU, process {}, and {how}", seconds(report.total), vm.pid()));

    let after = counter.watch(&vm.agent(), WATCHED).await?;
    after.goes_on_from(&before)?;
    say(&format!("the program goes on, still process {}: {}", counter.pid(), after.text()));
    compare_clocks(&vm).await?;
    say("all as promised");
    Ok(())
}

async fn compare_clocks(vm: &Vm) -> Result<(), DemoError> {
    let offset = vm.agent().clock_offset().await?;
    let (offset_ms, error_ms) = (offset.offset_ns / 1_000_000, offset.error_ns / 1_000_000 + 1);
    if offset_ms.abs() > CLOCK_TOLERANCE_MS + error_ms {
        return Err(DemoError::Clock { offset_ms, error_ms });
    }
    say(&format!("the guest's clock is right: it differs from ours by {offset_ms} ms (measured to {error_ms} ms)"));
    Ok(())
}

/// Opens the image, or builds it, which blocks for some minutes.
pub(crate) fn image(plan: &Plan) -> Result<Image, DemoError> {
    if let Some(folder) = &plan.image {
        return Ok(Image::open(folder)?);
    }
    if let Some(image) = find(&plan.flavour)? {
        return Ok(image);
    }
    say(&format!("building the image {}; the first time takes some minutes", plan.flavour));
    Ok(build(&plan.flavour)?)
}

async fn pause(vm: &mut Vm, folder: &std::path::Path) -> Result<Snapshot, DemoError> {
    let pid = vm.pid();
    let paused = vm.pause(folder, Pause::default(), &Guided::default()).await?;
    let report = &paused.report;
    let memory = vm.hardware().memory_mib;
    say(&format!(
        "paused in {}: {} MiB on the disk for {memory} MiB of memory, the guest's disk and all",
        seconds(report.total),
        report.bytes.total() >> 20
    ));
    let phases = [
        ("freeze", report.freeze),
        ("stop", report.stop),
        ("save", report.save),
        ("commit", report.commit),
        ("quit", report.quit),
    ];
    let phases: Vec<_> = phases.iter().map(|(name, took)| format!("{name} {}", seconds(*took))).collect();
    say(&format!("  {}; QEMU, process {pid}, is gone", phases.join(", ")));
    if std::path::Path::new(&format!("/proc/{pid}")).exists() {
        return Err(DemoError::StillThere { pid });
    }
    Ok(paused.snapshot)
}

fn means(accelerator: Accelerator) -> &'static str {
    match accelerator {
        Accelerator::Kvm => "with KVM",
        Accelerator::Tcg => "without KVM: it is emulated, which is slower and shows the same",
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.2} s", took.as_secs_f64())
}

fn say(line: &str) {
    println!("{line}");
}
