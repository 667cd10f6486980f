//! Forms: each file is written once the form goes on well after it.

use std::fs;
use std::path::Path;

use crate::support::{Answer, Scratch, Server, cut_off, escape, noise};

const TYPE: (&str, &str) = ("Content-Type", "multipart/form-data; boundary=XYZ");

fn part(name: &str, filename: Option<&str>, content: &[u8]) -> Vec<u8> {
    let filename = filename.map(|filename| format!("; filename=\"{filename}\"")).unwrap_or_default();
    let head = format!("--XYZ\r\nContent-Disposition: form-data; name=\"{name}\"{filename}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

fn form(parts: &[Vec<u8>]) -> Vec<u8> {
    [&parts.concat()[..], b"--XYZ--\r\n"].concat()
}

fn post(server: Server, query: &str, body: &[u8]) -> Answer {
    server.ask("POST", &format!("/files{query}"), &[TYPE], body)
}

fn name(path: &Path) -> Option<&str> {
    path.to_str()
}

#[test]
fn several_files_go_where_their_names_say_and_other_fields_are_skipped() {
    let (server, scratch) = (Server::open(), Scratch::new());
    let (a, b, c) = (scratch.at("a"), scratch.at("dir/b \u{e9}"), scratch.at("q\"uo\\te"));
    let big = noise(1_000_000);
    let body = form(&[
        part("note", None, b"skipped"),
        part("file", name(&a), b"first\r\n--XY not the boundary"),
        part("file", name(&b), &big),
        part("file", Some(&c.to_str().unwrap().replace('\\', "\\\\").replace('"', "\\\"")), b""),
    ]);
    let answer = post(server, "", &body).ok();
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let paths: Vec<_> = json.as_array().unwrap().iter().map(|entry| entry["path"].as_str().unwrap()).collect();
    assert_eq!(paths, [&a, &b, &c].map(|path| path.to_str().unwrap()));
    assert_eq!(fs::read(&a).unwrap(), b"first\r\n--XY not the boundary");
    assert!(fs::read(&b).unwrap() == big);
    assert_eq!(fs::read(&c).unwrap(), b"");
}

#[test]
fn the_path_of_the_query_wins_over_the_file_name() {
    let (server, scratch) = (Server::open(), Scratch::new());
    let query = format!("?path={}", escape(&scratch.at("asked")));
    post(server, &query, &form(&[part("file", Some("/nowhere/at/all"), b"x")])).ok();
    assert_eq!(scratch.names(), ["asked"]);
    // The first of two for one path stays.
    let two = form(&[part("file", Some("a"), b"1"), part("file", Some("b"), b"2")]);
    post(server, &query, &two).refused(400);
    assert_eq!(fs::read(scratch.at("asked")).unwrap(), b"1");
    post(server, "", &form(&[part("file", None, b"x")])).refused(400);
}

#[test]
fn a_broken_form_changes_nothing() {
    let (server, scratch) = (Server::open(), Scratch::new());
    let old = scratch.at("old");
    fs::write(&old, "old").unwrap();
    for size in [10, 300_000, 2_000_000] {
        for path in [&old, &scratch.at("made/new")] {
            let whole = form(&[part("file", name(path), &noise(size))]);
            let content = whole.len() - size - 11;
            for end in [10, content, content + size / 2, whole.len() - 11, whole.len() - 6, whole.len() - 4] {
                assert!(post(server, "", &whole[..end]).status >= 400, "cut at {end} of {}", whole.len());
            }
            let short = (whole.len() + 5).to_string();
            let mut cut = server.open_request("POST", "/files", &[TYPE, ("Content-Length", &short)]);
            std::io::Write::write_all(&mut cut, &whole).unwrap();
            cut_off(cut);
        }
    }
    assert_eq!(scratch.names(), ["old"]);
    assert_eq!(fs::read(&old).unwrap(), b"old");
    assert_eq!(server.ask("POST", "/files", &[("Content-Type", "multipart/form-data")], b"").status, 500);
}

#[test]
fn a_part_that_breaks_off_leaves_the_files_before_it() {
    let (server, scratch) = (Server::open(), Scratch::new());
    let body = [part("file", name(&scratch.at("a")), b"a"), part("file", name(&scratch.at("b")), b"b")].concat();
    post(server, "", &body[..body.len() - 2]).refused(500);
    assert_eq!(scratch.names(), ["a"]);
}

#[test]
fn a_head_without_end_is_refused_before_it_fills_memory() {
    let (server, scratch) = (Server::open(), Scratch::new());
    let endless = [b"--XYZ\r\nContent-Disposition: form-data; x=".to_vec(), vec![b'a'; 5_000_000]].concat();
    post(server, "", &endless).refused(400);
    post(server, "", &vec![b'-'; 5_000_000]).refused(400);
    assert!(scratch.names().is_empty());
}
