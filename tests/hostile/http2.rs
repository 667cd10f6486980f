//! HTTP/2 without TLS: prefaces and frames that RFC 9113 forbids.

use crate::build::envelope;
use crate::outcome::Want::{self, GoAway, Refused, Reset};
use crate::row::{Leave, Row, Starts};
use crate::stage::Stage;

/// Error codes (RFC 9113, 7). The h2 crate says `PROTOCOL_ERROR` for most that have a code of their own.
const PROTOCOL: Want = GoAway(1);
const FLOW: Want = GoAway(3);
const SIZE: Want = GoAway(6);
const CALM: Want = GoAway(11);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW: u8 = 8;

pub(crate) fn rows(_: &Stage) -> Vec<Row> {
    [prefaces(), frames(), leaving()].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn opened(frames: &[u8]) -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, b""), frames].concat()
}

/// A head block without compression (RFC 7541, 6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

fn post(path: &str, content_type: &str) -> Vec<u8> {
    let fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x")];
    block(&[&fields[..], &[("content-type", content_type), ("te", "trailers")]].concat())
}

fn prefaces() -> Vec<Row> {
    vec![
        Row::new("h2 preface: the first line alone", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_vec(), Refused(400)),
        Row::new("h2 preface: another version", b"PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n".to_vec(), Refused(400)),
        Row::leaving("h2 preface: nothing else", PREFACE.to_vec(), Leave::HalfClose).wanting(Want::Closed),
        Row::leaving("h2 preface: half of it", PREFACE[..12].to_vec(), Leave::HalfClose),
        Row::new("h2 preface: garbage behind it", [PREFACE, &[0xff; 100]].concat(), SIZE),
        Row::new("h2 preface: a request behind it", [PREFACE, b"GET / HTTP/1.1\r\n\r\n"].concat(), SIZE),
    ]
}

