//! As whom, where and with what programs start.

use serde_json::{Value, json};

use crate::support::Daemon;
use crate::support::connect::{Program, Stream, call, run, shell};
use crate::support::http::request;

fn start(daemon: &Daemon, headers: &[(&str, &str)], message: &Value) -> Result<Program, String> {
    let mut stream = Stream::open(daemon.address, "process.Process/Start", headers, message);
    match stream.next() {
        Some(first) => {
            let mut program = Program {
                pid: first["event"]["start"]["pid"].as_u64().unwrap().try_into().unwrap(),
                stream,
                stdout: Vec::new(),
                stderr: Vec::new(),
                pty: Vec::new(),
                keepalives: 0,
                end: None,
            };
            program.finish();
            Ok(program)
        }
        None => Err(stream.end.unwrap()["error"].to_string()),
    }
}

fn basic(user: &str) -> String {
    format!("Basic {}", base64_simd::STANDARD.encode_to_string(format!("{user}:")))
}

#[test]
fn a_command_that_is_not_there_starts_says_so_and_ends_with_127() {
    let daemon = Daemon::start();
    for (command, code, why) in [
        ("no-such-command", 127, "No such file or directory"),
        ("/no/such/file", 127, "No such file or directory"),
        ("", 127, "No such file or directory"),
        ("/etc/passwd", 126, "Permission denied"),
        ("/etc", 126, "Permission denied"),
    ] {
        let mut program = start(&daemon, &[], &json!({"process": {"cmd": command}})).unwrap();
        assert_eq!(program.exit_code(), code, "{command}");
        let stderr = String::from_utf8_lossy(&program.stderr).into_owned();
        assert!(stderr.contains(why) && stderr.contains(command), "{stderr}");
    }
    let pty = json!({"process": {"cmd": "no-such-command"}, "pty": {"size": {"cols": 80, "rows": 24}}});
    let mut program = start(&daemon, &[], &pty).unwrap();
    assert_eq!(program.exit_code(), 127);
    assert!(String::from_utf8_lossy(&program.pty).contains("No such file"));
}

#[test]
fn a_script_without_an_interpreter_line_is_run_by_the_shell() {
    let daemon = Daemon::start();
    let script = daemon.folder.join("script");
    std::fs::write(&script, "echo from $0 with $1\n").unwrap();
    std::os::unix::fs::chown(&script, Some(0), Some(0)).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).unwrap();
    let program = start(&daemon, &[], &json!({"process": {"cmd": script, "args": ["x"]}})).unwrap();
    assert_eq!(program.text(), format!("from {} with x\n", script.display()));
}

#[test]
fn the_reported_pid_is_the_programs_own_and_leads_a_session() {
    let daemon = Daemon::start();
    let program = run(daemon.address, "echo $$; cut -d' ' -f5,6 /proc/$$/stat");
    assert_eq!(program.text(), format!("{0}\n{0} {0}\n", program.pid));
}

#[test]
fn an_argument_list_that_is_too_long_is_refused_at_once() {
    let daemon = Daemon::start();
    let message = |length| json!({"process": {"cmd": "true", "args": ["x".repeat(length)]}});
    assert!(start(&daemon, &[], &message(100_000)).is_ok());
    let error = start(&daemon, &[], &message(200_000)).unwrap_err();
    assert!(error.contains("invalid_argument") && error.contains("too long"), "{error}");
}

#[test]
fn the_environment_is_exactly_what_the_contract_says() {
    let daemon = Daemon::start();
    let init = json!({"envVars": {"GUEST": "1", "BOTH": "guest", "E2B_SANDBOX": "lie"}}).to_string();
    assert_eq!(request(daemon.address, "POST", "/init", &[], init.as_bytes()).status, 204);
    let envs = json!({"BOTH": "own", "HOME": "/tmp"});
    let program = start(&daemon, &[], &json!({"process": {"cmd": "env", "envs": envs}})).unwrap();
    let text = program.text();
    let mut lines: Vec<_> = text.lines().filter(|line| !line.starts_with("PATH=")).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["BOTH=own", "E2B_SANDBOX=false", "GUEST=1", "HOME=/tmp", "LOGNAME=root", "USER=root"]);
}

