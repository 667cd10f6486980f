//! The agent that is measured: one of our own, or one that somebody else started.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::client::Client;
use super::counters;
use super::many::allow_files;
use crate::support::{self, Daemon, PATIENCE};

/// Says which agent is measured.
#[derive(Clone, Debug)]
pub enum Target {
    /// The released binary: each [`Target::agent`] is a fresh one.
    Binary(PathBuf),
    /// Somebody else's agent, which stays as it is between measurements.
    Running { address: SocketAddr, pid: u32, user: Option<String> },
}

/// One agent, with a folder of its own for files; ours goes when this is dropped.
pub struct Agent {
    pub address: SocketAddr,
    pub pid: u32,
    /// As whom clients ask, when not as the default user.
    pub user: Option<String>,
    pub folder: PathBuf,
    /// What the start of our own agent cost.
    pub birth: Option<Birth>,
    daemon: Option<Daemon>,
}

/// The time from exec to the first answer of `/health`.
#[derive(Clone, Copy, Debug)]
pub struct Birth {
    pub wall: Duration,
    pub cpu: Duration,
}

impl Target {
    /// Finds the released binary.
    pub fn released() -> Self {
        Self::Binary(released())
    }

    /// Gives an agent; a fresh one where we may start one.
    pub fn agent(&self) -> Agent {
        match self {
            Self::Binary(program) => Agent::start(program),
            Self::Running { address, pid, user } => Agent::at(*address, *pid, user.clone()),
        }
    }
}

impl Agent {
    fn start(program: &Path) -> Self {
        allow_files();
        let started = Instant::now();
        let daemon = Daemon::of(program);
        // Asks without pause for breath: what is measured is when it answers.
        while TcpStream::connect(daemon.address).is_err() {
            assert!(started.elapsed() < PATIENCE, "{} does not answer: {}", program.display(), daemon.log());
            std::thread::sleep(Duration::from_micros(100));
        }
        let mut agent = Self::at(daemon.address, daemon.pid(), None);
        agent.daemon = Some(daemon);
        agent.client().get("/health", 204);
        agent.birth = Some(Birth { wall: started.elapsed(), cpu: counters::cpu(agent.pid) });
        agent
    }

    /// Names an agent that runs.
    pub fn at(address: SocketAddr, pid: u32, user: Option<String>) -> Self {
        Self { address, pid, user, folder: support::scratch(), birth: None, daemon: None }
    }

    /// Connects.
    pub fn client(&self) -> Client {
        Client::open(self.address, self.user.as_deref())
    }

    /// Names a file in the folder of this agent.
    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    /// Names a file in the folder of this agent as a target of the HTTP file API.
    pub fn file(&self, name: &str) -> String {
        let user =
            self.user.as_ref().map_or_else(String::new, |user| format!("&username={}", user.trim_end_matches(':')));
        format!("/files?path={}{user}", self.path(name))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Finds the binary that `scripts/static` built.
pub fn released() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if let Some(named) = std::env::var_os("THAWD_BIN") {
        let path = root.join(named);
        assert!(path.is_file(), "THAWD_BIN names no file: {}", path.display());
        return path;
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let machine = std::env::consts::ARCH;
    ["musl", "gnu"]
        .map(|library| target.join(format!("{machine}-unknown-linux-{library}/release/thawd")))
        .into_iter()
        .find(|path| path.is_file())
        .expect("no released binary: build it with scripts/static, or name one in THAWD_BIN")
}