fn frames() -> Vec<Row> {
    let list = post("/process.Process/List", "application/json");
    let table: Vec<(&str, Vec<u8>, Want)> = vec![
        ("settings of five bytes", frame(SETTINGS, 0, 0, &[0; 5]), PROTOCOL),
        ("settings of a stream", frame(SETTINGS, 0, 1, b""), PROTOCOL),
        ("settings with a window beyond 31 bits", frame(SETTINGS, 0, 0, &[0, 4, 255, 255, 255, 255]), PROTOCOL),
        ("settings with frames of nothing", frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 0]), PROTOCOL),
        ("a ping of a stream", frame(6, 0, 1, &[0; 8]), PROTOCOL),
        ("a ping of seven bytes", frame(6, 0, 0, &[0; 7]), PROTOCOL),
        ("data of no stream", frame(DATA, 0, 0, b"x"), PROTOCOL),
        ("data of a stream that is not open", frame(DATA, 0, 1, b"x"), PROTOCOL),
        ("a head of no stream", frame(HEADERS, 4, 0, &list), PROTOCOL),
        ("a head of an even stream", frame(HEADERS, 5, 2, &list), PROTOCOL),
        ("a head of garbage", frame(HEADERS, 5, 1, &[0xff; 50]), PROTOCOL),
        ("a head that goes on elsewhere", [frame(HEADERS, 0, 1, &list), frame(9, 4, 3, b"")].concat(), PROTOCOL),
        ("a head that ends in data", [frame(HEADERS, 0, 1, &list), frame(DATA, 0, 1, b"")].concat(), PROTOCOL),
        ("the rest of no head", frame(9, 4, 1, b""), PROTOCOL),
        ("padding longer than its frame", frame(HEADERS, 0x0d, 1, &[200, 0]), PROTOCOL),
        ("a window of no growth", frame(WINDOW, 0, 0, &[0; 4]), PROTOCOL),
        ("a window beyond 31 bits", frame(WINDOW, 0, 0, &[0x7f, 255, 255, 255]), FLOW),
        ("a window of three bytes", frame(WINDOW, 0, 0, &[0; 3]), PROTOCOL),
        ("a reset of a stream that is not open", frame(3, 0, 1, &[0; 4]), PROTOCOL),
        ("a promise from a client", frame(5, 4, 1, &[0, 0, 0, 2]), PROTOCOL),
        ("a frame of 16 MiB", [0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1].to_vec(), SIZE),
    ];
    let mut rows: Vec<_> =
        table.into_iter().map(|(name, frames, want)| Row::new(format!("h2: {name}"), opened(&frames), want)).collect();
    let get = [(":method", "GET"), (":scheme", "http"), (":path", "/health")];
    for (name, fields, want) in [
        ("no pseudo-header", vec![("x", "y")], Reset(1)),
        ("an empty path", vec![get[0], get[1], (":path", "")], Reset(1)),
        ("a connection header", [&get[..], &[("connection", "x")]].concat(), Reset(1)),
        ("a pseudo-header behind a field", [&[("x", "y")], &get[..]].concat(), Reset(1)),
        ("a pseudo-header twice", [&get[..], &get[2..]].concat(), Reset(1)),
        ("a pseudo-header of answers", [&get[..], &[(":status", "200")]].concat(), Reset(1)),
        ("a pseudo-header that nobody knows", [&get[..], &[(":bogus", "x")]].concat(), PROTOCOL),
        ("a name in capitals", [&get[..], &[("X", "y")]].concat(), PROTOCOL),
        ("a name of nothing", [&get[..], &[("", "y")]].concat(), PROTOCOL),
        ("a line end in a value", [&get[..], &[("x", "a\r\nb: c")]].concat(), PROTOCOL),
    ] {
        let head = frame(HEADERS, 5, 1, &block(&fields));
        rows.push(Row::new(format!("h2: a request with {name}"), opened(&head), want));
    }
    let endless: Vec<u8> =
        (0..200).flat_map(|_| frame(9, 0, 1, &block(&[("x", &"y".repeat(100))]).repeat(50))).collect();
    let endless = opened(&[frame(HEADERS, 0, 1, &list), endless].concat());
    let endless = Row::new("h2: a head that does not end", endless, CALM);
    rows.push(endless);
    let rapid: Vec<u8> = (0..5000_u32)
        .flat_map(|number| {
            [frame(HEADERS, 4, number * 2 + 1, &list), frame(3, 0, number * 2 + 1, &[0, 0, 0, 8])].concat()
        })
        .collect();
    rows.push(Row::new("h2: 5,000 requests that are reset at once", opened(&rapid), CALM));
    rows
}

/// Clients that leave streams in the middle.
fn leaving() -> Vec<Row> {
    let start = post("/process.Process/Start", "application/connect+json");
    let head = frame(HEADERS, 4, 1, &start);
    let message = envelope(0, br#"{"process":{"cmd":"sleep","args":["300"]},"tag":"hostile"}"#);
    let cut = frame(DATA, 0, 1, &message[..10]);
    let whole = frame(DATA, 1, 1, &message);
    let cancel = frame(3, 0, 1, &[0, 0, 0, 8]);
    let mut rows = Vec::new();
    for leave in [Leave::Drop, Leave::Reset] {
        rows.push(Row::leaving(format!("h2: a head, then {leave:?}"), opened(&head), leave));
        let send = opened(&[&head[..], &cut].concat());
        rows.push(Row::leaving(format!("h2: half a message, then {leave:?}"), send, leave));
        let send = opened(&[&head[..], &cut, &cancel].concat());
        rows.push(Row::leaving(format!("h2: a cancelled request, then {leave:?}"), send, leave));
        let send = opened(&[&head[..], &whole].concat());
        let row = Row::leaving(format!("h2: a whole request, then {leave:?}"), send, leave);
        rows.push(row.starts(Starts::Perhaps));
    }
    let send = opened(&[head, whole].concat());
    let row = Row::leaving("h2: away after the first event", send, Leave::After("\"start\""));
    rows.push(row.starts(Starts::Yes));
    rows
}
