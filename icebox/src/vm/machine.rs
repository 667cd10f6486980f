//! The handle to a VM.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::command::{Begin, CONSOLE, CommandLine};
use super::error::VmError;
use super::forward::{self, Forward};
use super::kernel;
use super::last::{ended, or_ended, tail};
use super::process::Process;
use super::spec::{Boot, Hardware, Network};
use crate::agent::Agent;
use crate::disk::Disk;
use crate::folder::{Folder, random_digits};
use crate::host::Qemu;
use crate::image::Image;
use crate::qmp::{COMMAND_LIMIT, Qmp, QmpError};

/// How long QEMU may take to quit.
const QUIT_LIMIT: Duration = Duration::from_secs(10);

/// A running VM. Dropping it kills QEMU and removes the VM's folder.
#[derive(Debug)]
pub struct Vm {
    // The order matters: QEMU goes before its files.
    process: Process,
    pub(crate) qmp: Qmp,
    forwards: Vec<Forward>,
    agent_port: u16,
    pub(crate) parts: Parts,
    pub(crate) folder: Folder,
}

/// What goes from a VM into its snapshot, and from there into the next VM.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) qemu: Qemu,
    pub(crate) hardware: Hardware,
    /// Its layers are in the VM's folder.
    pub(crate) disk: Disk,
    /// Of the image.
    pub(crate) flavour: String,
}

/// How a VM is started.
pub(crate) enum Start<'a> {
    Boot { image: &'a Image, append: &'a str },
    Resume { memory: &'a Path },
}

impl Vm {
    /// Boots `image` in `folder`, which must not be there yet, and waits until the agent answers.
    ///
    /// # Errors
    /// [`VmError`]. Giving up leaves nothing behind.
    pub async fn boot(qemu: &Qemu, image: &Image, boot: &Boot, folder: &Path) -> Result<Self, VmError> {
        let folder = new_folder(folder)?;
        let disk = Disk::of(image)?;
        let parts = Parts { qemu: qemu.clone(), hardware: boot.hardware.clone(), disk, flavour: image.flavour.clone() };
        let start = Start::Boot { image, append: &boot.append };
        let vm = Self::start(parts, start, &boot.network, folder).await?;
        vm.ready(boot.within).await?;
        Ok(vm)
    }

    /// Starts QEMU with a new layer on the disk; `folder` has the layers below.
    pub(crate) async fn start(
        mut parts: Parts,
        start: Start<'_>,
        network: &Network,
        folder: Folder,
    ) -> Result<Self, VmError> {
        parts.disk.grow(&parts.qemu, folder.path()).await?;
        let generation = uuid()?;
        let command_line = match &start {
            Start::Boot { image, append } => kernel::line(image, &parts.hardware, network, append).await,
            Start::Resume { .. } => String::new(),
        };
        let begin = match start {
            Start::Boot { image, .. } => {
                Begin::Boot { kernel: &image.kernel, initrd: &image.initrd, command_line: &command_line }
            }
            Start::Resume { memory } => Begin::Resume { memory, read_only: parts.qemu.maps_read_only() },
        };
        let (hardware, disk) = (&parts.hardware, parts.disk.top());
        let line = CommandLine { hardware, network, disk: &disk, generation: &generation, begin };
        let program = parts.qemu.system();
        let started = Process::start(program, &line.arguments(), folder.path()).await;
        let (process, socket) = started.map_err(|source| VmError::Start { program: program.into(), source })?;
        tracing::debug!(pid = process.id(), folder = %folder.path().display(), "QEMU started");
        let greeted = Qmp::greet(socket, COMMAND_LIMIT).await;
        let qmp = or_ended(greeted.map_err(VmError::from), "it was starting", &process, folder.path()).await?;
        let forwards = forward::list(&qmp, &process).await?;
        Ok(Self { process, qmp, forwards, agent_port: network.agent_port, parts, folder })
    }

    /// Waits until the agent answers.
    ///
    /// # Errors
    /// [`VmError::NotReady`] and [`VmError::Ended`], each with the end of the guest's console.
    pub async fn ready(&self, limit: Duration) -> Result<(), VmError> {
        let agent = self.agent();
        tokio::select! {
            well = timeout(limit, agent.well()) => match well {
                Ok(()) => Ok(()),
                Err(_) => {
                    let status = self.status().await.unwrap_or_else(|error| error.to_string());
                    Err(VmError::NotReady { limit, status, console: self.console() })
                }
            },
            Some(status) = self.process.ended() => Err(ended(status, "the agent was to answer", self.folder.path())),
        }
    }

