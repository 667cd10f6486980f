//! `POST /files` with bodies, forms and headers that are not what they should be.

use crate::build::{Pairs, escape, gzip, raw, request};
use crate::outcome::Want::{self, Broken, Rest, Status};
use crate::row::{Deed, Leave, Row};
use crate::stage::Stage;

const OCTETS: (&str, &str) = ("content-type", "application/octet-stream");

pub(crate) fn rows(stage: &Stage) -> Vec<Row> {
    [targets(stage), kinds(stage), coded(stage), metadata(stage), forms(stage), short(stage)].concat()
}

fn put(name: &str, path: &str, headers: Pairs<'_>, body: &[u8], want: Want) -> Row {
    let target = format!("/files?path={}", escape(path));
    Row::new(format!("upload: {name}"), request("POST", &target, &[&[OCTETS], headers].concat(), body), want)
}

fn targets(stage: &Stage) -> Vec<Row> {
    let table: Vec<(&str, String, Want)> = vec![
        ("to a directory", stage.at("dir"), Rest(400)),
        ("to the root", "/".into(), Rest(400)),
        ("to nothing", String::new(), Rest(400)),
        ("below a file", stage.at("file/x"), Rest(400)),
        ("to a loop", stage.at("loop"), Rest(400)),
        ("to a NUL", stage.at("a\0b"), Rest(400)),
        ("to 5,000 letters", format!("/{}", "a/".repeat(2500)), Rest(400)),
        ("to a part of 300 letters", stage.at(&"a".repeat(300)), Rest(400)),
        ("to a part of 300 letters below new folders", stage.at(&format!("new/{}", "a".repeat(300))), Rest(400)),
        ("to the home of somebody else", "~nobody/x".into(), Rest(400)),
        ("to a pipe that nobody reads", stage.at("fifo"), Rest(400)),
        ("to a full device", "/dev/full".into(), Rest(507)),
    ];
    let mut rows: Vec<_> = table.into_iter().map(|(name, path, want)| put(name, &path, &[], b"x", want)).collect();
    let unnamed = request("POST", "/files", &[OCTETS], b"x");
    rows.push(Row::new("upload: without a path", unnamed, Rest(400)));
    let target = format!("/files?path={}&username=no-such-user", escape(&stage.at("new")));
    rows.push(Row::new("upload: by an unknown user", request("POST", &target, &[OCTETS], b"x"), Rest(401)));
    let twice = format!("/files?path={0}&path={0}", escape(&stage.at("new")));
    rows.push(Row::new("upload: to a path that is given twice", request("POST", &twice, &[OCTETS], b"x"), Status(400)));
    let escaped = request("POST", "/files?path=%c0%ae", &[OCTETS], b"x");
    rows.push(Row::new("upload: to a path that is not UTF-8", escaped, Status(400)));
    let detour = put("to a detour", &stage.at("none/../new"), &[], b"x", Status(200));
    rows.push(detour.makes(stage.folder.join("new")));
    rows
}

fn kinds(stage: &Stage) -> Vec<Row> {
    let target = format!("/files?path={}", escape(&stage.at("new")));
    let kinds = ["", "text/plain", "application/json", "application/octet", "octet-stream", "multipart", "\u{ff}"];
    let rows = kinds.into_iter().map(|kind| {
        let send = request("POST", &target, &[("content-type", kind)], b"x");
        Row::new(format!("upload: of type {kind:?}"), send, Rest(400))
    });
    rows.chain([Row::new("upload: of no type", request("POST", &target, &[], b"x"), Rest(400))]).collect()
}

fn coded(stage: &Stage) -> Vec<Row> {
    let packed = gzip(&vec![b'x'; 300_000]);
    let mut wrong = packed.clone();
    *wrong.last_mut().unwrap() ^= 1;
    let table: Vec<(&str, &str, Vec<u8>)> = vec![
        ("not gzip", "gzip", b"plain text".to_vec()),
        ("nothing as gzip", "gzip", vec![]),
        ("gzip without its end", "gzip", packed[..packed.len() - 3].to_vec()),
        ("half of a gzip head", "gzip", packed[..5].to_vec()),
        ("gzip with a wrong checksum", "gzip", wrong),
        ("gzip and garbage", "gzip", [&packed[..], b"garbage"].concat()),
        ("brotli", "br", packed.clone()),
        ("gzip twice", "gzip, gzip", gzip(&packed)),
    ];
    let mut rows = Vec::new();
    for (name, coding, body) in table {
        let headers = [("content-encoding", coding)];
        rows.push(put(&format!("{name}, to a new file"), &stage.at("new"), &headers, &body, Rest(400)));
        rows.push(put(&format!("{name}, over a file"), &stage.at("old"), &headers, &body, Rest(400)));
    }
    rows
}

