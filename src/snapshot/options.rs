//! What callers may ask of a freeze and a thaw, checked.

use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::report::Crash;
use super::resume::{clock, identity, network};
use super::{hooks, notify};
use crate::identity::Secret;
use crate::workload::Mode;

/// Says how the room works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where hooks are.
    pub hooks: hooks::Settings,
    /// Where programs look, and where the record of a freeze lies.
    pub notify: notify::Settings,
    /// Time that the host gets to call after a resume was noticed, before the guest thaws by itself.
    pub self_thaw: Duration,
    /// Listens for resumes that nobody tells of.
    pub notice: bool,
    /// For tests: where to die.
    pub crash: Option<Crash>,
}

impl Settings {
    /// The folder on a tmpfs.
    #[must_use]
    pub fn run(&self) -> &PathBuf {
        &self.notify.folder
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hooks: hooks::Settings::default(),
            notify: notify::Settings::default(),
            self_thaw: Duration::from_secs(3),
            notice: true,
            crash: None,
        }
    }
}

/// For a whole freeze.
pub const DEADLINE: Duration = Duration::from_secs(10);
/// Running time after which a freeze that nobody ended ends by itself (envd's value).
pub const LEASE: Duration = Duration::from_secs(600);
/// For all hooks together.
pub const HOOKS: Duration = Duration::from_secs(5);

/// Says what to freeze and how.
#[derive(Clone, Debug)]
pub struct Freeze {
    /// Filesystems too: the disk will be used without the memory.
    pub disk: bool,
    /// Which programs.
    pub mode: Mode,
    /// For everything.
    pub deadline: Duration,
    /// Running time until it ends by itself.
    pub lease: Duration,
    /// For all hooks together.
    pub hooks: Duration,
    /// A hook that fails aborts.
    pub abort_on_hook: bool,
    /// A program that does not stop aborts.
    pub abort_on_straggler: bool,
    /// Writes back before programs are stopped.
    pub presync: bool,
    /// Tells disks what is free.
    pub trim: bool,
    /// Drops clean page cache.
    pub drop_caches: bool,
    /// Takes memory from the workload down to so many bytes.
    pub memory_target: Option<u64>,
}

impl Default for Freeze {
    fn default() -> Self {
        Self {
            disk: false,
            mode: Mode::Legacy,
            deadline: DEADLINE,
            lease: LEASE,
            hooks: HOOKS,
            abort_on_hook: false,
            abort_on_straggler: false,
            presync: true,
            trim: false,
            drop_caches: false,
            memory_target: None,
        }
    }
}

/// Says what to repair.
pub struct Thaw {
    /// Only this freeze.
    pub generation: Option<u64>,
    /// The host's time.
    pub host: Option<clock::Stamp>,
    /// Fresh random bytes.
    pub entropy: Zeroizing<Vec<u8>>,
    /// Stays frozen without fresh random bytes.
    pub require_entropy: bool,
    /// Who the guest is from now on.
    pub identity: identity::Wanted,
    /// The token from now on.
    pub token: Option<Secret>,
    /// The network from now on.
    pub network: network::Wanted,
    /// Ends connections of the past life.
    pub end_sockets: bool,
    /// For all hooks together.
    pub hooks: Duration,
}

impl Default for Thaw {
    fn default() -> Self {
        Self {
            generation: None,
            host: None,
            entropy: Zeroizing::default(),
            require_entropy: false,
            identity: identity::Wanted::default(),
            token: None,
            network: network::Wanted::default(),
            end_sockets: true,
            hooks: HOOKS,
        }
    }
}
