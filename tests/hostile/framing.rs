//! Envelopes that are none, in every dialect that has them.

use crate::build::{bomb, envelope, gzip, one, stream, typed};
use crate::outcome::Want::{self, End, Status, Web};
use crate::row::Row;
use crate::stage::Stage;

const START: &str = "process.Process/Start";
const INPUT: &str = "process.Process/StreamInput";
const LIST: &str = "process.Process/List";
const INVALID: Want = End("invalid_argument");
const EXHAUSTED: Want = End("resource_exhausted");

pub(crate) fn rows(_: &Stage) -> Vec<Row> {
    [connect(), compressed(), web(), web_text()].concat()
}

/// A program that ends at once.
const TRUE: &[u8] = br#"{"process":{"cmd":"true"}}"#;

fn connect() -> Vec<Row> {
    let whole = envelope(0, TRUE);
    let longer = [&[0, 0, 0, 4, 0], TRUE].concat();
    let table: Vec<(&str, Vec<u8>, Want)> = vec![
        ("three bytes of a head", vec![0, 0, 0], INVALID),
        ("a head without its message", whole[..5].to_vec(), INVALID),
        ("a message without its last byte", whole[..whole.len() - 1].to_vec(), INVALID),
        ("a length beyond the body", longer, INVALID),
        ("a length of 4 GiB", [&[0, 255, 255, 255, 255], TRUE].concat(), EXHAUSTED),
        ("a length one beyond the limit", [&[0, 4, 0, 0, 1], TRUE].concat(), EXHAUSTED),
        ("no message", vec![], End("unimplemented")),
        ("two messages", [&whole[..], &whole[..]].concat(), End("unimplemented")),
        ("a message and half a head", [&whole[..], &[0, 0]].concat(), INVALID),
        ("an empty message", envelope(0, b""), INVALID),
        ("the flag of the end", envelope(2, b"{}"), End("internal")),
        ("the flag of gRPC-Web trailers", envelope(0x80, TRUE), End("internal")),
        ("all flags", envelope(0xff, TRUE), End("internal")),
        ("a flag nobody knows", envelope(4, TRUE), End("internal")),
        ("compressed, but no compression was announced", envelope(1, &gzip(TRUE)), End("internal")),
        ("no envelope at all", TRUE.to_vec(), End("internal")),
    ];
    let rows = table
        .into_iter()
        .map(|(name, body, want)| Row::new(format!("connect stream: {name}"), stream(START, &[], &body), want));
    rows.collect()
}

