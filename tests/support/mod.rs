//! What the tests that drive the built binary share: a daemon of their own, and a client that can misbehave.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test support")]

pub mod connect;
pub mod http;

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Runs one daemon on a port of its own; it and its files go when this is dropped.
pub struct Daemon {
    child: Child,
    pub address: SocketAddr,
    pub folder: PathBuf,
    /// A part of the cgroup tree of its own, for what would disturb other daemons.
    pub cgroups: Option<PathBuf>,
}

impl Daemon {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts with more flags.
    pub fn with(flags: &[&str]) -> Self {
        Self::launch(scratch(), None, flags)
    }

    /// Starts in a part of the cgroup tree of its own: what it freezes is nobody else's.
    pub fn apart(flags: &[&str]) -> Self {
        let folder = scratch();
        let root = cgroup_root().expect("a writable cgroup v2 is needed to test freezing");
        let cgroups = root.join(folder.file_name().unwrap());
        std::fs::create_dir(&cgroups).unwrap();
        Self::launch(folder, Some(cgroups), flags)
    }

    /// Starts another daemon in the place of one that died: same folder, same cgroups, new port.
    pub fn again(mut self) -> Self {
        let folder = std::mem::take(&mut self.folder);
        let cgroups = self.cgroups.take();
        drop(self);
        Self::launch(folder, cgroups, &[])
    }

    /// Starts another build of the agent, in a part of the cgroup tree of its own where there is one, and does not
    /// wait until it answers.
    pub fn of(program: &Path) -> Self {
        let folder = scratch();
        let cgroups = cgroup_root().map(|root| root.join(folder.file_name().unwrap()));
        if let Some(cgroups) = &cgroups {
            std::fs::create_dir(cgroups).unwrap();
        }
        Self::spawn(program, folder, cgroups, &[])
    }

    fn launch(folder: PathBuf, cgroups: Option<PathBuf>, flags: &[&str]) -> Self {
        let daemon = Self::spawn(Path::new(env!("CARGO_BIN_EXE_thawd")), folder, cgroups, flags);
        wait_until("the daemon answers", || TcpStream::connect(daemon.address).is_ok());
        daemon
    }

    fn spawn(program: &Path, folder: PathBuf, cgroups: Option<PathBuf>, flags: &[&str]) -> Self {
        let port = free_port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let listen = format!("tcp://{address}");
        let child = Command::new(program)
            .args(["-isnotfc", "--listen", &listen])
            .args(match &cgroups {
                Some(root) => vec!["-cgroup-root".into(), root.display().to_string()],
                None => cgroup_flags(),
            })
            .args(flags)
            .env("THAWD_RUN_DIR", folder.join("run"))
            .env("THAWD_HOOKS_DIR", folder.join("hooks"))
            .env("THAWD_GUEST_ROOT", folder.join("guest"))
            // The machine that runs the tests is not theirs to mend.
            .env("THAWD_SELF_REPAIR", "false")
            .env("THAWD_LOOPBACK_PORTS", "false")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, address, folder, cgroups }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Counts what a request could leak.
    pub fn usage(&self) -> Usage {
        let proc = PathBuf::from(format!("/proc/{}", self.pid()));
        let children = std::fs::read_to_string(proc.join(format!("task/{}/children", self.pid()))).unwrap();
        Usage {
            files: std::fs::read_dir(proc.join("fd")).unwrap().count(),
            children: children.split_whitespace().count(),
        }
    }

    /// Kills it as a crash would, and waits.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as a service manager does, and waits.
    pub fn terminate(&mut self) {
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap()),
            nix::sys::signal::Signal::SIGTERM,
        )
        .unwrap();
        wait_until("the daemon ends", || self.child.try_wait().unwrap().is_some());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the daemon ---\n{}", self.log());
        }
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.terminate();
        }
        if let Some(root) = &self.cgroups {
            remove_cgroups(root);
        }
        if !self.folder.as_os_str().is_empty() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Lets go and kills what is in a part of the cgroup tree, and removes it.
fn remove_cgroups(root: &Path) {
    let _ = std::fs::write(root.join("user/cgroup.freeze"), "0");
    let _ = std::fs::write(root.join("ptys/cgroup.freeze"), "0");
    let _ = std::fs::write(root.join("cgroup.kill"), "1");
    let deadline = Instant::now() + PATIENCE;
    while root.exists() && Instant::now() < deadline {
        remove_below(root);
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn remove_below(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_below(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(folder);
}

/// What a request could leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub files: usize,
    pub children: usize,
}

/// Waits on a condition, with the one deadline of all tests.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Makes an empty folder that everybody may enter.
pub fn scratch() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("thawd-test-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::chown(&folder, None, None).unwrap();
    folder
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The flags that place programs in cgroups where this machine has version 2.
pub fn cgroup_flags() -> Vec<String> {
    match cgroup_root() {
        Some(root) => vec!["-cgroup-root".into(), root.display().to_string()],
        None => vec!["-no-cgroups".into()],
    }
}

/// Where cgroup v2 is mounted and ours to write.
pub fn cgroup_root() -> Option<&'static Path> {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new).into_iter().find(|root| {
        let writable = nix::unistd::access(*root, nix::unistd::AccessFlags::W_OK).is_ok();
        root.join("cgroup.controllers").exists() && writable
    })
}

/// Says whether a process exists and is no zombie.
pub fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}
