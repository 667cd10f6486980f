//! Syscalls, as strace tells them.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use super::load::median;
use crate::support::{self, PATIENCE};

/// How long nothing may happen before the agent counts as idle again.
const CALM: Duration = Duration::from_millis(100);

/// A tracer of a process, its threads and the children that it starts.
pub struct Trace {
    strace: Child,
    /// Open until strace ends: it writes to it.
    _stderr: BufReader<ChildStderr>,
    folder: PathBuf,
}

/// One syscall.
#[derive(Clone, Debug)]
pub struct Call {
    pub thread: u32,
    /// Name and arguments, as far as strace says them.
    pub text: String,
}

impl Call {
    pub fn name(&self) -> &str {
        self.text.split('(').next().unwrap()
    }
}

impl Trace {
    /// Attaches, and waits until all is quiet: attaching interrupts the call in which a thread waits.
    pub fn attach(pid: u32) -> Self {
        let folder = support::scratch();
        let strace = Command::new("strace")
            .args(["-f", "-s", "64", "-p", &pid.to_string(), "-o"])
            .arg(folder.join("calls"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut strace =
            strace.unwrap_or_else(|error| panic!("strace cannot be run ({error}): apt-get install strace"));
        let mut stderr = BufReader::new(strace.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert!(line.contains("attached"), "strace cannot trace {pid}: {line}");
        let trace = Self { strace, _stderr: stderr, folder };
        trace.settle();
        trace
    }

    /// Waits until the agent does nothing any more.
    pub fn settle(&self) {
        let (mut before, mut since, started) = (self.bytes(), Instant::now(), Instant::now());
        while since.elapsed() < CALM {
            assert!(started.elapsed() < PATIENCE, "the agent does not come to rest");
            std::thread::sleep(Duration::from_millis(5));
            let bytes = self.bytes();
            if bytes != before {
                (before, since) = (bytes, Instant::now());
            }
        }
    }

    fn bytes(&self) -> u64 {
        std::fs::metadata(self.folder.join("calls")).map_or(0, |file| file.len())
    }

    /// What was called since the tracer attached.
    pub fn calls(&self) -> Vec<Call> {
        parse(&String::from_utf8_lossy(&std::fs::read(self.folder.join("calls")).unwrap()))
    }

    /// What was called while `work` ran and until the agent came to rest again.
    pub fn during(&self, work: impl FnOnce()) -> Vec<Call> {
        let before = self.calls().len();
        work();
        self.settle();
        self.calls().split_off(before)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let strace = nix::unistd::Pid::from_raw(self.strace.id().try_into().unwrap());
        // It detaches at this signal; at SIGKILL the traced process could stay stopped.
        let _ = nix::sys::signal::kill(strace, nix::sys::signal::Signal::SIGINT);
        let _ = self.strace.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Reads lines of `strace -f -o`: a call counts where it begins, and signals and ends of threads are no calls. What a
/// child calls after it has become another program is that program's and left out.
fn parse(text: &str) -> Vec<Call> {
    let mut programs = HashSet::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Ok(thread) = thread.parse::<u32>() else { continue };
        let rest = rest.trim_start();
        if rest.starts_with("+++") {
            programs.remove(&thread);
        } else if rest.starts_with("<... execve") || rest.starts_with("execve(") {
            if !programs.contains(&thread) && rest.starts_with("execve(") {
                calls.push(Call { thread, text: rest.to_owned() });
            }
            if rest.trim_end().ends_with("= 0") {
                programs.insert(thread);
            }
        } else if !programs.contains(&thread) && !rest.starts_with("<...") && !rest.starts_with("---") {
            calls.push(Call { thread, text: rest.to_owned() });
        }
    }
    calls
}

/// The syscalls of each request: from the one that read `marker` to the next that did. The first and the last request
/// are left out: theirs may be incomplete.
pub fn per_request<'a>(calls: &'a [Call], marker: &str) -> Vec<&'a [Call]> {
    let starts: Vec<_> = (0..calls.len()).filter(|index| calls[*index].text.contains(marker)).collect();
    starts.windows(2).skip(1).map(|pair| &calls[pair[0]..pair[1]]).collect()
}

/// How many syscalls a request takes, in the middle of many; and which they are.
pub fn typical(requests: &[&[Call]]) -> (usize, String) {
    assert!(!requests.is_empty(), "no request was seen");
    let count = median(requests.iter().map(|calls| calls.len()));
    let calls = requests.iter().find(|calls| calls.len() == count).unwrap();
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for call in *calls {
        *names.entry(call.name()).or_default() += 1;
    }
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    (count, names.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", "))
}
