//! Programs that cannot be, and selectors that select nothing.

use serde_json::{Value, json};

use crate::build::{escape, one, unary};
use crate::outcome::Want::{self, End, Exit};
use crate::outcome::{INTERNAL, INVALID, MISSING, UNIMPLEMENTED};
use crate::row::Row;
use crate::stage::Stage;

const REFUSED: Want = End("invalid_argument");

pub(crate) fn rows(stage: &Stage) -> Vec<Row> {
    [commands(stage), environments(), folders(stage), terminals(stage), selectors(stage), raw()].concat()
}

fn start(name: String, message: &Value, want: Want) -> Row {
    Row::new(name, one("process.Process/Start", &[], message.to_string().as_bytes()), want)
}

fn commands(stage: &Stage) -> Vec<Row> {
    let many: Vec<String> = (0..100_000).map(|number| number.to_string()).collect();
    let table = [
        ("no process", json!({}), REFUSED),
        ("an empty command", json!({"process": {}}), Exit(127)),
        ("a command that is not there", json!({"process": {"cmd": "no-such-command"}}), Exit(127)),
        ("a path that is not there", json!({"process": {"cmd": "/no/such/command"}}), Exit(127)),
        ("a command below a file", json!({"process": {"cmd": stage.at("file/x")}}), Exit(127)),
        ("a directory", json!({"process": {"cmd": "/"}}), Exit(126)),
        ("a file that is no program", json!({"process": {"cmd": stage.at("file")}}), Exit(126)),
        ("a pipe", json!({"process": {"cmd": stage.at("fifo")}}), Exit(126)),
        ("a loop of links", json!({"process": {"cmd": stage.at("loop")}}), Exit(127)),
        ("a command of 300 letters", json!({"process": {"cmd": "c".repeat(300)}}), Exit(127)),
        ("a path of 5,000 letters", json!({"process": {"cmd": format!("/{}", "c/".repeat(2500))}}), Exit(127)),
        ("a command with a NUL", json!({"process": {"cmd": "tr\0ue"}}), REFUSED),
        ("a command with a line end", json!({"process": {"cmd": "true\n"}}), Exit(127)),
        ("an argument with a NUL", json!({"process": {"cmd": "true", "args": ["\0"]}}), REFUSED),
        ("100,000 arguments", json!({"process": {"cmd": "true", "args": many}}), Exit(0)),
        ("an argument of 200 KB", json!({"process": {"cmd": "true", "args": ["x".repeat(200_000)]}}), REFUSED),
        ("4 MB of arguments", json!({"process": {"cmd": "true", "args": vec!["x".repeat(100_000); 40]}}), REFUSED),
        ("a tag with a NUL", json!({"process": {"cmd": "true"}, "tag": "\0"}), Exit(0)),
        ("a tag of a line end", json!({"process": {"cmd": "true"}, "tag": "\n"}), Exit(0)),
        ("a tag of 1 MB", json!({"process": {"cmd": "true"}, "tag": "t".repeat(1_000_000)}), Exit(0)),
    ];
    table.into_iter().map(|(name, message, want)| start(format!("command: {name}"), &message, want)).collect()
}

fn environments() -> Vec<Row> {
    let many: Value =
        (0..20_000).map(|number| (format!("V{number}"), json!("x"))).collect::<serde_json::Map<_, _>>().into();
    let table = [
        ("a name with a NUL", json!({"A\0": "x"}), REFUSED),
        ("a value with a NUL", json!({"A": "x\0"}), REFUSED),
        ("a name with =", json!({"A=B": "x"}), Exit(0)),
        ("an empty name", json!({"": "x"}), Exit(0)),
        ("a value of 200 KB", json!({"A": "x".repeat(200_000)}), REFUSED),
        ("20,000 variables", many, Exit(0)),
        ("a list", json!(["A=B"]), REFUSED),
        ("a number", json!({"A": 1}), REFUSED),
        ("no PATH", json!({"PATH": ""}), Exit(127)),
    ];
    let rows = table.into_iter().map(|(name, envs, want)| {
        start(format!("environment: {name}"), &json!({"process": {"cmd": "true", "envs": envs}}), want)
    });
    rows.collect()
}

