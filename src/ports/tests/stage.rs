//! A guest and a client outside of it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, bind, ipproto, listen, socket_with, sockopt};

use tokio::sync::oneshot;

use crate::base::Tasks;
use crate::ports::{Ports, Settings};
use crate::sys::namespace;
use crate::sys::netlink::scratch;

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(10);
/// The agent's own port.
pub(super) const OWN: u16 = 49_983;

/// Stands in the guest; the client is in a network of its own.
pub(super) struct Stage {
    outside: File,
    cgroup: PathBuf,
}

/// Keeps servers reachable until it is dropped.
pub(super) struct Agent {
    _ports: Ports,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            let _ = stop.send(());
            thread.join().unwrap();
        }
    }
}

/// How a server wants its socket.
#[derive(Clone, Copy, Default)]
pub(super) struct Wish {
    pub(super) only_v6: bool,
    pub(super) shared: bool,
    pub(super) multipath: bool,
}

/// Does `work` in a guest of its own, whose addresses are 10.66.0.2 and fd66::2.
pub(super) fn on_stage(work: impl FnOnce(&Stage) + Send) {
    let seat = Seat::take();
    let stage = |cgroup| {
        scratch::up("lo");
        let outside = scratch::network();
        scratch::cable("eth0", "far0", &outside);
        scratch::address("eth0", "10.66.0.2", 24);
        scratch::address("eth0", "fd66::2", 64);
        let far = || {
            scratch::address("far0", "10.66.0.1", 24);
            scratch::address("far0", "fd66::1", 64);
        };
        namespace::within(std::slice::from_ref(&outside), far).unwrap();
        Stage { outside, cgroup }
    };
    let cgroup = seat.0.clone();
    namespace::apart(move || work(&stage(cgroup)));
}

impl Stage {
    /// Attaches the programs, and lets the relay run in a thread of its own.
    pub(super) fn open(&self) -> Agent {
        let settings = Settings { cgroup: self.cgroup.clone() };
        let (ports, relay) = Ports::open(&settings, &[OWN]).unwrap();
        let (stop, stopped) = oneshot::channel();
        let work = async move {
            let tasks = Tasks::default();
            relay.start(&tasks).unwrap();
            stopped.await.unwrap();
            assert_eq!(tasks.drain(PATIENCE).await, 0);
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let thread = std::thread::spawn(move || runtime.block_on(work));
        Agent { _ports: ports, running: Some((stop, thread)) }
    }

    /// Connects from outside.
    pub(super) fn call(&self, to: &str) -> io::Result<TcpStream> {
        let to: SocketAddr = to.parse().unwrap();
        let call = || TcpStream::connect_timeout(&to, PATIENCE);
        namespace::within(std::slice::from_ref(&self.outside), call).unwrap().remove(0)
    }

    /// Connects from outside, and says which of the servers has a connection then that carries bytes; `None` when it
    /// is refused.
    pub(super) fn served_by(&self, to: &str, servers: &[&TcpListener]) -> Option<usize> {
        let mut client = match self.call(to) {
            Ok(client) => client,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return None,
            Err(error) => panic!("{to}: {error}"),
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            for (index, server) in servers.iter().enumerate() {
                if let Ok((mut taken, _)) = server.accept() {
                    taken.set_nonblocking(false).unwrap();
                    taken.set_read_timeout(Some(PATIENCE)).unwrap();
                    client.write_all(b"?").unwrap();
                    let mut byte = [0];
                    taken.read_exact(&mut byte).unwrap();
                    assert_eq!(taken.local_addr().unwrap().port(), to.parse::<SocketAddr>().unwrap().port());
                    return Some(index);
                }
            }
            assert!(Instant::now() < deadline, "{to} accepts, but none of the servers has it");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Says whether this server takes connections to there.
    pub(super) fn reaches(&self, to: &str, server: &TcpListener) -> bool {
        self.served_by(to, &[server]).is_some()
    }

    /// Waits until connections to there are refused: the end of an older server is found out by the first who calls.
    pub(super) fn comes_to_refuse(&self, to: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.refuses(to) {
            assert!(Instant::now() < deadline, "{to} takes connections for nobody");
        }
    }

    /// Says whether connections to there are refused.
    pub(super) fn refuses(&self, to: &str) -> bool {
        self.call(to).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    }
}

/// Begins to listen.
pub(super) fn serve(at: &str) -> TcpListener {
    serve_as(at, Wish::default())
}

/// Begins to listen with a socket of a certain kind.
pub(super) fn serve_as(at: &str, wish: Wish) -> TcpListener {
    let at: SocketAddr = at.parse().unwrap();
    let family = if at.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let protocol: Protocol = if wish.multipath { ipproto::MPTCP } else { ipproto::TCP };
    let socket: OwnedFd = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, Some(protocol)).unwrap();
    sockopt::set_socket_reuseaddr(&socket, true).unwrap();
    sockopt::set_socket_reuseport(&socket, wish.shared).unwrap();
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, wish.only_v6).unwrap();
    }
    bind(&socket, &at).unwrap();
    listen(&socket, 16).unwrap();
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true).unwrap();
    listener
}

/// Raises the bound of open files, as far as it goes.
pub(super) fn many_files() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(8192).max(soft), hard).unwrap();
}

/// A cgroup that tests of this process run in, so that nothing is attached to the machine's root.
struct Seat(PathBuf);

static TAKEN: Mutex<usize> = Mutex::new(0);

impl Seat {
    fn take() -> Self {
        let root = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(PathBuf::from);
        let root = root.into_iter().find(|root| root.join("cgroup.controllers").exists());
        let folder = root.expect("cgroup v2 is needed").join(format!("thawd-ports-{}", std::process::id()));
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        if *taken == 0 {
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("cgroup.procs"), "0").unwrap();
        }
        *taken += 1;
        Self(folder)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        *taken -= 1;
        if *taken == 0 {
            let _ = fs::write(self.0.with_file_name("cgroup.procs"), "0");
            // Threads that are ending still count as being there.
            let deadline = Instant::now() + PATIENCE;
            while fs::remove_dir(&self.0).is_err() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}
