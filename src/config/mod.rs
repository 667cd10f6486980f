//! Flags and environment, parsed once and turned into each room's own settings.
//!
//! - [`with_kernel_flags`] what the kernel command line says, put before what the caller says
//! - [`Flags`] what can be said, [`Line`] reading it
//! - [`Config`] what was meant

mod error;
mod flags;
mod kernel;
mod line;

use std::path::PathBuf;
use std::time::Duration;

pub use error::FlagError;
pub use flags::Flags;
pub use kernel::with_kernel_flags;
pub use line::Line;

use crate::fs::Access;
use crate::host;
use crate::identity::Secret;
use crate::ports;
use crate::process;
use crate::server::{self, Address};
use crate::snapshot;
use crate::workload;

/// Holds the settings of every room.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: Vec<Address>,
    /// Bounds of a connection.
    pub server: server::Settings,
    /// Bounds of programs.
    pub process: process::Settings,
    /// Where programs are placed.
    pub workload: workload::Settings,
    /// How the guest is frozen and thawed.
    pub snapshot: snapshot::Settings,
    /// What the guest is told, and where that is written.
    pub host: host::Settings,
    /// How servers on loopback addresses are reached; `None` when they are not to be.
    pub ports: Option<ports::Settings>,
    /// As whom files are touched.
    pub access: Access,
    /// Access token in force before `/init`.
    pub token: Option<Secret>,
    /// Default user before `/init`.
    pub user: String,
    /// Default folder before `/init`.
    pub workdir: Option<String>,
    /// Where what a host says is kept for an agent that is started again; `None` for nowhere.
    pub keep: Option<PathBuf>,
    /// Runs in a sandbox of the platform (and not in a container for tests).
    pub in_sandbox: bool,
}

impl From<Flags> for Config {
    fn from(flags: Flags) -> Self {
        let snapshot = snapshot(&flags);
        let ports = flags.loopback_ports.then(|| ports::Settings { cgroup: flags.cgroup_root.clone() });
        let metadata = (!flags.isnotfc).then_some(flags.mmds_url);
        let listen = if flags.listen.is_empty() {
            vec![Address::Tcp((std::net::Ipv4Addr::UNSPECIFIED, flags.port).into())]
        } else {
            flags.listen
        };
        let mut output = process::output::Settings { ring: flags.output_ring, ..Default::default() };
        output.stall_alone = Duration::from_secs(flags.output_stall);
        output.stall_shared = output.stall_shared.min(output.stall_alone);
        Self {
            listen,
            server: server::Settings::default(),
            process: process::Settings { output },
            workload: workload::Settings { root: (!flags.no_cgroups).then_some(flags.cgroup_root) },
            snapshot,
            host: host::Settings { root: flags.guest_root, metadata },
            ports,
            access: flags.file_access,
            token: flags.access_token.filter(|token| !token.is_empty()).map(Secret::new),
            user: flags.default_user,
            workdir: flags.default_workdir.filter(|folder: &String| !folder.is_empty()),
            keep: flags.keep_identity.then_some(flags.run_dir),
            in_sandbox: !flags.isnotfc,
        }
    }
}

fn snapshot(flags: &Flags) -> snapshot::Settings {
    let mut settings = snapshot::Settings {
        notice: flags.self_repair,
        crash: flags.crash_at.clone(),
        self_thaw: Duration::from_millis(flags.self_thaw_ms),
        ..snapshot::Settings::default()
    };
    settings.notify.folder.clone_from(&flags.run_dir);
    settings.hooks.folder.clone_from(&flags.hooks_dir);
    settings
}

/// Where cgroup v2 is usually mounted.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";