fn metadata(stage: &Stage) -> Vec<Row> {
    let (key, longer) = (format!("x-metadata-{}", "k".repeat(247)), "v".repeat(4087));
    let (half, many) = ("v".repeat(2048), "v".repeat(100_000));
    let table: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("of a key that is too long", vec![(&key, "v")]),
        ("of a value that is too long", vec![("x-metadata-k", &longer)]),
        ("of two values that are too long", vec![("x-metadata-a", &half), ("x-metadata-b", &half)]),
        ("of 100,000 bytes", vec![("x-metadata-k", &many)]),
        ("beyond ASCII", vec![("x-metadata-k", "\u{e9}")]),
        ("with a tab inside", vec![("x-metadata-k", "a\tb")]),
    ];
    let rows = table
        .into_iter()
        .map(|(name, headers)| put(&format!("metadata {name}"), &stage.at("new"), &headers, b"x", Rest(400)));
    rows.collect()
}

/// A part of a form.
fn part(disposition: &str, content: &str) -> String {
    format!("--B\r\nContent-Disposition: {disposition}\r\n\r\n{content}\r\n")
}

fn forms(stage: &Stage) -> Vec<Row> {
    let to = |path: &str| part(&format!("form-data; name=\"file\"; filename=\"{path}\""), "x");
    let (new, old) = (stage.at("new"), stage.at("old"));
    let form = "multipart/form-data; boundary=B";
    let pair = format!("{}{}--B--\r\n", to(&new), to(&new));
    let table: Vec<(&str, &str, String, Want)> = vec![
        ("without a boundary", "multipart/form-data", format!("{}--B--\r\n", to(&new)), Rest(500)),
        ("with an empty boundary", "multipart/form-data; boundary=", to(&new), Rest(500)),
        ("with another boundary", "multipart/form-data; boundary=C", to(&new), Rest(500)),
        ("of nothing", form, String::new(), Rest(500)),
        ("of garbage", form, "garbage".repeat(1000), Rest(500)),
        ("of a boundary alone", form, "--B".into(), Rest(500)),
        ("without its end", form, to(&new), Rest(500)),
        ("without its end, over a file", form, to(&old), Rest(500)),
        ("cut in a part", form, to(&new)[..60].into(), Rest(500)),
        ("cut in the last boundary", form, format!("{}--B", to(&new)), Rest(500)),
        (
            "of a part without a filename",
            form,
            format!("{}--B--\r\n", part("form-data; name=\"file\"", "x")),
            Rest(400),
        ),
        ("of a part with an empty filename", form, format!("{}--B--\r\n", to("")), Rest(400)),
        ("to a directory", form, format!("{}--B--\r\n", to(&stage.at("dir"))), Rest(400)),
        ("to a part of 300 letters", form, format!("{}--B--\r\n", to(&stage.at(&"a".repeat(300)))), Rest(400)),
        ("to the home of somebody else", form, format!("{}--B--\r\n", to("~nobody/x")), Rest(400)),
        (
            "of 5,000 parts that are no files",
            form,
            part("form-data; name=\"x\"", "y").repeat(5000) + "--B--\r\n",
            Status(200),
        ),
        ("of parts without a head", form, "--B\r\n\r\nx\r\n".repeat(100) + "--B--\r\n", Status(200)),
        ("of a part whose head never ends", form, format!("--B\r\nX: {}", "x".repeat(200_000)), Rest(400)),
    ];
    let rows = table.into_iter().map(|(name, kind, body, want)| {
        let send = request("POST", "/files", &[("content-type", kind)], body.as_bytes());
        Row::new(format!("form: {name}"), send, want)
    });
    let twice = request("POST", "/files", &[("content-type", form)], pair.as_bytes());
    let twice = Row::new("form: of the same target twice", twice, Rest(400)).makes(&new);
    let many: String = (0..5000).map(|_| to(&new)).collect();
    let many = request("POST", "/files", &[("content-type", form)], many.as_bytes());
    let many = Row::new("form: of the same target 5,000 times", many, Rest(400)).makes(&new);
    rows.chain([twice, many]).collect()
}

/// Bodies that end before they should; nothing may be left of them.
fn short(stage: &Stage) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, path) in [("new file", "new"), ("file that is there", "old"), ("file in new folders", "a/b/c")] {
        let target = format!("/files?path={}", escape(&stage.at(path)));
        let promised: Pairs<'_> = &[OCTETS, ("content-length", "1000")];
        let chunked: Pairs<'_> = &[OCTETS, ("transfer-encoding", "chunked")];
        for (how, headers, body) in [
            ("10 of 1,000 bytes", promised, &b"0123456789"[..]),
            ("none of 1,000 bytes", promised, b""),
            ("no last chunk", chunked, b"5\r\nhello\r\n"),
            ("half a chunk", chunked, b"50\r\nhello"),
        ] {
            let send = raw("POST", &target, headers, body);
            let row = Row::new(format!("upload: {how} to a {name}"), send.clone(), Broken);
            rows.push(Row { deed: Deed::Send(send, Leave::HalfClose), ..row });
        }
        let broken = raw("POST", &target, chunked, b"5\r\nhello\r\nzz\r\nhello\r\n0\r\n\r\n");
        rows.push(Row::new(format!("upload: a broken chunk to a {name}"), broken, Rest(400)));
    }
    rows
}
