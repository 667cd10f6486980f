//! `POST /files/compose` of what cannot be put together; and `/init` rubbish, which is JSON over HTTP as well.

use serde_json::{Value, json};

use crate::build::request;
use crate::outcome::Want::{self, Rest, Status};
use crate::row::Row;
use crate::stage::Stage;

pub(crate) fn rows(stage: &Stage) -> Vec<Row> {
    [texts(), wishes(stage), init()].concat()
}

fn compose(name: &str, body: &[u8], want: Want) -> Row {
    let send = request("POST", "/files/compose", &[("content-type", "application/json")], body);
    Row::new(format!("compose: {name}"), send, want)
}

fn texts() -> Vec<Row> {
    let deep = "[".repeat(100_000);
    let table: [(&str, &[u8]); 9] = [
        ("nothing", b""),
        ("half an object", b"{"),
        ("a list", b"[]"),
        ("no fields", b"{}"),
        ("bytes that are not UTF-8", b"{\"destination\":\"\xff\"}"),
        ("a text for sources", br#"{"source_paths":"/a","destination":"/b"}"#),
        ("numbers for sources", br#"{"source_paths":[1],"destination":"/b"}"#),
        ("a number for a user", br#"{"source_paths":["/a"],"destination":"/b","username":1}"#),
        ("100,000 open lists", deep.as_bytes()),
    ];
    table.into_iter().map(|(name, body)| compose(name, body, Rest(400))).collect()
}

fn wishes(stage: &Stage) -> Vec<Row> {
    let (file, new) = (stage.at("file"), stage.at("new"));
    let wish = |sources: &[&str], destination: &str| json!({"source_paths": sources, "destination": destination});
    let missing: Vec<String> = (0..10_000).map(|number| format!("/no/such/part/{number}")).collect();
    let beyond = vec!["/no/such/part".repeat(10); 20_000];
    let stranger = json!({"source_paths": [file], "destination": new, "username": "no-such-user"});
    let table: Vec<(&str, Value, Want)> = vec![
        ("no sources", wish(&[], &new), Rest(400)),
        ("no destination", wish(&[&file], ""), Rest(400)),
        ("an empty source", wish(&[""], &new), Rest(400)),
        ("a source that is the destination", wish(&[&file], &file), Rest(400)),
        ("a source that is the destination by a detour", wish(&[&stage.at("dir/../file")], &file), Rest(400)),
        ("a destination among the sources", wish(&[&file, &stage.at("old")], &stage.at("old")), Rest(400)),
        ("a directory", wish(&[&stage.at("dir")], &new), Rest(400)),
        ("a pipe", wish(&[&stage.at("fifo")], &new), Rest(400)),
        ("a device", wish(&["/dev/zero"], &new), Rest(400)),
        ("a source that is not there", wish(&[&stage.at("none")], &new), Rest(404)),
        ("a second source that is not there", wish(&[&file, &stage.at("none")], &new), Rest(404)),
        ("10,000 sources that are not there", json!({"source_paths": missing, "destination": new}), Rest(404)),
        ("more sources than fit", json!({"source_paths": beyond, "destination": new}), Rest(400)),
        ("to a directory", wish(&[&file], &stage.at("dir")), Rest(400)),
        ("below a file", wish(&[&file], &stage.at("old/x")), Rest(400)),
        ("to a NUL", wish(&[&file], "/\0"), Rest(400)),
        ("of a NUL", wish(&["/\0"], &new), Rest(400)),
        ("to 5,000 letters", wish(&[&file], &"/a".repeat(2500)), Rest(400)),
        ("to the home of somebody else", wish(&[&file], "~nobody/x"), Rest(400)),
        ("by an unknown user", stranger, Rest(401)),
    ];
    table.into_iter().map(|(name, wish, want)| compose(name, wish.to_string().as_bytes(), want)).collect()
}

/// Bodies of `/init` that cannot be meant; whatever the answer, hosts read the version from it.
pub(crate) fn init() -> Vec<Row> {
    let huge = format!("{{\"x\":\"{}\"}}", "x".repeat(5 << 20));
    let deep = format!("{{\"x\":{}", "[".repeat(100_000));
    let table: Vec<(&str, &[u8], u16)> = vec![
        ("half an object", b"{", 400),
        ("a list", b"[]", 400),
        ("null", b"null", 400),
        ("two objects", b"{}{}", 400),
        ("an empty token", br#"{"accessToken":""}"#, 400),
        ("a token with a backslash", br#"{"accessToken":"a\\b"}"#, 400),
        ("a number for a token", br#"{"accessToken":1}"#, 400),
        ("a time that is none", br#"{"timestamp":"yesterday"}"#, 400),
        ("the 13th month", br#"{"timestamp":"2026-13-01T00:00:00Z"}"#, 400),
        ("a list of variables", br#"{"envVars":["A=B"]}"#, 400),
        ("a number for a variable", br#"{"envVars":{"A":1}}"#, 400),
        ("an object for a user", br#"{"defaultUser":{}}"#, 400),
        ("a text for mounts", br#"{"volumeMounts":"x"}"#, 400),
        ("bytes that are not UTF-8", b"{\"defaultUser\":\"\xff\"}", 400),
        ("100,000 open lists", deep.as_bytes(), 400),
        ("5 MB", huge.as_bytes(), 413),
    ];
    let rows = table.into_iter().map(|(name, body, status)| {
        let send = request("POST", "/init", &[("content-type", "application/json")], body);
        Row::new(format!("init: {name}"), send, Status(status)).header("x-envd-version", thawd::ENVD_VERSION)
    });
    rows.collect()
}
