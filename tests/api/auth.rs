//! The token, `/init`, and who passes without it.

use serde_json::json;

use crate::support::Daemon;
use crate::support::connect::{call, call_with};
use crate::support::http::{get, request};

fn init(daemon: &Daemon, body: &str) -> crate::support::http::Answer {
    request(daemon.address, "POST", "/init", &[], body.as_bytes())
}

#[test]
fn a_token_closes_everything_but_the_four_open_routes() {
    let daemon = Daemon::start();
    assert_eq!(init(&daemon, r#"{"accessToken":"secret"}"#).status, 204);
    let token = [("x-access-token", "secret")];
    for path in ["/metrics", "/envs", "/nope"] {
        let refused = get(daemon.address, path);
        assert_eq!((refused.status, refused.json()["code"].as_i64()), (401, Some(401)), "{path}");
        assert_ne!(request(daemon.address, "GET", path, &token, b"").status, 401, "{path}");
    }
    assert_eq!(call(daemon.address, "process.Process/List", &json!({})).status, 401);
    assert_eq!(call_with(daemon.address, "process.Process/List", &token, &json!({})).status, 200);
    let wrong = [("x-access-token", "secreT")];
    assert_eq!(call_with(daemon.address, "process.Process/List", &wrong, &json!({})).status, 401);
    assert_eq!(get(daemon.address, "/health").status, 204);
    let preflight = [("origin", "http://x"), ("access-control-request-method", "POST")];
    assert_eq!(request(daemon.address, "OPTIONS", "/process.Process/List", &preflight, b"").status, 204);
}

#[test]
fn init_always_tells_the_version_and_never_hands_the_token_over() {
    let daemon = Daemon::start();
    for (body, status) in [
        ("", 204),
        ("{", 400),
        (r#"{"accessToken":""}"#, 400),
        (r#"{"accessToken":"A"}"#, 204),
        (r#"{"accessToken":"A"}"#, 204),
        (r#"{"accessToken":"B"}"#, 401),
        ("{}", 401),
    ] {
        let answer = init(&daemon, body);
        assert_eq!((answer.status, answer.header("x-envd-version")), (status, "0.6.13"), "{body}");
    }
}

#[test]
fn an_older_init_changes_nothing_and_still_succeeds() {
    let daemon = Daemon::start();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let at = |offset: u64, value: &str| {
        let stamp = httpdate_rfc3339(now + offset);
        init(&daemon, &format!(r#"{{"timestamp":"{stamp}","envVars":{{"X":"{value}"}}}}"#)).status
    };
    assert_eq!((at(2, "new"), at(1, "old")), (204, 204));
    assert_eq!(get(daemon.address, "/envs").json()["X"], "new");
    assert_eq!(at(2, "same"), 204);
    assert_eq!(get(daemon.address, "/envs").json()["X"], "same");
}

fn httpdate_rfc3339(seconds: u64) -> String {
    let output =
        std::process::Command::new("date").args(["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%SZ"]).output();
    String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
}

#[test]
fn the_default_user_and_folder_are_those_of_init() {
    let daemon = Daemon::start();
    assert_eq!(init(&daemon, r#"{"defaultUser":"nobody","defaultWorkdir":"/tmp"}"#).status, 204);
    assert_eq!(crate::support::connect::run(daemon.address, "id -un; pwd").text(), "nobody\n/tmp\n");
    assert_eq!(init(&daemon, r#"{"defaultUser":"","defaultWorkdir":""}"#).status, 204);
    assert_eq!(crate::support::connect::run(daemon.address, "id -un; pwd").text(), "nobody\n/tmp\n");
    assert_eq!(init(&daemon, r#"{"defaultUser":"gone"}"#).status, 204);
    let stream = crate::support::connect::Stream::open(
        daemon.address,
        "process.Process/Start",
        &[],
        &crate::support::connect::shell("true"),
    );
    let mut stream = stream;
    assert!(stream.next().is_none());
    assert_eq!(stream.error_code(), Some("unauthenticated"));
}
