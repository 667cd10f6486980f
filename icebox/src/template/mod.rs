//! Keeps templates: a VM that was booted once and paused, to be copied in a third of a second.
//!
//! A template is a [`Snapshot`] under `target/icebox/templates`, named by its image and hardware. Whoever wants one
//! that is not there makes it; others meanwhile wait for it, in other processes too (flock(2) on a file beside it). An
//! image that was rebuilt has another name, and the templates of the old one are removed.
//!
//! The guest is not frozen for it: an agent that has just booted has nothing to freeze, and copies begin like booted
//! VMs. Its clock is checked once against ours, since a guest that calibrated it wrongly keeps it for life.

mod error;
mod lock;
mod wish;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use crate::folder::Folder;
pub use error::TemplateError;
pub use wish::Wish;

use crate::agent::{Agent, AgentError};
use crate::folder::{random_name, sweep};
use crate::host::Qemu;
use crate::image::{Image, build, find, workspace};
use crate::snapshot::{Pause, Silent, Snapshot};
use crate::vm::Vm;
use lock::Lock;
use wish::key;

/// Where VMs have their folders.
const VMS: &str = "vms";
/// How long somebody else may take to make a template.
const LOCK_LIMIT: Duration = Duration::from_secs(180);
/// How long somebody else may take to build an image: the agent is compiled too.
const BUILD_LIMIT: Duration = Duration::from_secs(1_800);
/// How long the guest's clock is watched.
const CLOCK_WATCHED: Duration = Duration::from_secs(1);
/// How far its rate may be off: a wrong calibration is wrong by factors, and a busy host delays an answer by 100 ms.
const CLOCK_TOLERANCE: f64 = 0.3;

/// Where templates and VMs are kept.
#[derive(Clone, Debug)]
pub struct Templates {
    root: PathBuf,
}

impl Templates {
    /// Uses `target/icebox` of the workspace, or what `ICEBOX_ROOT` says.
    #[must_use]
    pub fn of_workspace() -> Self {
        Self::at(std::env::var_os("ICEBOX_ROOT").map_or_else(|| workspace().join("target/icebox"), PathBuf::from))
    }

    /// Uses the folder `root`.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Names a folder for a VM that is not there yet.
    ///
    /// # Errors
    /// What the kernel said when it was asked for random bytes.
    pub fn new_vm_folder(&self) -> io::Result<PathBuf> {
        Ok(self.root.join(VMS).join(format!("vm-{}", random_name()?)))
    }

    /// Makes a folder beside those of VMs, gone with its owner as they are. A snapshot that shall be no template grows
    /// in one: a bare folder there is nobody's, and the next [`sweep`](Self::sweep) of any process removes it.
    ///
    /// # Errors
    /// What the kernel said when the folder was made.
    pub fn new_folder(&self, prefix: &str) -> io::Result<Folder> {
        Folder::new(&self.root.join(VMS), prefix)
    }

    /// Removes what VMs and pauses of processes that were killed have left; says how many there were.
    pub fn sweep(&self) -> usize {
        // A dot begins the name of what is not whole.
        let vms = sweep(&self.root.join(VMS), |_| true);
        vms + sweep(&self.folder(), |name| name.starts_with('.'))
    }

    /// Opens the image of this name; builds it first where it is not there.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub async fn image(&self, flavour: &str) -> Result<Image, TemplateError> {
        if let Some(image) = find(flavour)? {
            return Ok(image);
        }
        let _lock = Lock::take(&self.root.join(format!("{flavour}.lock")), BUILD_LIMIT).await?;
        if let Some(image) = find(flavour)? {
            return Ok(image);
        }
        let flavour = flavour.to_owned();
        let built = tokio::task::spawn_blocking(move || build(&flavour)).await;
        Ok(built.map_err(TemplateError::Build)??)
    }

    /// Returns the template of `image` for this wish; boots it first where it is not there.
    ///
    /// # Errors
    /// [`TemplateError`]. Giving up leaves nothing half-made.
    pub async fn get(&self, qemu: &Qemu, image: &Image, wish: &Wish) -> Result<Snapshot, TemplateError> {
        let prefix = format!("{}@{}", image.flavour, image.key()?);
        let boot = wish.boot(qemu).await?;
        let name = format!("{prefix}-{:08x}", key(&boot));
        let folder = self.folder().join(&name);
        let _lock = Lock::take(&self.folder().join(format!("{name}.lock")), LOCK_LIMIT).await?;
        // One that does not open is of another version of this program, or lost its base.
        match Snapshot::open(&folder) {
            Ok(snapshot) => return Ok(snapshot),
            Err(error) => tracing::debug!(%error, "no template yet"),
        }
        self.remove_older(&image.flavour, &prefix);
        if folder.exists() {
            remove(&folder);
        }
        tracing::info!(name, "booting a template");
        let mut vm = Vm::boot(qemu, image, &boot, &self.new_vm_folder().map_err(TemplateError::Name)?).await?;
        check_clock(&vm.agent()).await?;
        let paused = vm.pause(&folder, Pause { durable: false }, &Silent).await?;
        Ok(paused.snapshot)
    }

    fn folder(&self) -> PathBuf {
        self.root.join("templates")
    }

    /// Removes templates of other builds of this image, whose disks are void; VMs that run on them go on.
    fn remove_older(&self, flavour: &str, now: &str) {
        let Ok(entries) = std::fs::read_dir(self.folder()) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some((of, _)) = name.to_str().and_then(|name| name.split_once('@')) else { continue };
            if of == flavour && !name.to_str().is_some_and(|name| name.starts_with(now)) {
                remove(&entry.path());
            }
        }
    }
}

fn remove(path: &Path) {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    if let Err(error) = removed {
        tracing::warn!(path = %path.display(), %error, "an old template could not be removed");
    }
}

/// Compares the rate of the guest's clock with ours.
async fn check_clock(agent: &Agent) -> Result<(), TemplateError> {
    let from = uptime(agent).await?;
    tokio::time::sleep(CLOCK_WATCHED).await;
    let to = uptime(agent).await?;
    let rate = (to.0 - from.0) / (to.1 - from.1).as_secs_f64();
    if (rate - 1.0).abs() > CLOCK_TOLERANCE { Err(TemplateError::Clock { rate }) } else { Ok(()) }
}

/// Reads the guest's uptime in seconds, and ours in the middle of the question.
async fn uptime(agent: &Agent) -> Result<(f64, Instant), AgentError> {
    let asked = Instant::now();
    let text = agent.read_file("/proc/uptime").await?;
    let ours = asked + asked.elapsed() / 2;
    let text = String::from_utf8_lossy(&text).into_owned();
    let guest = text.split(' ').next().and_then(|seconds| seconds.parse().ok());
    let strange = || AgentError::Strange { what: "read /proc/uptime".into(), why: format!("it is {text:?}") };
    Ok((guest.ok_or_else(strange)?, ours))
}
