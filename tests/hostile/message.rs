//! Messages that are no messages: JSON and protobuf of every wrong kind.

use crate::build::{typed, unary};
use crate::outcome::{INVALID, MISSING, UNIMPLEMENTED, Want};
use crate::row::Row;
use crate::stage::Stage;

const LIST: &str = "process.Process/List";
const SIGNAL: &str = "process.Process/SendSignal";

pub(crate) fn rows(stage: &Stage) -> Vec<Row> {
    [texts(), types(), signals(stage), binary(stage)].concat()
}

fn texts() -> Vec<Row> {
    let deep = |open: &str, count| format!(r#"{{"x":{}"#, open.repeat(count)).into_bytes();
    let closed = format!(r#"{{"x":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000)).into_bytes();
    let table: Vec<(&str, Vec<u8>, Want)> = vec![
        ("nothing", vec![], INVALID),
        ("half an object", b"{".to_vec(), INVALID),
        ("a list", b"[]".to_vec(), INVALID),
        ("a number", b"1".to_vec(), INVALID),
        ("a text", br#""{}""#.to_vec(), INVALID),
        ("null", b"null".to_vec(), INVALID),
        ("two objects", b"{}{}".to_vec(), INVALID),
        ("a trailing comma", br#"{"a":1,}"#.to_vec(), INVALID),
        ("a byte order mark", b"\xef\xbb\xbf{}".to_vec(), INVALID),
        ("UTF-16", b"{\0}\0".to_vec(), INVALID),
        ("a raw line end in a text", b"{\"a\":\"\n\"}".to_vec(), INVALID),
        ("a number without end", format!(r#"{{"a":{}"#, "9".repeat(100_000)).into_bytes(), INVALID),
        ("100,000 open lists", deep("[", 100_000), INVALID),
        ("100,000 open objects", deep(r#"{"a":"#, 100_000), INVALID),
        ("5,000 lists in a field that nobody knows", closed, Want::Status(200)),
        ("protobuf", vec![0x0a, 0x00], INVALID),
    ];
    table
        .into_iter()
        .map(|(name, body, want)| Row::new(format!("json: {name}"), unary(LIST, &[], &body), want))
        .collect()
}

fn types() -> Vec<Row> {
    let table = [
        ("a text for a message", r#"{"process":"1"}"#, INVALID),
        ("a list for a message", r#"{"process":[1]}"#, INVALID),
        ("a text for a pid", r#"{"process":{"pid":"one"}}"#, INVALID),
        ("a negative pid", r#"{"process":{"pid":-1}}"#, INVALID),
        ("a pid of 33 bits", r#"{"process":{"pid":4294967296}}"#, INVALID),
        ("a broken pid", r#"{"process":{"pid":1.5}}"#, INVALID),
        ("an infinite pid", r#"{"process":{"pid":1e999}}"#, INVALID),
        ("true for a pid", r#"{"process":{"pid":true}}"#, INVALID),
        ("an object for a pid", r#"{"process":{"pid":{}}}"#, INVALID),
        ("a number for a tag", r#"{"process":{"tag":5}}"#, INVALID),
        ("half a surrogate in a tag", r#"{"process":{"tag":"\ud800"}}"#, INVALID),
        ("both arms of a choice", r#"{"process":{"pid":1,"tag":"x"}}"#, INVALID),
        ("the same field twice", r#"{"process":{"pid":1},"process":{"pid":2}}"#, INVALID),
        ("a pid in quotes, as proto3 allows", r#"{"process":{"pid":"4294967295"}}"#, MISSING),
        ("fields that nobody knows", r#"{"process":{"pid":4294967295,"x":[{}]},"y":null}"#, MISSING),
    ];
    let rows = table.into_iter().map(|(name, body, want)| {
        Row::new(format!("json types: {name}"), unary("process.Process/CloseStdin", &[], body.as_bytes()), want)
    });
    let raw = unary("process.Process/CloseStdin", &[], b"{\"process\":{\"tag\":\"\xff\xfe\"}}");
    rows.chain([Row::new("json types: bytes that are not UTF-8 in a tag", raw, INVALID)]).collect()
}

fn signals(stage: &Stage) -> Vec<Row> {
    let table = [
        ("none", "null", UNIMPLEMENTED),
        ("0", "0", UNIMPLEMENTED),
        ("interrupt", "2", UNIMPLEMENTED),
        ("64", "64", UNIMPLEMENTED),
        ("minus one", "-1", UNIMPLEMENTED),
        ("the largest number", "2147483647", UNIMPLEMENTED),
        ("unspecified", r#""SIGNAL_UNSPECIFIED""#, UNIMPLEMENTED),
        ("a name that nobody knows", r#""SIGNAL_SIGSTOP""#, INVALID),
        ("a name in small letters", r#""signal_sigkill""#, INVALID),
        ("a number beyond an enum", "9999999999", INVALID),
        ("half a number", "9.5", INVALID),
        ("a list", "[9]", INVALID),
    ];
    let rows = table.into_iter().map(|(name, signal, want)| {
        let body = format!(r#"{{"process":{{"pid":{}}},"signal":{signal}}}"#, stage.closed);
        Row::new(format!("signal: {name}"), unary(SIGNAL, &[], body.as_bytes()), want)
    });
    rows.collect()
}

/// Unary Connect in protobuf; field 1 of SendSignal is the selector, field 2 the signal.
fn binary(stage: &Stage) -> Vec<Row> {
    let pid = |pid: u32| {
        let mut number = Vec::new();
        prost::encoding::encode_varint(u64::from(pid), &mut number);
        [&[0x0a, u8::try_from(number.len()).unwrap() + 1, 0x08], &number[..]].concat()
    };
    let live = pid(stage.closed);
    let minus_one = [0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let table: Vec<(&str, Vec<u8>, Want)> = vec![
        ("nothing", vec![], UNIMPLEMENTED),
        ("an empty selector", vec![0x0a, 0], UNIMPLEMENTED),
        ("no signal", live.clone(), UNIMPLEMENTED),
        ("signal 2", [&live[..], &[0x10, 2]].concat(), UNIMPLEMENTED),
        ("signal -1", [&live[..], &minus_one].concat(), UNIMPLEMENTED),
        ("an unknown pid", [&pid(u32::MAX)[..], &[0x10, 9]].concat(), MISSING),
        ("a tag that is not UTF-8", vec![0x0a, 3, 0x12, 1, 0xff], INVALID),
        ("a selector of the wrong wire type", vec![0x08, 1], INVALID),
        ("a pid of the wrong wire type", vec![0x0a, 2, 0x0a, 0], INVALID),
        ("a message longer than itself", vec![0x0a, 100, 0x08], INVALID),
        ("JSON", b"{}".to_vec(), INVALID),
        ("zeros", vec![0; 1000], INVALID),
        ("ones", vec![0xff; 1000], INVALID),
    ];
    let rows = table.into_iter().map(|(name, body, want)| {
        Row::new(format!("protobuf: {name}"), typed("application/proto", SIGNAL, &[], &body), want)
    });
    rows.collect()
}
