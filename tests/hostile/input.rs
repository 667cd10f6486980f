//! Input that nobody reads, or that is none.

use serde_json::{Value, json};

use crate::build::{base64, envelope, many, stream, unary};
use crate::outcome::Want::{self, End, Status};
use crate::outcome::{INTERNAL, INVALID, MISSING, UNIMPLEMENTED};
use crate::row::Row;
use crate::stage::Stage;

const INPUT: &str = "process.Process/StreamInput";

pub(crate) fn rows(stage: &Stage) -> Vec<Row> {
    [single(stage), closing(stage), streams(stage), cut(stage)].concat()
}

fn single(stage: &Stage) -> Vec<Row> {
    let table = [
        ("none", stage.pipes, json!(null), UNIMPLEMENTED),
        ("of no kind", stage.pipes, json!({}), UNIMPLEMENTED),
        ("of both kinds", stage.pipes, json!({"stdin": "", "pty": ""}), INVALID),
        ("that is no base64", stage.pipes, json!({"stdin": "***"}), INVALID),
        ("of one character of base64", stage.pipes, json!({"stdin": "a"}), INVALID),
        ("with padding in the middle", stage.pipes, json!({"stdin": "YQ==YQ=="}), INVALID),
        ("that is a number", stage.pipes, json!({"stdin": 5}), INVALID),
        ("that is a list of bytes", stage.pipes, json!({"stdin": [1, 2]}), INVALID),
        ("of nothing", stage.pipes, json!({"stdin": ""}), Status(200)),
        ("for a terminal, to pipes", stage.pipes, json!({"pty": "YQ=="}), INTERNAL),
        ("for pipes, to a terminal", stage.terminal, json!({"stdin": "YQ=="}), INTERNAL),
        ("to a program without stdin", stage.closed, json!({"stdin": "YQ=="}), INTERNAL),
        ("to a program that has ended", stage.ended, json!({"stdin": "YQ=="}), MISSING),
        ("to a program that nobody started", 1, json!({"stdin": base64(&[0; 100_000])}), MISSING),
    ];
    let rows = table.into_iter().map(|(name, pid, input, want)| {
        let message = json!({"process": {"pid": pid}, "input": input}).to_string();
        Row::new(format!("input: {name}"), unary("process.Process/SendInput", &[], message.as_bytes()), want)
    });
    rows.collect()
}

fn closing(stage: &Stage) -> Vec<Row> {
    let close = |name: &str, pid: u32, want: Want| {
        let message = json!({"process": {"pid": pid}}).to_string();
        let send = unary("process.Process/CloseStdin", &[], message.as_bytes());
        Row::new(format!("closing stdin: {name}"), send, want)
    };
    vec![
        close("of a terminal", stage.terminal, Want::Rpc(500, "unknown")),
        close("of a program without", stage.closed, Status(200)),
        close("of a program that has ended", stage.ended, MISSING),
    ]
}

fn streams(stage: &Stage) -> Vec<Row> {
    let start = |pid: u32| json!({"start": {"process": {"pid": pid}}});
    let data = |text: &str| json!({"data": {"input": {"stdin": base64(text.as_bytes())}}});
    let pipes = start(stage.pipes);
    let table: Vec<(&str, Vec<Value>, &str)> = vec![
        ("of no messages", vec![], ""),
        ("of nothing but keepalives", vec![json!({"keepalive": {}}); 3], ""),
        ("of a start and no data", vec![pipes.clone()], ""),
        ("with data before the start", vec![data("x"), pipes.clone()], "invalid_argument"),
        ("with two starts", vec![pipes.clone(), pipes.clone()], "invalid_argument"),
        ("with a message of no kind", vec![json!({})], "unimplemented"),
        ("with a message of two kinds", vec![json!({"start": {}, "keepalive": {}})], "invalid_argument"),
        ("that starts nobody", vec![json!({"start": {}})], "unimplemented"),
        ("to an empty selector", vec![json!({"start": {"process": {}}})], "unimplemented"),
        ("to nobody", vec![start(1)], "not_found"),
        ("to a program that has ended", vec![start(stage.ended), data("x")], "not_found"),
        ("to a program without stdin", vec![start(stage.closed), data("x")], "internal"),
        ("to a terminal, for pipes", vec![start(stage.terminal), data("x")], "internal"),
        ("with empty data", vec![pipes.clone(), json!({"data": {}})], "unimplemented"),
        ("with data of no kind", vec![pipes.clone(), json!({"data": {"input": {}}})], "unimplemented"),
        ("with no base64", vec![pipes.clone(), json!({"data": {"input": {"stdin": "?"}}})], "invalid_argument"),
        ("with a list", vec![pipes, json!([])], "invalid_argument"),
    ];
    let rows = table
        .into_iter()
        .map(|(name, messages, code)| Row::new(format!("stream of input: {name}"), many(INPUT, &messages), End(code)));
    rows.collect()
}

/// Streams that break off where no message ends, with an orderly end of the request.
fn cut(stage: &Stage) -> Vec<Row> {
    let start = envelope(0, format!(r#"{{"start":{{"process":{{"pid":{}}}}}}}"#, stage.pipes).as_bytes());
    let ends = [(3, "in the first head"), (20, "in the first message"), (start.len() + 2, "in the second head")];
    let whole = [&start[..], &start[..]].concat();
    let rows = ends.into_iter().map(|(at, name)| {
        let send = stream(INPUT, &[], &whole[..at]);
        Row::new(format!("stream of input: cut {name}"), send, End("invalid_argument"))
    });
    rows.collect()
}
