//! `icebox serve` as a program.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Folder, text};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running `icebox serve`; killed with its test.
struct Served {
    child: Child,
    exports: Vec<String>,
}

fn command(data: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_icebox"));
    command.args(["serve", "--flavour", "scratch", "--memory", "128", "--data"]).arg(data).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

impl Served {
    fn start(data: &Path, more: &[&str]) -> Self {
        let mut child = command(data, more).spawn().unwrap();
        let mut exports = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            match line.unwrap() {
                ready if ready == "ready" => return Self { child, exports },
                line => exports.push(line),
            }
        }
        panic!("it ended with {:?} after {exports:?}", child.wait());
    }

    fn export(&self, name: &str) -> &str {
        let found = self.exports.iter().find_map(|line| line.strip_prefix(&format!("export {name}=")));
        found.unwrap_or_else(|| panic!("no {name} in {:?}", self.exports))
    }

    /// Asks over a connection of its own; gives the status, the head and the body.
    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
        let address = self.export("E2B_API_URL").strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
        stream.write_all((head + body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.into())
    }

    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &Value, expected: u16) -> Value {
        let headers = format!("host: localhost\r\nx-api-key: {}\r\n", self.export("E2B_API_KEY"));
        let (status, _, answer) = self.ask(method, path, &headers, &body.to_string());
        assert_eq!(status, expected, "{method} {path}: {answer}");
        serde_json::from_str(&answer).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processes that name the folder on their command line: QEMUs.
fn qemus(data: &Path) -> usize {
    let data = data.to_str().unwrap().as_bytes();
    let names = |pid: &Path| {
        let line = std::fs::read(pid.join("cmdline")).unwrap_or_default();
        line.starts_with(b"qemu") && line.windows(data.len()).any(|part| part == data)
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| names(&entry.path())).count()
}

#[test]
fn what_is_printed_leads_sdks_here_and_a_signal_leaves_nothing_running() {
    let folder = Folder::new();
    let served = Served::start(folder.path(), &[]);
    for family in ["E2B", "NOVITA"] {
        for (name, start) in
            [("API_URL", "http://127.0.0.1:"), ("SANDBOX_URL", "http://127.0.0.1:"), ("API_KEY", "e2b_")]
        {
            assert!(served.export(&format!("{family}_{name}")).starts_with(start));
        }
    }
    assert_eq!(served.ask("GET", "/health", "", "").0, 204);
    assert_eq!(served.ask("GET", "/sandboxes", "", "").0, 401);

    let make = json!({"templateID": "base", "autoPause": true, "metadata": {"<b>": "<script>alert(1)</script>"}});
    let made = served.call("POST", "/v2/sandboxes", &make, 201);
    let id = text(&made, "sandboxID");
    let token = text(&made, "envdAccessToken");
    let asleep = text(&served.call("POST", "/sandboxes", &json!({"templateID": "base"}), 201), "sandboxID");
    served.call("POST", &format!("/sandboxes/{asleep}/pause"), &json!({}), 204);
    let (status, head, page) = served.ask("GET", "/", "host: localhost\r\n", "");
    assert!(status == 200 && head.contains("content-security-policy: default-src 'none'"), "{head}");
    assert!(page.contains(&id) && page.contains("&lt;script&gt;alert(1)") && !page.contains("<script>alert"), "{page}");
    assert!(!page.contains(&token));
    assert_eq!(served.ask("GET", "/", "host: evil.example\r\n", "").0, 403);
    assert_eq!(served.ask("GET", "/sandboxes", "host: evil.example\r\nx-api-key: k\r\n", "").0, 403);

    // The news end with icebox, and do not hold it up.
    let address = served.export("E2B_API_URL").strip_prefix("http://").unwrap().to_owned();
    let mut news = TcpStream::connect(address).unwrap();
    news.write_all(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut news = BufReader::new(news).lines();
    assert!(news.any(|line| line.unwrap().contains(&id)), "the page is told");

    served.signal(Signal::TERM);
    assert!(served.end().success());
    assert_eq!(news.map_while(Result::ok).filter(|line| line.contains("HTTP/1.1")).count(), 0);
    assert_eq!(qemus(folder.path()), 0);

    let served = Served::start(folder.path(), &["--api-key", "e2b_1"]);
    assert_eq!(served.export("E2B_API_KEY"), "e2b_1");
    assert_eq!(served.ask("GET", "/sandboxes", "x-api-key: e2b_2\r\n", "").0, 401);
    assert_eq!(served.call("GET", &format!("/sandboxes/{asleep}"), &json!({}), 200)["state"], "paused");
    served.call("POST", &format!("/sandboxes/{asleep}/connect"), &json!({}), 201);
    // What ran goes on by itself.
    served.call("POST", &format!("/sandboxes/{id}/connect"), &json!({}), 200);
    served.call("DELETE", &format!("/sandboxes/{id}"), &json!({}), 204);
    served.signal(Signal::INT);
    assert!(served.end().success());
}

#[test]
fn a_second_icebox_on_the_same_folder_is_refused() {
    let folder = Folder::new();
    let served = Served::start(folder.path(), &[]);
    let second = command(folder.path(), &[]).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success() && second.stdout.is_empty());
    assert!(said.contains(&format!("in use by another icebox, process {}", served.child.id())), "{said}");
    let taken = served.export("E2B_API_URL").rsplit(':').next().unwrap().to_owned();
    let other = folder.path().join("other");
    let second = command(&other, &["--api", &taken]).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success() && said.contains(&format!("listening at 127.0.0.1:{taken}: ")), "{said}");
    served.signal(Signal::TERM);
    assert!(served.end().success());
}
