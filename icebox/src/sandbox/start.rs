//! From files to a running VM, for a sandbox.

use std::time::{Duration, Instant};

use super::care::Care;
use super::error::SandboxError;
use super::ground::Ground;
use super::record::Record;
use super::{PauseMode, Phase};
use crate::agent::Program;
use crate::snapshot::{Companion, PauseReport, Resume, ResumeReport, Snapshot};
use crate::store::Shelf;
use crate::vm::{Boot, Vm};

/// How long one step of a start may take: loading, and the first answer of the agent. 5 s on a busy machine, and others
/// start beside it.
const STEP_LIMIT: Duration = Duration::from_secs(60);
/// How long the agent may take to print its version.
const VERSION_LIMIT: Duration = Duration::from_secs(30);
/// Where images have the agent (`rootfs/pack`).
const AGENT: &str = "/usr/bin/thawd";

/// A VM that runs, and how long each step of the start took.
pub(super) struct Started {
    pub(super) vm: Vm,
    pub(super) phases: Vec<Phase>,
}

impl Ground {
    /// Starts a VM for this sandbox out of `snapshot`; with its memory, or by a boot from its disk. The agent answers
    /// then, and was told all that it must know.
    pub(super) async fn start(
        &self,
        record: &Record,
        snapshot: &Snapshot,
        mode: PauseMode,
        care: &Care,
    ) -> Result<Started, SandboxError> {
        let _place = self.starts.acquire().await.map_err(|_| SandboxError::Stopping)?;
        let folder = self.vm_folder()?;
        let network = Self::network(record.allow_internet);
        match mode {
            PauseMode::Full => {
                let options = Resume { network, within: STEP_LIMIT };
                let resumed = snapshot.resume(&self.qemu, &options, &folder, care).await;
                let resumed = resumed.map_err(SandboxError::host("resuming the sandbox"))?;
                Ok(Started { vm: resumed.vm, phases: resume_phases(&resumed.report) })
            }
            PauseMode::Filesystem => {
                let from = Instant::now();
                let boot = Boot { network, within: STEP_LIMIT, ..Boot::new(snapshot.hardware().clone()) };
                let vm = snapshot.boot(&self.qemu, &self.image, &boot, &folder).await;
                let vm = vm.map_err(SandboxError::host("booting the sandbox"))?;
                let booted = from.elapsed();
                let told = care.thaw(vm.agent(), None).await;
                told.map_err(SandboxError::host("telling the agent of the sandbox who it is"))?;
                Ok(Started { vm, phases: phases([("boot", booted), ("thaw", from.elapsed() - booted)]) })
            }
        }
    }

    /// What the agent of the template `base` says with `-version`; asked in `vm` the first time, and written down.
    pub(super) async fn base_version(&self, vm: &Vm, record: &Record) -> Result<String, SandboxError> {
        let name = self.base.folder().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let known = self.store.all::<String>(Shelf::Facts).await;
        if let Some(version) = known.ok().and_then(|mut known| known.remove(&name)) {
            return Ok(version);
        }
        let agent = vm.agent().with_token_of(record.token.as_ref());
        let program = Program { user: Some("root".into()), ..Program::new(AGENT, &["-version"]) };
        let asked = agent.run(&program, VERSION_LIMIT).await;
        let output = asked.map_err(SandboxError::host("asking the agent for its version"))?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.exit_code != 0 || version.is_empty() {
            let why = format!("it said {version:?} and ended with {}", output.exit_code);
            return Err(SandboxError::Host { what: "asking the agent for its version", why });
        }
        if let Err(error) = self.store.put(Shelf::Facts, &name, &version).await {
            tracing::warn!(%error, "the version of the agent could not be written down");
        }
        Ok(version)
    }
}

fn phases<const N: usize>(all: [(&str, Duration); N]) -> Vec<Phase> {
    let phase = |(name, took): (&str, Duration)| Phase {
        name: name.into(),
        took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
    };
    all.map(phase).into()
}

fn resume_phases(report: &ResumeReport) -> Vec<Phase> {
    phases([("spawn", report.spawn), ("load", report.load), ("cont", report.cont), ("thaw", report.thaw)])
}

pub(super) fn pause_phases(report: &PauseReport) -> Vec<Phase> {
    phases([
        ("freeze", report.freeze),
        ("stop", report.stop),
        ("save", report.save),
        ("commit", report.commit),
        ("quit", report.quit),
    ])
}
