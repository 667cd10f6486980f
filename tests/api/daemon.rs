//! The program itself: flags, facts, faces.

use std::process::Command;

use crate::support::Daemon;
use crate::support::http::{Connection, get, request};

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_thawd")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn versions_are_printed_and_the_program_ends() {
    for flag in ["-version", "--version", "-version=true"] {
        assert_eq!(run(&[flag]), (Some(0), "0.6.13\n".into(), String::new()));
    }
    let (code, product, _) = run(&["--product-version"]);
    assert_eq!(code, Some(0));
    assert!(product.starts_with("thawd 0."), "{product}");
    assert_eq!(run(&["-commit"]).0, Some(0));
}

#[test]
fn help_says_what_every_flag_is_for() {
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    for flag in ["--port", "--isnotfc", "--cgroup-root", "--no-cgroups", "--listen", "--file-access", "THAWD_PORT"] {
        assert!(help.contains(flag), "{flag} is missing in\n{help}");
    }
}

#[test]
fn wrong_usage_and_a_taken_port_are_said_in_one_line() {
    let (code, _, error) = run(&["-nonsense"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("nonsense"), "{error}");
    let daemon = Daemon::start();
    let (code, _, error) = run(&["--listen", &format!("tcp://{}", daemon.address)]);
    assert_eq!(code, Some(1));
    assert!(error.contains("cannot listen at tcp://") && error.contains("in use"), "{error}");
}

#[test]
fn facts_have_the_shape_that_hosts_read() {
    let daemon = Daemon::start();
    let health = get(daemon.address, "/health");
    assert_eq!((health.status, health.header("cache-control")), (204, "no-store"));
    let metrics = get(daemon.address, "/metrics");
    assert_eq!((metrics.status, metrics.header("content-type")), (200, "application/json"));
    let metrics = metrics.json();
    for field in [
        "ts",
        "cpu_count",
        "mem_total_mib",
        "mem_used_mib",
        "mem_total",
        "mem_used",
        "mem_cache",
        "disk_used",
        "disk_total",
    ] {
        assert!(metrics[field].as_u64().is_some_and(|value| value > 0), "{field}: {metrics}");
    }
    assert!(metrics["cpu_used_pct"].as_f64().is_some_and(|value| (0.0..=100.0).contains(&value)));
    assert_eq!(get(daemon.address, "/envs").json()["E2B_SANDBOX"], "false");
}

#[test]
fn unknown_paths_and_wrong_verbs_are_answered_as_clients_expect() {
    let daemon = Daemon::start();
    let unknown = get(daemon.address, "/nope");
    assert_eq!((unknown.status, unknown.text().as_str()), (404, "404 page not found\n"));
    for (method, path, status, allow) in [
        ("POST", "/health", 405, "GET,HEAD"),
        ("GET", "/init", 405, "POST"),
        ("GET", "/process.Process/List", 405, "POST"),
        ("POST", "/process.Process/Nope", 404, ""),
        ("DELETE", "/process.Process/List", 405, "POST"),
    ] {
        let answer = request(daemon.address, method, path, &[("content-type", "application/json")], b"{}");
        assert_eq!((answer.status, answer.header("allow")), (status, allow), "{method} {path}");
    }
    let answer = request(daemon.address, "POST", "/process.Process/List", &[("content-type", "text/plain")], b"");
    assert_eq!(answer.status, 415);
    assert!(answer.header("accept-post").contains("application/json"));
}

#[test]
fn browsers_of_any_origin_may_ask() {
    let daemon = Daemon::start();
    let preflight = request(
        daemon.address,
        "OPTIONS",
        "/files",
        &[
            ("origin", "https://a.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "x-access-token, content-type"),
        ],
        b"",
    );
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, "*"));
    assert_eq!(preflight.header("access-control-allow-headers"), "x-access-token, content-type");
    assert_eq!(preflight.header("access-control-max-age"), "7200");
    let crossing = request(daemon.address, "GET", "/health", &[("origin", "https://a.example")], b"");
    assert_eq!(crossing.header("access-control-allow-origin"), "*");
    assert!(crossing.header("access-control-expose-headers").contains("Grpc-Status"));
    let plain = get(daemon.address, "/health");
    assert_eq!((plain.header("access-control-allow-origin"), plain.header("vary")), ("", "origin"));
}

#[test]
fn a_connection_is_kept_alive_and_small_answers_do_not_wait() {
    let daemon = Daemon::start();
    let mut connection = Connection::open(daemon.address);
    let started = std::time::Instant::now();
    for _ in 0..200 {
        connection.request("GET", "/health", &[], b"");
        assert_eq!(connection.answer().unwrap().status, 204);
    }
    // With Nagle's algorithm each of them would wait 40 ms for an acknowledgement.
    assert!(started.elapsed() < std::time::Duration::from_secs(4), "{:?}", started.elapsed());
}

#[test]
fn logs_that_nobody_reads_stop_no_request() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let mut child = Command::new(env!("CARGO_BIN_EXE_thawd"))
        .args([
            "-isnotfc",
            "-no-cgroups",
            "-verbose",
            "--listen",
            &format!("tcp://{address}"),
            "--default-user",
            "gone",
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    crate::support::wait_until("it answers", || std::net::TcpStream::connect(address).is_ok());
    // Each of these is worth a line.
    let init = br#"{"hyperloopIP":"nowhere"}"#;
    for _ in 0..2000 {
        assert_eq!(request(address, "POST", "/init", &[], init).status, 204);
    }
    assert_eq!(get(address, "/health").status, 204);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn signals_that_nohup_or_a_shell_ignores_stay_ignored_here_and_are_default_for_programs() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let script = format!(
        "trap '' HUP INT QUIT; exec {} -isnotfc -no-cgroups --listen tcp://{address}",
        env!("CARGO_BIN_EXE_thawd")
    );
    let mut child = Command::new("sh").args(["-c", &script]).spawn().unwrap();
    crate::support::wait_until("it answers", || std::net::TcpStream::connect(address).is_ok());
    let ignored = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("SigIgn:")).unwrap();
        u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap() & 0x7fff_ffff
    };
    let own = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    assert_eq!(ignored(&own) & 1, 1, "SIGHUP is still ignored by the daemon");
    let program = crate::support::connect::run(address, "cat /proc/self/status");
    assert_eq!(ignored(&program.text()), 0);
    child.kill().unwrap();
    child.wait().unwrap();
}
