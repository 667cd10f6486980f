//! What is said of a sandbox, to it and about it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SandboxId;

/// How sandboxes are made on this host.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Everything is kept here: store, templates, snapshots, VMs.
    pub data: PathBuf,
    /// The folder of an image; the one called `flavour` when `None`.
    pub image: Option<PathBuf>,
    /// The image of the template `base`.
    pub flavour: String,
    /// Memory of a sandbox, in MiB.
    pub memory_mib: u32,
    /// Virtual CPUs of a sandbox.
    pub cpus: u32,
    /// Sandboxes that may run at once.
    pub max_running: usize,
    /// Running sandboxes that were idle for so long are paused, by the agent's verdict; never when `None`.
    pub pause_idle_after: Option<Duration>,
}

/// What happens when the time of a sandbox is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnTimeout {
    /// It is removed.
    Kill,
    /// It is paused.
    Pause(PauseMode),
}

/// What a pause keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PauseMode {
    /// Memory and files: programs go on.
    Full,
    /// Files alone: the sandbox boots when it is resumed, and is never resumed by a mere request.
    Filesystem,
}

/// What a sandbox does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifecycle {
    /// At its deadline.
    pub on_timeout: OnTimeout,
    /// A request for a paused sandbox resumes it.
    pub auto_resume: bool,
}

/// A wish for a sandbox.
#[derive(Clone, Debug)]
pub struct Create {
    /// Name of a template or id of a snapshot.
    pub template: String,
    /// Until its deadline.
    pub timeout: Duration,
    /// For the client's own use, and for filters.
    pub metadata: BTreeMap<String, String>,
    /// Defaults for every program.
    pub env_vars: BTreeMap<String, String>,
    /// What it does by itself.
    pub lifecycle: Lifecycle,
    /// Guarded by an access token.
    pub secure: bool,
    /// May reach the network outside.
    pub allow_internet: Option<bool>,
    /// Ports but the agent's are open to all; with `false` they need the traffic token.
    pub allow_public_traffic: bool,
    /// The `network` object of the request, told again by info.
    pub network: Option<Value>,
    /// The `Host` that servers in the sandbox see.
    pub mask_request_host: Option<String>,
}

/// Where a sandbox is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Its VM is being made; nobody knows its id yet.
    Creating,
    /// It runs.
    Running,
    /// It is being saved.
    Pausing,
    /// It is files.
    Paused(PauseMode),
    /// It is being woken.
    Resuming,
}

/// One step of a pause or resume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// `freeze`, `save`, `load` and so on, as [`crate::snapshot`] names them.
    pub name: String,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

/// All that is known of a sandbox, at one moment. Times are milliseconds since the epoch.
#[derive(Clone, Debug)]
pub struct View {
    /// Its name.
    pub id: SandboxId,
    /// What it was made from.
    pub template: String,
    /// The name of that template, where it has one.
    pub alias: Option<String>,
    /// Where it is.
    pub state: State,
    /// When it was created.
    pub started_ms: u64,
    /// When its time is up; for a paused one, when it was paused.
    pub end_ms: u64,
    /// The timeout that it was last given, in seconds.
    pub timeout_s: u64,
    /// As created.
    pub metadata: BTreeMap<String, String>,
    /// As created.
    pub lifecycle: Lifecycle,
    /// Guards the agent.
    pub token: Option<String>,
    /// Guards the other ports, where they are not public.
    pub traffic_token: Option<String>,
    /// As created.
    pub allow_internet: Option<bool>,
    /// As created.
    pub network: Option<Value>,
    /// As created.
    pub mask_request_host: Option<String>,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Memory.
    pub memory_mib: u32,
    /// Size of the disk.
    pub disk_mib: u64,
    /// What the agent says with `-version`.
    pub envd_version: String,
    /// When a client last spoke to it, through the proxy or the API.
    pub active_ms: u64,
    /// The last pause, phase by phase.
    pub last_pause: Vec<Phase>,
    /// The last resume.
    pub last_resume: Vec<Phase>,
    /// What its snapshot takes on the disk, in bytes, while paused.
    pub snapshot_bytes: Option<u64>,
    /// Something that went wrong with it, in words, for the page.
    pub trouble: Option<String>,
}

/// How the proxy gets to a port of a sandbox.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Of the host, where the port is forwarded.
    pub address: SocketAddr,
    /// The sandbox as it is now.
    pub view: View,
    /// Ends when this VM is gone (paused, killed, crashed): connections to it must be broken then.
    pub gone: tokio_util::sync::CancellationToken,
}

/// One measurement of a sandbox, as the agent tells it; sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Seconds since the epoch.
    pub unix_s: u64,
    /// Virtual CPUs.
    pub cpu_count: u32,
    /// Of all of them together, 0 to 100.
    pub cpu_used_pct: f64,
    /// Memory in use.
    pub mem_used: u64,
    /// Memory in all.
    pub mem_total: u64,
    /// Page cache.
    pub mem_cache: u64,
    /// Disk in use.
    pub disk_used: u64,
    /// Disk in all.
    pub disk_total: u64,
}

/// A snapshot that sandboxes can be made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedSnapshot {
    /// Names it as a template.
    pub id: String,
    /// Other names.
    pub names: Vec<String>,
    /// The sandbox that it was taken of.
    pub of: SandboxId,
    /// When, in milliseconds since the epoch.
    pub created_ms: u64,
}

/// What became of one copy of a fork.
pub type Fork = Result<View, super::SandboxError>;
