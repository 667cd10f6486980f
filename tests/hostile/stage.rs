//! The daemon that the rows are played to, and what must not change on it.

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::build::TAG;
use crate::identity::TOKEN;
use crate::outcome::exchange;
use crate::row::{Deed, Row, Starts};
use crate::support::connect::{Program, Stream, call_with};
use crate::support::http::{self, Connection};
use crate::support::{Daemon, Usage, is_alive};

/// How soon `/health` must answer, on a machine that does other things too.
const HEALTH: Duration = Duration::from_secs(2);
/// How soon everything a row used must be free: the daemon reads on for 2 s after some refusals.
const SETTLED: Duration = Duration::from_secs(10);
/// Memory that the whole table may cost, in KiB.
const GROWTH: u64 = 20 * 1024;
/// Threads that a daemon may ever have: one, and its bounded pool.
const THREADS: u64 = 64;
/// Size of the file that is too large for the buffers of a connection.
pub(crate) const BIG: u64 = 32 << 20;

/// The places and programs that rows refer to.
pub(crate) struct Stage {
    daemon: Option<Daemon>,
    workdir: PathBuf,
    pub(crate) address: SocketAddr,
    /// Has `file`, `old`, `big`, `dir/`, `full/child/`, `work/`, `fifo`, `loop` and `broken`.
    pub(crate) folder: PathBuf,
    /// A program that reads a pipe.
    pub(crate) pipes: u32,
    /// A program on a terminal.
    pub(crate) terminal: u32,
    /// A program without stdin.
    pub(crate) closed: u32,
    /// A program that has ended.
    pub(crate) ended: u32,
}

impl Stage {
    /// A stage without a daemon, to count the rows.
    pub(crate) fn nowhere() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        Self {
            daemon: None,
            workdir: PathBuf::new(),
            address,
            folder: "/nowhere".into(),
            pipes: 2,
            terminal: 3,
            closed: 4,
            ended: 5,
        }
    }

    pub(crate) fn open(flags: &[&str]) -> Self {
        let workdir = std::env::temp_dir().join(format!("thawd-hostile-{}-{}", std::process::id(), flags.len()));
        let workdir_flag = ["--default-workdir", workdir.to_str().unwrap()];
        let daemon = Daemon::with(&[&workdir_flag[..], flags].concat());
        let folder = daemon.folder.join("stage");
        furnish(&folder);
        // Requests with an empty path land here, whatever they do.
        symlink(folder.join("work"), &workdir).unwrap();
        let mut stage = Self::nowhere();
        (stage.address, stage.folder, stage.workdir) = (daemon.address, folder, workdir);
        stage.daemon = Some(daemon);
        stage.pipes = stage.run(&json!({"process": {"cmd": "sleep", "args": ["3000"]}, "stdin": true}));
        stage.closed = stage.run(&json!({"process": {"cmd": "sleep", "args": ["3000"]}, "stdin": false}));
        let pty = json!({"size": {"cols": 80, "rows": 24}});
        stage.terminal = stage.run(&json!({"process": {"cmd": "sleep", "args": ["3000"]}, "pty": pty}));
        let mut ended = stage.start(&json!({"process": {"cmd": "true"}}));
        ended.finish();
        stage.ended = ended.pid;
        stage
    }

    fn start(&self, message: &serde_json::Value) -> Program {
        Program::start(self.address, &[("x-access-token", TOKEN)], message)
    }

    fn run(&self, message: &serde_json::Value) -> u32 {
        self.start(message).pid
    }

    pub(crate) fn call(&self, method: &str, message: &serde_json::Value) -> http::Answer {
        call_with(self.address, method, &[("x-access-token", TOKEN)], message)
    }

    pub(crate) fn stream(&self, method: &str, message: &serde_json::Value) -> Stream {
        Stream::open(self.address, method, &[("x-access-token", TOKEN)], message)
    }

    /// The path of something in the folder.
    pub(crate) fn at(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    /// Plays all rows and says which were answered wrongly or left something behind.
    pub(crate) fn play(&mut self, rows: Vec<Row>) {
        let before = self.settled();
        let (memory, pid) = (self.status("VmRSS"), self.daemon().pid());
        let mut failures = Vec::new();
        let count = rows.len();
        for row in rows {
            let failed = catch_unwind(AssertUnwindSafe(|| self.perform(&row))).err().map(reason);
            let unclean = catch_unwind(AssertUnwindSafe(|| self.inspect(&row, &before))).err().map(reason);
            failures.extend(failed.map(|why| format!("{}: {why}", row.name)));
            failures.extend(unclean.map(|why| format!("{}: afterwards: {why}", row.name)));
            assert!(is_alive(pid), "{} ended the daemon\n{}", row.name, failures.join("\n"));
        }
        let growth = self.status("VmRSS").saturating_sub(memory);
        println!("{count} rows, {growth} KiB more than {memory} KiB");
        assert!(failures.is_empty(), "{} of {count} rows failed:\n{}", failures.len(), failures.join("\n"));
        assert!(growth < GROWTH, "the daemon has grown by {growth} KiB");
        let log = self.daemon().log();
        assert!(!log.contains("panic"), "{log}");
    }

    fn perform(&self, row: &Row) {
        match &row.deed {
            Deed::Act(act) => act(self),
            Deed::Send(bytes, leave) => exchange(&mut Connection::open(self.address), row, bytes, *leave),
        }
    }

    /// Checks that the daemon is as it was before the row.
    fn inspect(&self, row: &Row, before: &Traces) {
        let asked = Instant::now();
        assert_eq!(http::get(self.address, "/health").status, 204);
        assert!(asked.elapsed() < HEALTH, "/health took {:?}", asked.elapsed());
        if row.starts == Starts::Yes {
            assert!(self.sweep() > 0, "the program did not outlive its client");
        }
        for path in &row.makes {
            assert!(path.exists(), "{} was not made", path.display());
            remove(path);
        }
        let deadline = Instant::now() + SETTLED;
        loop {
            if row.starts == Starts::Perhaps {
                self.sweep();
            }
            let now = self.traces();
            if now == *before {
                break;
            }
            assert!(Instant::now() < deadline, "left behind: {}", before.difference(&now));
            std::thread::sleep(Duration::from_millis(2));
        }
        let threads = self.status("Threads");
        assert!(threads <= THREADS, "{threads} threads");
    }

    /// Kills the programs that rows have started, and counts them.
    fn sweep(&self) -> usize {
        let list = self.call("process.Process/List", &json!({})).json();
        let mine = |process: &&serde_json::Value| process["tag"] == TAG;
        let programs = list["processes"].as_array().into_iter().flatten().filter(mine);
        programs
            .map(|process| {
                let kill = json!({"process": {"pid": process["pid"]}, "signal": "SIGNAL_SIGKILL"});
                self.call("process.Process/SendSignal", &kill);
            })
            .count()
    }

    /// Waits until two looks show the same: the connections of the preparations are closed.
    fn settled(&self) -> Traces {
        let deadline = Instant::now() + SETTLED;
        loop {
            let first = self.traces();
            std::thread::sleep(Duration::from_millis(200));
            if first == self.traces() {
                return first;
            }
            assert!(Instant::now() < deadline, "the daemon does not come to rest");
        }
    }

    fn traces(&self) -> Traces {
        let mut files = Vec::new();
        list(&self.folder, &mut files);
        Traces { usage: self.daemon().usage(), files }
    }

    /// A number of `/proc/PID/status`.
    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.daemon().pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.workdir);
    }
}