#[test]
fn a_user_is_entered_with_all_groups_and_nothing_of_ours() {
    let daemon = Daemon::start();
    let headers = [("authorization", basic("nobody"))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let script = "id -u; id -g; id -G; umask; cat /proc/self/oom_score_adj; nice; \
                  grep -E 'Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd | wc -l";
    let mut message = shell(script);
    message["process"]["cwd"] = json!("/");
    let program = start(&daemon, &headers, &message).unwrap();
    let expected = |flag: &str| {
        let output = std::process::Command::new("id").args([flag, "nobody"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let text = program.text();
    let ids = format!("{}{}{}", expected("-u"), expected("-g"), expected("-G"));
    assert!(text.starts_with(&ids), "{text}");
    let rest: Vec<_> = text[ids.len()..].lines().collect();
    assert_eq!(rest[1..3], ["100", "0"], "{text}");
    // Only the 31 classic signals: the two above are the C library's own, and whoever started us may ignore them.
    let ours =
        |line: &str| u64::from_str_radix(line.rsplit(char::is_whitespace).next().unwrap(), 16).unwrap() & 0x7fff_ffff;
    assert_eq!((ours(rest[3]), ours(rest[4])), (0, 0), "{text}");
    // stdin, stdout, stderr and the folder that ls reads.
    assert_eq!(rest[5].trim(), "4", "{text}");
}

#[test]
fn numeric_users_work_without_an_account() {
    let daemon = Daemon::start();
    let authorization = basic("4242:4343");
    let mut message = shell("id -u; id -g; id -G");
    message["process"]["cwd"] = json!("/");
    let program = start(&daemon, &[("authorization", &authorization)], &message).unwrap();
    assert_eq!(program.text(), "4242\n4343\n4343\n");
}

#[test]
fn an_unknown_user_is_unauthenticated_everywhere() {
    let daemon = Daemon::start();
    let authorization = basic("no-such-user");
    let headers = [("authorization", authorization.as_str())];
    let error = start(&daemon, &headers, &shell("true")).unwrap_err();
    assert!(error.contains("unauthenticated") && error.contains("invalid username: 'no-such-user'"), "{error}");
    for path in ["/health", "/metrics", "/process.Process/List"] {
        let answer = request(daemon.address, if path.ends_with('t') { "POST" } else { "GET" }, path, &headers, b"");
        assert_eq!((answer.status, answer.json()["code"].as_str()), (401, Some("unauthenticated")), "{path}");
    }
}

#[test]
fn the_folder_follows_the_path_rule_and_a_missing_one_is_said() {
    let daemon = Daemon::start();
    let pwd = |cwd: Value| {
        let mut message = shell("pwd");
        message["process"]["cwd"] = cwd;
        start(&daemon, &[], &message).map(|program| program.text().trim().to_owned())
    };
    assert_eq!(pwd(Value::Null).unwrap(), "/root");
    assert_eq!(pwd(json!("~")).unwrap(), "/root");
    assert_eq!(pwd(json!("/tmp/../usr")).unwrap(), "/usr");
    let missing = pwd(json!("/no/such")).unwrap_err();
    assert!(missing.contains("invalid_argument") && missing.contains("cwd '/no/such' does not exist"), "{missing}");
    for wrong in ["/etc/passwd", "~root", "/a\u{0}b"] {
        assert!(pwd(json!(wrong)).unwrap_err().contains("invalid_argument"), "{wrong}");
    }
    let authorization = basic("nobody");
    let mut message = shell("pwd");
    message["process"]["cwd"] = json!("/root");
    let denied = start(&daemon, &[("authorization", &authorization)], &message);
    assert!(denied.is_err_and(|error| error.contains("invalid_argument")));
}

#[test]
fn the_list_gives_the_request_back() {
    let daemon = Daemon::start();
    let message = json!({
        "process": {"cmd": "sleep", "args": ["300"], "envs": {"A": "b"}, "cwd": "/tmp"}, "tag": "mine", "stdin": false,
    });
    let program = Program::start(daemon.address, &[], &message);
    let list = call(daemon.address, "process.Process/List", &json!({})).json();
    let mut expected = json!({"config": message["process"], "pid": program.pid, "tag": "mine"});
    assert_eq!(list["processes"], json!([expected.take()]));
}

#[test]
fn many_tagged_programs_are_all_found() {
    let daemon = Daemon::start();
    let programs: Vec<_> = (0..10)
        .map(|number| {
            let message = json!({"process": {"cmd": "sleep", "args": ["300"]}, "tag": format!("t{number}")});
            Program::start(daemon.address, &[], &message)
        })
        .collect();
    for (number, program) in programs.iter().enumerate() {
        let found = Program::connect(daemon.address, &[], &json!({"tag": format!("t{number}")}));
        assert_eq!(found.pid, program.pid);
    }
}

#[test]
fn a_start_that_is_given_up_leaves_the_program_running() {
    let daemon = Daemon::start();
    for number in 0..20 {
        let message = json!({"process": {"cmd": "sleep", "args": [format!("30{number}")]}});
        let body = crate::support::connect::envelope(0, message.to_string().as_bytes());
        let mut connection = crate::support::http::Connection::open(daemon.address);
        let headers = [("content-type", "application/connect+json")];
        connection.request("POST", "/process.Process/Start", &headers, &body);
    }
    crate::support::wait_until("most of them run", || {
        let list = call(daemon.address, "process.Process/List", &json!({})).json();
        list["processes"].as_array().is_some_and(|list| list.len() == 20)
    });
}
