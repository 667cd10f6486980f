//! What a VM is made of.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::host::{Accelerator, HostError, Qemu};

/// Where the agent listens in the guest.
pub const AGENT_PORT: u16 = 49983;
/// How long a boot may take: 4 to 9 s under emulation, 15 s at the worst.
const BOOT_LIMIT: Duration = Duration::from_secs(60);
/// Memory of a VM that asks for none: enough for a kernel, the agent and an interpreter.
const MEMORY_MIB: u32 = 256;

/// What a VM keeps for life, over all pauses: a snapshot can only be resumed on the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hardware {
    /// What runs its instructions.
    pub accelerator: Accelerator,
    /// QEMU's name of the machine, with its version.
    pub machine: String,
    /// In MiB.
    pub memory_mib: u32,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Has a device that tells the guest's kernel by a new number that it was resumed or copied.
    pub vmgenid: bool,
    /// Has a source of random numbers.
    pub rng: bool,
}

impl Hardware {
    /// Makes what fits this machine: 256 MiB, one CPU, vmgenid and random numbers. Tries KVM.
    ///
    /// # Errors
    /// [`HostError`].
    pub async fn find(qemu: &Qemu) -> Result<Self, HostError> {
        Ok(Self {
            accelerator: Accelerator::find(qemu).await,
            machine: qemu.machine().await?,
            memory_mib: MEMORY_MIB,
            cpus: 1,
            vmgenid: true,
            rng: true,
        })
    }

    /// Memory in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        u64::from(self.memory_mib) << 20
    }
}

/// The network of one start; may differ at the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The guest reaches nothing outside; forwarded ports still work.
    pub restrict: bool,
    /// The name server that the guest sees, in 10.0.2.0/24; QEMU's own 10.0.2.3 when `None`.
    pub dns: Option<Ipv4Addr>,
    /// Ports of the guest to be reached from the host, beside the agent's.
    pub forwards: Vec<u16>,
    /// Where the agent listens.
    pub agent_port: u16,
}

impl Default for Network {
    fn default() -> Self {
        Self { restrict: true, dns: None, forwards: Vec::new(), agent_port: AGENT_PORT }
    }
}

/// How to boot.
#[derive(Clone, Debug)]
pub struct Boot {
    /// For life.
    pub hardware: Hardware,
    /// For this start.
    pub network: Network,
    /// More for the kernel's command line.
    pub append: String,
    /// How long it may take until the agent answers.
    pub within: Duration,
}

impl Boot {
    /// Boots this hardware with defaults.
    #[must_use]
    pub fn new(hardware: Hardware) -> Self {
        Self { hardware, network: Network::default(), append: String::new(), within: BOOT_LIMIT }
    }
}