fn folders(stage: &Stage) -> Vec<Row> {
    let table = [
        ("that is not there", json!("/no/such/folder"), "does not exist"),
        ("of somebody else", json!("~nobody/x"), ""),
        ("that is a file", json!(stage.at("file")), ""),
        ("below a file", json!(stage.at("file/x")), ""),
        ("that is a pipe", json!(stage.at("fifo")), ""),
        ("that is a loop", json!(stage.at("loop")), ""),
        ("that is a broken link", json!(stage.at("broken")), ""),
        ("with a NUL", json!("/\0"), ""),
        ("of 5,000 letters", json!(format!("/{}", "d/".repeat(2500))), ""),
        ("with a part of 300 letters", json!(format!("/{}", "d".repeat(300))), ""),
        ("that is a number", json!(7), ""),
    ];
    let rows = table.into_iter().map(|(name, cwd, text)| {
        start(format!("cwd: {name}"), &json!({"process": {"cmd": "true", "cwd": cwd}}), REFUSED).saying(text)
    });
    rows.collect()
}

fn terminals(stage: &Stage) -> Vec<Row> {
    let table = [
        ("of nothing", json!({"cols": 0, "rows": 0}), Exit(0), Want::Status(200)),
        ("beyond 16 bits", json!({"cols": 4_294_967_295_u32, "rows": 65_536}), Exit(0), Want::Status(200)),
        ("beyond 32 bits", json!({"cols": 4_294_967_296_u64}), REFUSED, INVALID),
        ("below nothing", json!({"cols": -1}), REFUSED, INVALID),
        ("of text", json!({"cols": "wide"}), REFUSED, INVALID),
        ("not given", json!(null), Exit(0), Want::Status(200)),
    ];
    let mut rows = Vec::new();
    for (name, size, started, updated) in table {
        let message = json!({"process": {"cmd": "true"}, "pty": {"size": size}});
        rows.push(start(format!("terminal: a size {name}"), &message, started));
        let message = json!({"process": {"pid": stage.terminal}, "pty": {"size": size}}).to_string();
        let send = unary("process.Process/Update", &[], message.as_bytes());
        rows.push(Row::new(format!("terminal: resized to a size {name}"), send, updated));
    }
    let message = json!({"process": {"pid": stage.pipes}, "pty": {"size": {"cols": 1, "rows": 1}}}).to_string();
    let send = unary("process.Process/Update", &[], message.as_bytes());
    rows.push(Row::new("terminal: resized where there is none", send, INTERNAL));
    rows
}

/// Every method that selects a program, with everything that selects none.
fn selectors(stage: &Stage) -> Vec<Row> {
    let table = [
        ("nobody", json!(null), UNIMPLEMENTED),
        ("an empty selector", json!({}), UNIMPLEMENTED),
        ("pid 0", json!({"pid": 0}), MISSING),
        ("pid 1", json!({"pid": 1}), MISSING),
        ("the largest pid", json!({"pid": u32::MAX}), MISSING),
        ("the agent's parent", json!({"pid": std::process::id()}), MISSING),
        ("a tag of nobody", json!({"tag": "nobody"}), MISSING),
        ("an empty tag", json!({"tag": ""}), MISSING),
        ("a tag with a NUL", json!({"tag": "x\0"}), MISSING),
        ("a tag of 1 MB", json!({"tag": "y".repeat(1_000_000)}), MISSING),
        ("a pid and a tag", json!({"pid": stage.pipes, "tag": "x"}), INVALID),
    ];
    let mut rows = Vec::new();
    for (name, selector, want) in table {
        for method in ["SendInput", "SendSignal", "CloseStdin", "Update"] {
            let message = json!({"process": selector, "input": {"stdin": ""}, "signal": 9}).to_string();
            let send = unary(&format!("process.Process/{method}"), &[], message.as_bytes());
            rows.push(Row::new(format!("selector: {name}, {method}"), send, want));
        }
        let Want::Rpc(_, code) = want else { continue };
        let send = one("process.Process/Connect", &[], json!({"process": selector}).to_string().as_bytes());
        rows.push(Row::new(format!("selector: {name}, Connect"), send, End(code)));
    }
    let ended = json!({"process": {"pid": stage.ended}}).to_string();
    let send = one("process.Process/Connect", &[], ended.as_bytes());
    rows.push(Row::new("selector: a program that has ended, Connect", send, Exit(0)));
    rows
}

/// Our own header, and a name that must not reach a query.
fn raw() -> Vec<Row> {
    let offsets = ["-1", "x", "1.5", "18446744073709551616"].into_iter().map(|offset| {
        let headers = [("thawd-output-offset", offset)];
        let send = one("process.Process/Connect", &headers, br#"{"process":{"pid":1}}"#);
        Row::new(format!("selector: an output offset of {offset}"), send, REFUSED)
    });
    let target = format!("/process.Process/{}", escape("Start\0"));
    let odd = crate::build::request("POST", &target, &[("content-type", "application/connect+json")], b"");
    offsets.chain([Row::new("selector: a method with a NUL", odd, Want::Status(404))]).collect()
}