/// What a request could leave behind.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    usage: Usage,
    /// Names, sizes and beginnings.
    files: Vec<(PathBuf, u64, Vec<u8>)>,
}

impl Traces {
    fn difference(&self, now: &Self) -> String {
        let only = |these: &Self, those: &Self| -> Vec<_> {
            these.files.iter().filter(|file| !those.files.contains(file)).map(|file| file.0.clone()).collect()
        };
        let files = (only(self, now), only(now, self));
        format!("{:?} became {:?}; files gone and new {files:?}", self.usage, now.usage)
    }
}

fn list(folder: &Path, found: &mut Vec<(PathBuf, u64, Vec<u8>)>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect();
    entries.sort_unstable();
    for path in entries {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let small = meta.is_file() && meta.len() < 1024;
        let content = if small { std::fs::read(&path).unwrap() } else { Vec::new() };
        found.push((path.clone(), if meta.is_dir() { 0 } else { meta.len() }, content));
        if meta.is_dir() {
            list(&path, found);
        }
    }
}

fn furnish(folder: &Path) {
    for dir in ["dir", "full/child", "work"] {
        std::fs::create_dir_all(folder.join(dir)).unwrap();
    }
    for (file, text) in [("file", "some text"), ("old", "as it was"), ("dir/a", "a")] {
        std::fs::write(folder.join(file), text).unwrap();
    }
    std::fs::File::create(folder.join("big")).unwrap().set_len(BIG).unwrap();
    symlink("loop", folder.join("loop")).unwrap();
    symlink("nowhere", folder.join("broken")).unwrap();
    nix::unistd::mkfifo(&folder.join("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
}

fn remove(path: &Path) {
    if path.is_dir() {
        std::fs::remove_dir_all(path).unwrap();
    } else {
        std::fs::remove_file(path).unwrap();
    }
}

fn reason(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
