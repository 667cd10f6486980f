//! `GET /files` with everything that a URL and its headers can get wrong.

use crate::build::{Pairs, escape, get};
use crate::outcome::Want::{self, Rest, Status};
use crate::row::Row;
use crate::stage::Stage;

pub(crate) fn rows(stage: &Stage) -> Vec<Row> {
    [queries(stage), paths(stage), headers(stage)].concat()
}

fn row(name: &str, query: &str, headers: Pairs<'_>, want: Want) -> Row {
    Row::new(format!("download: {name}"), get(&format!("/files{query}"), headers), want)
}

/// Queries that cannot be parsed are refused in plain text.
fn queries(stage: &Stage) -> Vec<Row> {
    let file = escape(&stage.at("file"));
    let table = [
        ("a percent sign alone", "?path=%".to_owned()),
        ("half an escape", "?path=%4".to_owned()),
        ("an escape that is none", "?path=%zz".to_owned()),
        ("bytes that are not UTF-8", "?path=%ff".to_owned()),
        ("an escape that is none, in a name", "?%zz=1".to_owned()),
        ("path twice", format!("?path={file}&path={file}")),
        ("path twice, once escaped", format!("?path={file}&p%61th={file}")),
        ("username twice", format!("?path={file}&username=root&username=root")),
        ("signature twice", format!("?path={file}&signature=a&signature=b")),
        ("an expiration that is no number", format!("?path={file}&signature_expiration=soon")),
        ("an expiration beyond 64 bits", format!("?path={file}&signature_expiration=99999999999999999999")),
        ("an expiration twice", format!("?path={file}&signature_expiration=1&signature_expiration=1")),
    ];
    let refused = table
        .into_iter()
        .map(|(name, query)| row(name, &query, &[], Status(400)).header("content-type", "text/plain; charset=utf-8"));
    let many = format!("?{}path={file}", "x=1&".repeat(10_000));
    let more = [
        row("10,000 parameters of no meaning", &many, &[], Status(200)),
        row("a question mark in a query", &format!("?path={file}&?=?"), &[], Status(200)),
        row("a signature where none is asked for", &format!("?path={file}&signature=x"), &[], Status(200)),
    ];
    refused.chain(more).collect()
}

fn paths(stage: &Stage) -> Vec<Row> {
    let table = [
        ("no path", String::new(), Rest(400)),
        ("an empty path", "?path=".to_owned(), Rest(400)),
        ("a directory", format!("?path={}", stage.at("dir")), Rest(400)),
        ("the root", "?path=/../..".to_owned(), Rest(400)),
        ("what is not there", "?path=/no/such/file".to_owned(), Rest(404)),
        ("below a file", format!("?path={}", stage.at("file/x")), Rest(404)),
        ("a broken link", format!("?path={}", stage.at("broken")), Rest(404)),
        ("a loop", format!("?path={}", stage.at("loop")), Rest(400)),
        ("a NUL", "?path=%00".to_owned(), Rest(400)),
        ("a path with a NUL", format!("?path={}%00.txt", stage.at("file")), Rest(400)),
        ("5,000 letters", format!("?path=/{}", "a/".repeat(2500)), Rest(400)),
        ("a part of 300 letters", format!("?path=/{}", "a".repeat(300)), Rest(400)),
        ("the home of somebody else", "?path=~nobody/x".to_owned(), Rest(400)),
        ("an unknown user", "?path=/etc/passwd&username=no-such-user".to_owned(), Rest(401)),
        ("a user of 5,000 letters", format!("?path=/etc/passwd&username={}", "u".repeat(5000)), Rest(401)),
        ("a user with a NUL", "?path=/etc/passwd&username=root%00".to_owned(), Rest(401)),
        ("a detour", format!("?path={}", stage.at("none/../../stage/./file")), Status(200)),
    ];
    table.into_iter().map(|(name, query, want)| row(name, &query, &[], want)).collect()
}

fn headers(stage: &Stage) -> Vec<Row> {
    let query = format!("?path={}", stage.at("file"));
    let ranges: Vec<String> = (0..300).map(|_| "0-0".to_owned()).collect();
    let ranges = format!("bytes={}", ranges.join(","));
    let mut rows = Vec::new();
    for range in ["bytes", "bytes=", "bytes=a-b", "bytes=5-2", "bytes=99-", "bytes=-0", "bytes=--1", "bytes=1-2-3"] {
        rows.push(row(&format!("range {range}"), &query, &[("range", range)], Status(416)));
    }
    let huge = "bytes=0-99999999999999999999999999";
    rows.push(row("a range beyond 64 bits", &query, &[("range", huge)], Status(206)));
    rows.push(row("300 ranges", &query, &[("range", &ranges)], Status(200)));
    rows.push(row("overlapping ranges", &query, &[("range", "bytes=0-,0-,0-")], Status(200)));
    for (name, value) in [
        ("if-modified-since", "yesterday"),
        ("if-modified-since", "Thu, 99 Foo 9999 99:99:99 GMT"),
        ("if-none-match", "no quotes"),
        ("if-range", "nonsense"),
        ("accept-encoding", "br;q=nonsense"),
    ] {
        rows.push(row(&format!("{name}: {value}"), &query, &[(name, value)], Status(200)));
    }
    for value in ["identity;q=0", "*;q=0"] {
        let headers = [("accept-encoding", value), ("range", "bytes=0-1")];
        rows.push(row(&format!("a range, but {value}"), &query, &headers, Rest(406)));
    }
    rows.push(row("nothing is acceptable", &query, &[("accept-encoding", "*;q=0")], Rest(406)));
    rows
}
