//! A server, a client that sees every byte, a directory for each test.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use thawd::fs::{Access, Files};
use thawd::http::files::{Shared, router};
use thawd::identity::{Accounts, Defaults, Gate, Secret};

/// Longest time that anything here may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Serves the routes on loopback for the rest of the test run.
#[derive(Clone, Copy)]
pub(crate) struct Server(pub(crate) SocketAddr);

impl Server {
    pub(crate) fn open() -> Self {
        Self::start(Access::Root, None)
    }

    pub(crate) fn start(access: Access, token: Option<&str>) -> Self {
        let accounts = Arc::new(Accounts::default());
        let shared = Shared {
            files: Files::new(access, Arc::clone(&accounts)),
            accounts,
            defaults: Arc::new(Defaults::default()),
            gate: Arc::new(Gate::new(token.map(|token| Secret::new(token.to_owned())))),
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || serve(listener, shared));
        Self(address)
    }

    /// Sends one request and reads the whole answer.
    pub(crate) fn ask(self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let length = body.len().to_string();
        let mut all = vec![("Content-Length", length.as_str())];
        all.extend_from_slice(headers);
        let mut stream = self.open_request(method, target, &all);
        let _ = stream.write_all(body);
        Answer::read(stream, method)
    }

    pub(crate) fn get(self, path: &Path, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", &format!("/files?path={}", escape(path)), headers, b"")
    }

    pub(crate) fn put(self, path: &Path, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut all = vec![("Content-Type", "application/octet-stream")];
        all.extend_from_slice(headers);
        self.ask("POST", &format!("/files?path={}", escape(path)), &all, body)
    }

    /// Sends the head of a request and leaves the body to the test.
    pub(crate) fn open_request(self, method: &str, target: &str, headers: &[(&str, &str)]) -> TcpStream {
        let mut stream = TcpStream::connect(self.0).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    /// Begins a raw upload whose body the test cuts off.
    pub(crate) fn begin(self, path: &Path, headers: &[(&str, &str)]) -> TcpStream {
        let mut all = vec![("Content-Type", "application/octet-stream")];
        all.extend_from_slice(headers);
        self.open_request("POST", &format!("/files?path={}", escape(path)), &all)
    }
}

fn serve(listener: std::net::TcpListener, shared: Shared) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let service = TowerToHyperService::new(router(shared));
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let service = service.clone();
            tokio::spawn(async move {
                let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}

/// Holds an answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// Whether the body came to its announced end.
    pub(crate) whole: bool,
    /// Sizes of the HTTP chunks, if there were any.
    pub(crate) chunks: Vec<usize>,
}

impl Answer {
    /// Reads until the server ends the connection.
    pub(crate) fn read(mut stream: TcpStream, method: &str) -> Self {
        let mut bytes = Vec::new();
        let ended = stream.read_to_end(&mut bytes);
        assert!(ended.is_ok() || !bytes.is_empty(), "no answer: {ended:?}");
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap()[9..12].parse().unwrap();
        let pairs = lines.map(|line| line.split_once(':').unwrap());
        let headers: BTreeMap<_, _> =
            pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        let raw = &bytes[end + 4..];
        let (body, whole, chunks) = if headers.contains_key("transfer-encoding") {
            unchunk(raw)
        } else {
            let length = headers.get("content-length").and_then(|length| length.parse().ok());
            (raw.to_vec(), method == "HEAD" || length.is_none_or(|length: usize| length == raw.len()), Vec::new())
        };
        Self { status, headers, body, whole, chunks }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Checks status and the shape of an error, and gives its message.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/json; charset=utf-8");
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(json["code"], status);
        json["message"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.text());
        self
    }
}

/// Ends our side in the middle of a request, and waits until the server has given up; it may still answer.
#[track_caller]
pub(crate) fn cut_off(mut stream: TcpStream) {
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
}

fn unchunk(mut raw: &[u8]) -> (Vec<u8>, bool, Vec<usize>) {
    let (mut body, mut sizes) = (Vec::new(), Vec::new());
    while let Some(end) = raw.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&raw[..end]).unwrap().trim(), 16).unwrap();
        raw = &raw[end + 2..];
        if size == 0 {
            return (body, true, sizes);
        }
        if raw.len() < size + 2 {
            break;
        }
        sizes.push(size);
        body.extend_from_slice(&raw[..size]);
        raw = &raw[size + 2..];
    }
    (body, false, sizes)
}

pub(crate) fn escape(path: &Path) -> String {
    form_urlencoded::byte_serialize(path.to_str().unwrap().as_bytes()).collect()
}

/// Owns a directory, and a file system on it if asked; both go with the test.
pub(crate) struct Scratch {
    path: PathBuf,
    mounted: bool,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("thawd-files-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self { path, mounted: false }
    }

    /// Mounts a tmpfs with these options.
    pub(crate) fn tmpfs(options: &str) -> Self {
        let mut scratch = Self::new();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(&scratch.path));
        scratch.mounted = true;
        scratch
    }

    /// Mounts a fresh ext4 of this many MiB; a directory in it leaves the mount's root to the agent.
    pub(crate) fn ext4(size: u64, extra: &[&str]) -> Self {
        let mut scratch = Self::new();
        let image = scratch.path.with_extension("img");
        std::fs::File::create(&image).unwrap().set_len(size << 20).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-m", "0", "-O", "^has_journal"]).args(extra).arg(&image));
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&scratch.path));
        std::fs::remove_file(&image).unwrap();
        scratch.mounted = true;
        scratch
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Lists all names below, with folders.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut left = vec![self.path.clone()];
        while let Some(dir) = left.pop() {
            for entry in std::fs::read_dir(dir).unwrap().flatten() {
                if entry.file_type().unwrap().is_dir() {
                    left.push(entry.path());
                }
                names.push(entry.path().strip_prefix(&self.path).unwrap().to_str().unwrap().to_owned());
            }
        }
        names.retain(|name| name != "lost+found");
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg("-l").arg(&self.path).status();
        }
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Waits for a condition.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + DEADLINE;
    while !holds() {
        assert!(std::time::Instant::now() < end, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

/// Makes bytes that do not compress and differ everywhere.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}
