//! Watches on what cannot be watched, and watchers that are not there.

use serde_json::{Value, json};

use crate::build::{one, unary};
use crate::outcome::Want::{self, End};
use crate::outcome::{INVALID, MISSING};
use crate::row::Row;
use crate::stage::Stage;

const WATCH: &str = "filesystem.Filesystem/WatchDir";

pub(crate) fn rows(stage: &Stage) -> Vec<Row> {
    [paths(stage), ids(), twice()].concat()
}

fn paths(stage: &Stage) -> Vec<Row> {
    let table: Vec<(&str, Value, &'static str)> = vec![
        ("what is not there", json!("/no/such/path"), "not_found"),
        ("a file", json!(stage.at("file")), "invalid_argument"),
        ("a pipe", json!(stage.at("fifo")), "invalid_argument"),
        ("below a file", json!(stage.at("file/x")), "not_found"),
        ("a broken link", json!(stage.at("broken")), "not_found"),
        ("a loop", json!(stage.at("loop")), "failed_precondition"),
        ("a part of 300 letters", json!(format!("/{}", "a".repeat(300))), "invalid_argument"),
    ];
    let mut rows = Vec::new();
    for (name, path, code) in table {
        let status = if code == "not_found" { 404 } else { 400 };
        for recursive in [false, true] {
            let message = json!({"path": path, "recursive": recursive}).to_string();
            let row = format!("{name}, recursive {recursive}");
            rows.push(Row::new(format!("WatchDir: {row}"), one(WATCH, &[], message.as_bytes()), End(code)));
            let send = unary("filesystem.Filesystem/CreateWatcher", &[], message.as_bytes());
            rows.push(Row::new(format!("CreateWatcher: {row}"), send, Want::Rpc(status, code)));
        }
    }
    for (name, path) in [("a NUL", json!("\0")), ("5,000 letters", json!("/a".repeat(2500))), ("a number", json!(1))] {
        let send = one(WATCH, &[], json!({"path": path}).to_string().as_bytes());
        rows.push(Row::new(format!("WatchDir: {name}"), send, End("invalid_argument")));
    }
    let send = one(WATCH, &[], json!({"path": "/", "recursive": "yes"}).to_string().as_bytes());
    rows.push(Row::new("WatchDir: recursive by text", send, End("invalid_argument")));
    rows
}

fn ids() -> Vec<Row> {
    let table = [
        ("none", json!(null), MISSING),
        ("empty", json!(""), MISSING),
        ("unknown", json!("w00000000000000000000"), MISSING),
        ("with a NUL", json!("w\0"), MISSING),
        ("a path", json!("../../w"), MISSING),
        ("of 1 MB", json!("w".repeat(1_000_000)), MISSING),
        ("a number", json!(1), INVALID),
        ("an object", json!({}), INVALID),
    ];
    let mut rows = Vec::new();
    for (name, id, want) in table {
        for method in ["GetWatcherEvents", "RemoveWatcher"] {
            let message = json!({"watcher_id": id}).to_string();
            let send = unary(&format!("filesystem.Filesystem/{method}"), &[], message.as_bytes());
            rows.push(Row::new(format!("{method}: an id {name}"), send, want));
        }
    }
    rows
}

fn twice() -> Vec<Row> {
    let row = Row::act("RemoveWatcher: the same watcher twice", |stage| {
        let answer = stage.call("filesystem.Filesystem/CreateWatcher", &json!({"path": stage.at("dir")}));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let id = json!({"watcherId": answer.json()["watcherId"]});
        for (method, status) in
            [("GetWatcherEvents", 200), ("RemoveWatcher", 200), ("RemoveWatcher", 404), ("GetWatcherEvents", 404)]
        {
            assert_eq!(stage.call(&format!("filesystem.Filesystem/{method}"), &id).status, status, "{method}");
        }
    });
    let many = Row::act("CreateWatcher: 200 on the same directory", |stage| {
        let create = || stage.call("filesystem.Filesystem/CreateWatcher", &json!({"path": stage.at("dir")}));
        let ids: Vec<Value> =
            (0..200).map(|_| create().json()["watcherId"].clone()).filter(|id| id.is_string()).collect();
        assert!(!ids.is_empty());
        for id in ids {
            let removed = stage.call("filesystem.Filesystem/RemoveWatcher", &json!({"watcherId": id}));
            assert_eq!(removed.status, 200, "{}", removed.text());
        }
    });
    vec![row, many]
}