fn compressed() -> Vec<Row> {
    let packed = gzip(TRUE);
    let mut wrong = packed.clone();
    *wrong.last_mut().unwrap() ^= 1;
    let table: Vec<(&str, &str, Vec<u8>, Want)> = vec![
        ("garbage for gzip", "gzip", envelope(1, b"this is not gzip"), INVALID),
        ("gzip without its end", "gzip", envelope(1, &packed[..packed.len() - 4]), INVALID),
        ("gzip with a wrong checksum", "gzip", envelope(1, &wrong), INVALID),
        ("gzip of what is no JSON", "gzip", envelope(1, &gzip(b"}")), INVALID),
        ("gzip in gzip", "gzip", envelope(1, &gzip(&packed)), INVALID),
        ("a gzip bomb", "gzip", envelope(1, &bomb()), EXHAUSTED),
        ("a compressed head without its message", "gzip", envelope(1, &packed)[..5].to_vec(), INVALID),
        ("a compressed length of 4 GiB", "gzip", [&[1, 255, 255, 255, 255], &packed[..]].concat(), EXHAUSTED),
        ("a compressed end", "gzip", envelope(3, &packed), End("internal")),
        ("a compression nobody knows", "br", envelope(1, &packed), End("unimplemented")),
        ("identity, but compressed", "identity", envelope(1, &packed), End("internal")),
        ("two compressions", "gzip, gzip", envelope(1, &packed), End("unimplemented")),
    ];
    let rows = table.into_iter().map(|(name, encoding, body, want)| {
        let send = stream(START, &[("connect-content-encoding", encoding)], &body);
        Row::new(format!("connect stream: {name}"), send, want)
    });
    let unary = [
        ("garbage for gzip", "gzip", b"this is not gzip".to_vec(), crate::outcome::INVALID),
        ("gzip without its end", "gzip", gzip(b"{}")[..12].to_vec(), crate::outcome::INVALID),
        ("a gzip bomb", "gzip", bomb(), Want::Rpc(429, "resource_exhausted")),
        ("a compression nobody knows", "zstd", b"{}".to_vec(), crate::outcome::UNIMPLEMENTED),
        ("two compressions", "gzip, gzip", gzip(&gzip(b"{}")), crate::outcome::UNIMPLEMENTED),
    ];
    let unary = unary.into_iter().map(|(name, encoding, body, want)| {
        let send = typed("application/json", LIST, &[("content-encoding", encoding)], &body);
        Row::new(format!("unary call: {name}"), send, want)
    });
    let mut rows: Vec<_> = rows.chain(unary).collect();
    // A stream is compressed message by message: HTTP's own header says nothing about it.
    let late = stream(INPUT, &[], &[envelope(0, br#"{"keepalive":{}}"#), envelope(1, &packed)].concat());
    rows.push(Row::new("connect stream: the second message is compressed unannounced", late, End("internal")));
    rows
}

fn web() -> Vec<Row> {
    let whole = envelope(0, b"");
    let table: Vec<(&str, Vec<u8>, u8)> = vec![
        ("no message", vec![], 12),
        ("two messages", [&whole[..], &whole[..]].concat(), 12),
        ("two bytes of a head", vec![0, 0], 3),
        ("a length beyond the body", vec![0, 0, 0, 0, 9, 1], 3),
        ("a length of 4 GiB", vec![0, 255, 255, 255, 255], 8),
        ("trailers from the client", envelope(0x80, b"grpc-status: 0\r\n"), 13),
        ("compressed, but no compression was announced", envelope(1, &gzip(b"")), 13),
        ("protobuf that ends in a tag", envelope(0, &[0x80]), 3),
        ("a field of a wire type that does not exist", envelope(0, &[0x0f]), 3),
        ("a varint without end", envelope(0, &[0xff; 12]), 3),
        ("a field number of zero", envelope(0, &[0x00, 0x00]), 3),
        ("a group without end", envelope(0, &[0x0b]), 3),
        ("groups in groups", envelope(0, &[0x0b; 100_000]), 3),
        ("a length beyond the message", envelope(0, &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]), 3),
    ];
    let web = "application/grpc-web+proto";
    let rows = table
        .into_iter()
        .map(|(name, body, code)| Row::new(format!("grpc-web: {name}"), typed(web, LIST, &[], &body), Web(code)));
    let more = [
        ("an unknown method", typed(web, "process.Process/Bogus", &[], &whole), Web(12)),
        ("an unknown compression", typed(web, LIST, &[("grpc-encoding", "lzma")], &whole), Web(12)),
        ("a time of no unit", typed(web, LIST, &[("grpc-timeout", "5")], &whole), Web(3)),
        ("a negative time", typed(web, LIST, &[("grpc-timeout", "-5S")], &whole), Web(3)),
        ("a time of nine digits", typed(web, LIST, &[("grpc-timeout", "123456789S")], &whole), Web(3)),
        ("no time at all", typed(web, LIST, &[("grpc-timeout", "0n")], &whole), Web(4)),
        ("gRPC over HTTP/1.1", typed("application/grpc", LIST, &[], &whole), Status(505)),
        ("a bomb", typed(web, LIST, &[("grpc-encoding", "gzip")], &envelope(1, &bomb())), Web(8)),
    ];
    let more = more.into_iter().map(|(name, send, want)| Row::new(format!("grpc-web: {name}"), send, want));
    rows.chain(more).collect()
}

fn web_text() -> Vec<Row> {
    let text = "application/grpc-web-text+proto";
    let whole = crate::build::base64(&envelope(0, b""));
    let table = [
        ("no base64", "!!!!".to_owned(), 3),
        ("base64 that ends in a group", whole[..6].to_owned(), 3),
        ("padding in the middle of a group", "A=AA".to_owned(), 3),
        ("binary instead of text", "\u{0}\u{0}\u{0}\u{0}\u{0}".to_owned(), 3),
        ("nothing", String::new(), 12),
    ];
    let rows = table.into_iter().map(|(name, body, code)| {
        Row::new(format!("grpc-web-text: {name}"), typed(text, LIST, &[], body.as_bytes()), Web(code))
    });
    let json = one(START, &[("content-encoding", "gzip")], TRUE);
    // HTTP compression of a stream is not ours to undo, and the message is plain.
    rows.chain([Row::new("connect stream: HTTP says gzip, the message does not", json, Want::Exit(0))]).collect()
}
