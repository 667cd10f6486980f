//! The rules of the house that no compiler knows: which room may import which, how long a file may be, where `unsafe`
//! may stand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms and their floor; the table of the crate's page.
const FLOORS: [(&str, u8); 16] = [
    ("folder", 0),
    ("sys", 0),
    ("qmp", 1),
    ("agent", 1),
    ("host", 1),
    ("image", 1),
    ("store", 1),
    ("disk", 2),
    ("vm", 3),
    ("snapshot", 4),
    ("template", 5),
    ("guest", 6),
    ("sandbox", 6),
    ("api", 7),
    ("proxy", 7),
    ("page", 8),
];
/// Longest source file, in lines.
const LONGEST: usize = 300;

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found = Vec::new();
    for path in entries {
        if path.is_dir() {
            found.extend(sources(&path));
        } else {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// The room that each `crate::ROOM` of a line names.
fn imports(line: &str) -> impl Iterator<Item = &str> {
    let word = |rest: &'_ str| rest.find(|other: char| !other.is_alphanumeric() && other != '_').unwrap_or(rest.len());
    line.split("crate::").skip(1).map(move |rest| &rest[..word(rest)])
}

#[test]
fn a_room_imports_only_rooms_below_it() {
    let mut breaches = Vec::new();
    for (path, text) in sources(&src()) {
        let first = path.strip_prefix(src()).unwrap().components().next().unwrap();
        let room = first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        // The library's face and the program may name all.
        let Some(own) = floor(&room) else { continue };
        for (number, line) in text.lines().enumerate() {
            let up = imports(line).filter(|other| *other != room && floor(other).is_none_or(|other| other >= own));
            breaches.extend(up.map(|other| format!("{}:{}: {room} imports {other}", path.display(), number + 1)));
        }
    }
    assert!(breaches.is_empty(), "upward or sideways imports:\n{}", breaches.join("\n"));
    assert_eq!(imports("use crate::disk::Disk; crate::vm::Vm").collect::<Vec<_>>(), ["disk", "vm"], "it can fail");
}

#[test]
fn no_file_is_longer_than_a_room_can_be() {
    let long = sources(&src()).into_iter().filter(|(_, text)| text.lines().count() > LONGEST);
    let long: Vec<_> = long.map(|(path, _)| path).collect();
    assert!(long.is_empty(), "files that are too long: {long:?}");
}

#[test]
fn unsafe_stands_in_sys_only_and_is_explained() {
    for (path, text) in sources(&src()) {
        let lines: Vec<_> = text.lines().collect();
        for (number, _) in lines.iter().enumerate().filter(|(_, line)| line.contains("unsafe {")) {
            assert!(path.starts_with(src().join("sys")), "{}: unsafe outside sys", path.display());
            let before = &lines[number.saturating_sub(6)..number];
            assert!(before.iter().any(|line| line.contains("SAFETY:")), "{}: without a SAFETY note", path.display());
        }
    }
}
