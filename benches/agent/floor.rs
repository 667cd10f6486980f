//! The least that a thing can cost on this machine, measured in the same run: what the kernel and the client take.

use std::convert::Infallible;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use nix::sys::resource::{UsageWho, getrusage};

use crate::measure::bulk::{BLOCK_BYTES, block};
use crate::measure::counters::own_cpu;
use crate::measure::load::{median, timed};

/// The program that the floor of a Start runs; the agent finds it by name.
pub const TRUE: &str = "/usr/bin/true";

/// Buffer of what reads and writes in bulk.
const BUFFER_BYTES: usize = 256 * 1024;

/// What a thing took.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub wall: Duration,
    /// CPU time of the thread that did it.
    pub cpu: Duration,
}

fn cost(work: impl FnOnce()) -> Cost {
    let (cpu, started) = (own_cpu(), Instant::now());
    work();
    Cost { wall: started.elapsed(), cpu: own_cpu() - cpu }
}

/// What starting and awaiting a program takes from a bare loop of `posix_spawn(3)`, which is what the standard library
/// does here: the middle time, how many a second, and CPU microseconds of parent and child.
pub struct Spawning {
    pub p50: Duration,
    pub per_second: f64,
    pub parent: f64,
    pub child: f64,
}

pub fn spawning(threads: usize, each: usize) -> Spawning {
    let start = || assert!(Command::new(TRUE).env_clear().stdin(Stdio::null()).status().unwrap().success());
    let gate = Barrier::new(threads + 1);
    let children = || {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
        let time = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e6 + time.tv_usec() as f64;
        time(usage.user_time()) + time(usage.system_time())
    };
    let before = children();
    let (times, parent, wall) = std::thread::scope(|scope| {
        let work = || {
            gate.wait();
            let cpu = own_cpu();
            let times: Vec<_> = (0..each).map(|_| timed(start)).collect();
            (times, own_cpu() - cpu)
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        gate.wait();
        let started = Instant::now();
        let all: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let wall = started.elapsed();
        let parent: Duration = all.iter().map(|(_, cpu)| *cpu).sum();
        (all.into_iter().flat_map(|(times, _)| times).collect::<Vec<_>>(), parent, wall)
    });
    let count = times.len() as f64;
    Spawning {
        p50: median(times),
        per_second: count / wall.as_secs_f64(),
        parent: parent.as_secs_f64() * 1e6 / count,
        child: (children() - before) / count,
    }
}

/// Reads what a program writes through a plain pipe.
pub fn pipe(program: &[&str]) -> Cost {
    let mut child = Command::new(program[0]).args(&program[1..]).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut buffer = vec![0; BUFFER_BYTES];
    let cost = cost(|| while stdout.read(&mut buffer).unwrap() > 0 {});
    child.wait().unwrap();
    cost
}

/// Receives a file over loopback and writes it: plain read(2) and write(2).
pub fn receive(path: &str, blocks: usize) -> Cost {
    let (mut sender, mut receiver) = pair();
    let mut file = File::create(path).unwrap();
    let sending = std::thread::spawn(move || {
        let block = block();
        (0..blocks).for_each(|_| sender.write_all(&block).unwrap());
    });
    let mut buffer = vec![0; BUFFER_BYTES];
    let cost = cost(|| {
        for_each_read(&mut receiver, &mut buffer, |bytes| file.write_all(bytes).unwrap());
    });
    sending.join().unwrap();
    assert_eq!(file.metadata().unwrap().len(), (blocks * BLOCK_BYTES) as u64);
    cost
}

/// Sends a file over loopback with sendfile(2).
pub fn sendfile(path: &str) -> Cost {
    let (sender, mut receiver) = pair();
    let file = File::open(path).unwrap();
    let length = file.metadata().unwrap().len();
    let reading = std::thread::spawn(move || {
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut bytes = 0;
        for_each_read(&mut receiver, &mut buffer, |read| bytes += read.len() as u64);
        bytes
    });
    let cost = cost(|| {
        let mut sent = 0;
        while sent < length {
            sent += rustix::fs::sendfile(&sender, &file, None, usize::try_from(length - sent).unwrap()).unwrap() as u64;
        }
    });
    drop(sender);
    assert_eq!(reading.join().unwrap(), length);
    cost
}

fn for_each_read(stream: &mut TcpStream, buffer: &mut [u8], mut each: impl FnMut(&[u8])) {
    loop {
        let length = stream.read(buffer).unwrap();
        if length == 0 {
            break;
        }
        each(&buffer[..length]);
    }
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (sender, listener.accept().unwrap().0)
}

/// A process that answers every request with 204, made of nothing but the HTTP library on one thread.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

/// The flag by which this program starts itself as that process.
pub const SERVE: &str = "--floor-server";

impl Server {
    pub fn start() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], crate::support::free_port()));
        let program = std::env::current_exe().unwrap();
        let child = Command::new(program).args([SERVE, &address.to_string()]).spawn().unwrap();
        crate::support::wait_until("the bare server answers", || TcpStream::connect(address).is_ok());
        Self { child, address }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until it is killed.
pub fn serve(address: SocketAddr) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let answer = hyper::service::service_fn(|_: Request<hyper::body::Incoming>| async {
                let mut response = Response::new(Empty::<Bytes>::new());
                *response.status_mut() = StatusCode::NO_CONTENT;
                Ok::<_, Infallible>(response)
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
}