    /// The agent in it. It is another one after each start, since the port is.
    #[must_use]
    pub fn agent(&self) -> Agent {
        // Without its forward, which every start has, the address that answers nobody.
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Agent::new(self.address(self.agent_port).unwrap_or(nowhere))
    }

    /// Where a port of the guest is reached; `None` when it is not forwarded.
    #[must_use]
    pub fn address(&self, guest_port: u16) -> Option<SocketAddr> {
        self.forwards.iter().find(|forward| forward.guest_port == guest_port).map(Forward::address)
    }

    /// The ports that are forwarded.
    #[must_use]
    pub fn forwards(&self) -> &[Forward] {
        &self.forwards
    }

    /// Forwards a port of the guest, unless it is already.
    ///
    /// # Errors
    /// [`VmError`].
    pub async fn forward(&mut self, guest_port: u16) -> Result<SocketAddr, VmError> {
        if let Some(address) = self.address(guest_port) {
            return Ok(address);
        }
        let forward = forward::add(&self.qmp, &self.process, guest_port).await?;
        self.forwards.push(forward);
        Ok(forward.address())
    }

    /// Forwards a port no more.
    ///
    /// # Errors
    /// [`VmError`].
    pub async fn unforward(&mut self, guest_port: u16) -> Result<(), VmError> {
        if let Some(at) = self.forwards.iter().position(|forward| forward.guest_port == guest_port) {
            forward::remove(&self.qmp, self.forwards[at]).await?;
            self.forwards.remove(at);
        }
        Ok(())
    }

    /// What it keeps for life.
    #[must_use]
    pub fn hardware(&self) -> &Hardware {
        &self.parts.hardware
    }

    /// Its monitor.
    #[must_use]
    pub fn qmp(&self) -> &Qmp {
        &self.qmp
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process id of its QEMU.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The end of what the guest said on its serial line.
    #[must_use]
    pub fn console(&self) -> String {
        tail(self.folder.path(), CONSOLE)
    }

    /// Asks QEMU how it is: `running`, `paused`, `internal-error` ...
    ///
    /// # Errors
    /// [`QmpError`].
    pub async fn status(&self) -> Result<String, QmpError> {
        let answer = self.qmp.execute("query-status", Value::Null).await?;
        let status = answer.get("status").and_then(Value::as_str).map(str::to_owned);
        let command = || "query-status".into();
        status.ok_or_else(|| QmpError::Strange { command: command(), field: "status", answer: answer.to_string() })
    }

    /// Stops the guest's CPUs; its clocks stand still too.
    ///
    /// # Errors
    /// [`QmpError`].
    pub async fn stop(&self) -> Result<(), QmpError> {
        self.qmp.execute("stop", Value::Null).await.map(drop)
    }

    /// Lets the guest's CPUs go on.
    ///
    /// # Errors
    /// [`QmpError`].
    pub async fn cont(&self) -> Result<(), QmpError> {
        self.qmp.execute("cont", Value::Null).await.map(drop)
    }

    /// Waits for the end of QEMU, for whatever reason; borrows nothing.
    pub fn ended(&self) -> impl Future<Output = Option<ExitStatus>> + Send + use<> {
        self.process.ended()
    }

    /// Kills QEMU at once, as a crash of the host would; the folder stays until this is dropped.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Ends QEMU, kindly or, after 10 s, not; the guest is not asked.
    pub async fn quit(&self) {
        let quit = async {
            // It may be gone before it answers.
            let _ = self.qmp.execute_within("quit", Value::Null, QUIT_LIMIT).await;
            self.ended().await
        };
        if timeout(QUIT_LIMIT, quit).await.is_err() {
            self.kill();
            self.ended().await;
        }
    }

    /// Leaves the folder where it is when this is dropped, for somebody to look at.
    pub fn keep_folder(&mut self) {
        self.folder.keep();
    }

    /// Explains a failure by QEMU's end, if it ended.
    pub(crate) async fn explained<T>(&self, outcome: Result<T, VmError>, doing: &'static str) -> Result<T, VmError> {
        or_ended(outcome, doing, &self.process, self.folder.path()).await
    }
}

pub(crate) fn new_folder(path: &Path) -> Result<Folder, VmError> {
    Folder::create(path).map_err(|source| VmError::Folder { path: path.into(), source })
}

/// A random UUID.
fn uuid() -> io::Result<String> {
    let digits = random_digits::<16>()?;
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| digits[range].to_owned());
    Ok(groups.join("-"))
}
