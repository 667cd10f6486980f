//! Requests to a daemon with a token: without one, with a wrong one, with signatures that are none.

use thawd::identity::Secret;
use thawd::identity::signature::{Operation, Signed};

use crate::build::{Pairs, envelope, escape, get, one, request, typed, unary};
use crate::outcome::Want::{self, Rest, Status};
use crate::row::Row;
use crate::stage::Stage;

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const OCTETS: (&str, &str) = ("content-type", "application/octet-stream");

pub(crate) fn rows(stage: &Stage) -> Vec<Row> {
    [routes(), tokens(), signatures(stage), init()].concat()
}

/// Everything is closed but what proves itself otherwise.
fn routes() -> Vec<Row> {
    let json = [("content-type", "application/json")];
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("a unary call", unary("process.Process/List", &[], b"{}")),
        ("a stream", one("process.Process/Start", &[], br#"{"process":{"cmd":"true"}}"#)),
        ("gRPC-Web", typed("application/grpc-web", "process.Process/List", &[], &envelope(0, b""))),
        ("an unknown method", unary("process.Process/Bogus", &[], b"{}")),
        ("an unknown path", get("/bogus", &[])),
        ("health with a slash", get("/health/", &[])),
        ("health by a detour", get("/./health", &[])),
        ("health behind two slashes", get("//health", &[])),
        ("health by another verb", request("POST", "/health", &[], b"")),
        ("metrics", get("/metrics", &[])),
        ("variables", get("/envs", &[])),
        ("init by another verb", get("/init", &[])),
        ("files by another verb", request("DELETE", "/files", &[], b"")),
        ("compose", request("POST", "/files/compose", &json, b"{}")),
        ("compose with a signature", request("POST", "/files/compose?signature=x", &json, b"{}")),
        ("options that are no preflight", request("OPTIONS", "/files", &[], b"")),
    ];
    let rows = table.into_iter().map(|(name, send)| Row::new(format!("no token: {name}"), send, Rest(401)));
    let large = unary("process.Process/List", &[], &vec![b' '; 2 << 20]);
    let more = [
        Row::new("no token: 2 MB that nobody wants", large, Rest(401)),
        Row::new("no token: health", get("/health", &[]), Status(204)),
    ];
    rows.chain(more).collect()
}

fn tokens() -> Vec<Row> {
    let (longer, shorter, upper) = (format!("{TOKEN}0"), &TOKEN[1..], TOKEN.to_uppercase());
    let long = TOKEN.repeat(100);
    let (prefixed, quoted) = (format!("Bearer {TOKEN}"), format!("\"{TOKEN}\""));
    let values: [(&str, &str); 9] = [
        ("empty", ""),
        ("one letter longer", &longer),
        ("one letter shorter", shorter),
        ("in capitals", &upper),
        ("100 times", &long),
        ("with a scheme", &prefixed),
        ("in quotes", &quoted),
        ("beyond ASCII", "\u{e9}"),
        ("another", "x"),
    ];
    let rows = values.into_iter().map(|(name, value)| {
        let headers = [("x-access-token", value)];
        Row::new(format!("token: {name}"), unary("process.Process/List", &headers, b"{}"), Rest(401))
    });
    let basic = format!("Basic {}", crate::build::base64(b"no-such-user:"));
    let two: Pairs<'_> = &[("x-access-token", "x"), ("x-access-token", TOKEN)];
    let more = [
        Row::new("token: two, the first one wrong", unary("process.Process/List", two, b"{}"), Rest(401)),
        Row::new("token: of another header", get("/envs", &[("authorization", TOKEN)]), Rest(401)),
        Row::new("token: in the query", get(&format!("/envs?x-access-token={TOKEN}"), &[]), Rest(401)),
        Row::new(
            "token: right, user wrong",
            get("/envs", &[("x-access-token", TOKEN), ("authorization", &basic)]),
            STRANGER,
        ),
        Row::new("token: none, user wrong", get("/envs", &[("authorization", &basic)]), Rest(401)),
    ];
    rows.chain(more).collect()
}

const STRANGER: Want = crate::outcome::STRANGER;

fn signed(path: &str, operation: Operation, expiration: Option<i64>) -> String {
    let signature = Signed { path, operation, username: "", expiration }.signature(&Secret::new(TOKEN.to_owned()));
    let expiration = expiration.map(|expiration| format!("&signature_expiration={expiration}")).unwrap_or_default();
    format!("/files?path={}&signature={}{expiration}", escape(path), escape(&signature))
}

fn signatures(stage: &Stage) -> Vec<Row> {
    let (file, new) = (stage.at("file"), stage.at("new"));
    let read = |expiration| signed(&file, Operation::Read, expiration);
    let unsigned = format!("/files?path={file}");
    let good = read(None);
    let other = good.replace(&escape(&file), &escape(&stage.at("old")));
    let table: Vec<(&str, String, Want, &'static str)> = vec![
        ("none", unsigned.clone(), Rest(401), "missing signature query parameter"),
        ("an empty one", format!("{unsigned}&signature="), Rest(401), "invalid signature"),
        ("a wrong one", format!("{unsigned}&signature=v1_AAAA"), Rest(401), "invalid signature"),
        ("of another version", good.replace("v1_", "v2_").replace("v1%5F", "v2_"), Rest(401), "invalid signature"),
        ("of another file", other, Rest(401), "invalid signature"),
        ("of a user that it does not name", format!("{good}&username=root"), Rest(401), "invalid signature"),
        ("that has expired", read(Some(1)), Rest(401), "signature is already expired"),
        ("that expired before time began", read(Some(i64::MIN)), Rest(401), "signature is already expired"),
        ("whose time was added", format!("{good}&signature_expiration=9999999999"), Rest(401), "invalid signature"),
        (
            "whose time was taken",
            read(Some(9_999_999_999)).replace("&signature_expiration=9999999999", ""),
            Rest(401),
            "",
        ),
        ("whose time is no number", format!("{good}&signature_expiration=never"), Status(400), ""),
        ("given twice", format!("{good}&signature=x"), Status(400), ""),
        ("for writing", signed(&file, Operation::Write, None), Rest(401), "invalid signature"),
        ("of 100,000 letters", format!("{unsigned}&signature={}", "x".repeat(50_000)), Rest(401), "invalid signature"),
        ("right, file missing", signed(&stage.at("none"), Operation::Read, None), Rest(404), ""),
        ("right", read(Some(9_999_999_999)), Status(200), "some text"),
    ];
    let mut rows: Vec<_> = table
        .into_iter()
        .map(|(name, target, want, text)| Row::new(format!("signature: {name}"), get(&target, &[]), want).saying(text))
        .collect();
    let wrong = get(&good, &[("x-access-token", "wrong")]);
    rows.push(Row::new("signature: right, token wrong", wrong, Rest(401)).saying("does not match"));
    rows.push(Row::new("signature: right, token empty", get(&good, &[("x-access-token", "")]), Status(200)));
    for (name, target) in [
        ("none, to write", format!("/files?path={new}")),
        ("for reading, to write", signed(&new, Operation::Read, None)),
        ("expired, to write", signed(&new, Operation::Write, Some(1))),
    ] {
        rows.push(Row::new(format!("signature: {name}"), request("POST", &target, &[OCTETS], b"x"), Rest(401)));
    }
    rows
}

/// A token that is set can be confirmed and not replaced.
fn init() -> Vec<Row> {
    let row = |name: &str, body: &str, status: u16, text: &'static str| {
        let send = request("POST", "/init", &[("content-type", "application/json")], body.as_bytes());
        Row::new(format!("init with a token in force: {name}"), send, Status(status)).saying(text)
    };
    let rows = vec![
        row("none", "{}", 401, "access token reset not authorized"),
        row("no body", "", 401, "access token reset not authorized"),
        row("another", r#"{"accessToken":"x"}"#, 401, "access token validation failed"),
        row(
            "another, with variables",
            r#"{"accessToken":"x","envVars":{"A":"B"}}"#,
            401,
            "access token validation failed",
        ),
        row("rubbish", "{", 400, ""),
    ];
    let unchanged = Row::act("init with a token in force: nothing was applied", |stage| {
        let answer = crate::support::http::request(stage.address, "GET", "/envs", &[("x-access-token", TOKEN)], b"");
        assert_eq!(answer.status, 200);
        assert!(answer.json().get("A").is_none(), "{}", answer.text());
    });
    rows.into_iter().chain([unchanged]).collect()
}
