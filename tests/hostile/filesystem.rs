//! Paths that lead nowhere, or where nobody may go.

use serde_json::{Value, json};

use crate::build::unary;
use crate::outcome::Want::{self, Status};
use crate::outcome::{EXISTS, INVALID, MISSING, PRECONDITION};
use crate::row::Row;
use crate::stage::Stage;

pub(crate) fn rows(stage: &Stage) -> Vec<Row> {
    [impossible(), looking(stage), making(stage), moving(stage), removing(stage)].concat()
}

fn call(method: &str, name: &str, message: &Value, want: Want) -> Row {
    let send = unary(&format!("filesystem.Filesystem/{method}"), &[], message.to_string().as_bytes());
    Row::new(format!("{method}: {name}"), send, want)
}

/// Paths that no method can take.
fn impossible() -> Vec<Row> {
    let paths = [
        ("a path with a NUL", json!("/tmp/\0x")),
        ("a NUL", json!("\0")),
        ("5,000 letters", json!(format!("/{}", "a/".repeat(2500)))),
        ("the home of somebody else", json!("~nobody/x")),
        ("a number", json!(1)),
        ("a list", json!(["/"])),
    ];
    let mut rows = Vec::new();
    for (name, path) in paths {
        for method in ["Stat", "MakeDir", "ListDir", "Remove", "CreateWatcher"] {
            rows.push(call(method, name, &json!({"path": path}), INVALID));
        }
        rows.push(call("Move", &format!("{name}, from"), &json!({"source": path, "destination": "/tmp/x"}), INVALID));
        rows.push(call("Move", &format!("{name}, to"), &json!({"source": "/no/such", "destination": path}), INVALID));
    }
    let half = br#"{"path":"\ud800"}"#;
    rows.push(Row::new("Stat: half a surrogate", unary("filesystem.Filesystem/Stat", &[], half), INVALID));
    let raw = b"{\"path\":\"/\xff\"}";
    rows.push(Row::new("Stat: a path that is not UTF-8", unary("filesystem.Filesystem/Stat", &[], raw), INVALID));
    rows
}

fn looking(stage: &Stage) -> Vec<Row> {
    let stat = |name: &str, path: &str, want| call("Stat", name, &json!({"path": path}), want);
    let list =
        |name: &str, path: &str, depth: i64, want| call("ListDir", name, &json!({"path": path, "depth": depth}), want);
    vec![
        stat("what is not there", "/no/such/path", MISSING),
        stat("below a file", &stage.at("file/x"), MISSING),
        stat("a part of 300 letters", &format!("/{}", "a".repeat(300)), INVALID),
        stat("below a loop", &stage.at("loop/x"), PRECONDITION),
        stat("a loop itself", &stage.at("loop"), Status(200)),
        stat("a broken link", &stage.at("broken"), Status(200)),
        stat("a pipe", &stage.at("fifo"), Status(200)),
        stat("above the root", "/../../..", Status(200)),
        stat("nothing", "", Status(200)),
        list("what is not there", "/no/such/path", 1, MISSING),
        list("a file", &stage.at("file"), 1, INVALID),
        list("a pipe", &stage.at("fifo"), 1, INVALID),
        list("below a file", &stage.at("file/x"), 1, MISSING),
        list("a loop", &stage.at("loop"), 1, PRECONDITION),
        list("a broken link", &stage.at("broken"), 1, MISSING),
        list("all levels there can be", &stage.at("full"), 4_294_967_295, Status(200)),
        list("more levels than there can be", &stage.at("full"), 4_294_967_296, INVALID),
        list("fewer levels than none", &stage.at("full"), -1, INVALID),
        list("nothing", "", 1, Status(200)),
    ]
}

fn making(stage: &Stage) -> Vec<Row> {
    let make = |name: &str, path: &str, want| call("MakeDir", name, &json!({"path": path}), want);
    vec![
        make("nothing", "", EXISTS),
        make("the root", "/", EXISTS),
        make("above the root", "/../..", EXISTS),
        make("a directory", &stage.at("dir"), EXISTS),
        make("a directory by a detour", &stage.at("none/../dir/."), EXISTS),
        make("a file", &stage.at("file"), INVALID),
        make("below a file", &stage.at("file/x"), INVALID),
        make("a pipe", &stage.at("fifo"), INVALID),
        make("a part of 300 letters", &stage.at(&"a".repeat(300)), INVALID),
        make("a broken link", &stage.at("broken"), INVALID),
    ]
}

fn moving(stage: &Stage) -> Vec<Row> {
    let row = |name: &str, from: &str, to: &str, want| {
        let to = if to.is_empty() { String::new() } else { stage.at(to) };
        call("Move", name, &json!({"source": from, "destination": to}), want)
    };
    let (dir, file) = (stage.at("dir"), stage.at("file"));
    vec![
        row("what is not there", &stage.at("none"), "new/x", MISSING),
        row("below a file", &stage.at("file/x"), "new/x", MISSING),
        row("nothing", "", "new/x", INVALID),
        row("to nothing", &file, "", INVALID),
        row("nothing to nothing", "", "", INVALID),
        row("the root", "/", "new/x", INVALID),
        row("a directory into itself", &dir, "dir/new/x", INVALID),
        row("below a file's name", &dir, "file/x", INVALID),
        row("a file over a directory", &file, "dir", INVALID),
        row("a directory over a file", &dir, "file", INVALID),
        row("to a part of 300 letters", &file, &"a".repeat(300), INVALID),
    ]
}

fn removing(stage: &Stage) -> Vec<Row> {
    let remove = |name: &str, path: &str, want| call("Remove", name, &json!({"path": path}), want);
    let mut rows = vec![
        remove("nothing", "", INVALID),
        remove("what is not there", &stage.at("none"), Status(200)),
        remove("below what is not there", &stage.at("none/x/y"), Status(200)),
        remove("below a file", &stage.at("file/x"), Status(200)),
        remove("below a loop", &stage.at("loop/x"), PRECONDITION),
        remove("a part of 300 letters", &stage.at(&"a".repeat(300)), INVALID),
    ];
    for path in ["/", "//", "/.", "/..", "/tmp/..", "/proc", "/proc/", "/sys", "/dev", "/dev/../proc/."] {
        rows.push(remove(path, path, INVALID));
    }
    rows
}
