//! The rules of the house that no compiler knows: layering, sizes, where `unsafe` may stand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms and their floor; a room imports only rooms on lower floors. `docs/architecture.md` says why.
const FLOORS: [(&str, u8); 21] = [
    ("base", 0),
    ("sys", 1),
    ("workload", 2),
    ("identity", 2),
    ("activity", 2),
    ("process", 3),
    ("fs", 3),
    ("host", 3),
    ("init", 3),
    ("ports", 3),
    ("snapshot", 3),
    ("wire", 4),
    ("proto", 5),
    ("rpc", 6),
    ("http", 6),
    ("server", 7),
    ("config", 8),
    ("telemetry", 8),
    ("app", 9),
    ("lib", 10),
    ("main", 11),
];

/// Words of the wire that rooms below it may not say.
const WIRE_WORDS: [&str; 6] = ["prost", "tonic", "hyper", "http", "axum", "StatusCode"];
/// The first floor where they may be said.
const WIRE_FLOOR: u8 = 4;

/// Longest source file, in lines.
const LONGEST: usize = 500;

struct Source {
    path: PathBuf,
    room: String,
    text: String,
}

impl Source {
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let source = |path: PathBuf| {
        let below = path.strip_prefix(root().join("src")).unwrap();
        let room = below.components().next().unwrap().as_os_str().to_str().unwrap();
        let room = room.trim_end_matches(".rs").to_owned();
        Source { text: fs::read_to_string(&path).unwrap(), room, path }
    };
    files(&root().join("src")).into_iter().map(source).collect()
}

fn floor(room: &str) -> u8 {
    let found = FLOORS.iter().find(|(name, _)| *name == room);
    found.unwrap_or_else(|| panic!("the room '{room}' has no floor in tests/tidy.rs")).1
}

/// Names the rooms in every `crate::ROOM` path of a line, those in `crate::{a, b}` too.
fn imports(line: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for rest in line.split("crate::").skip(1) {
        let word = |text: &str| -> String { text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
        match rest.strip_prefix('{') {
            Some(group) => {
                rooms.extend(group.split('}').next().unwrap_or("").split(',').map(|part| word(part.trim())));
            }
            None => rooms.push(word(rest)),
        }
    }
    rooms.retain(|room| FLOORS.iter().any(|(name, _)| name == room));
    rooms
}

fn report(rule: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{rule}:\n{}", breaches.join("\n"));
}

fn at(source: &Source, line: usize, what: &str) -> String {
    format!("  {}:{line} {what}", source.path.strip_prefix(root()).unwrap().display())
}

#[test]
fn a_room_imports_only_rooms_below_it() {
    let mut breaches = Vec::new();
    for source in sources() {
        let own = floor(&source.room);
        for (number, line) in source.lines() {
            for room in imports(line).into_iter().filter(|room| *room != source.room) {
                if floor(&room) >= own {
                    breaches.push(at(&source, number, &format!("{} imports {room}", source.room)));
                }
            }
        }
    }
    report("upward or sideways imports", &breaches);
}

#[test]
fn the_rule_about_imports_can_fail() {
    assert_eq!(imports("use crate::{http, base::Kind};"), ["http", "base"]);
    assert_eq!(imports("let x = crate::rpc::status::code(crate::base::Kind::Internal);"), ["rpc", "base"]);
    assert!(floor("rpc") > floor("process") && floor("fs") == floor("process"));
}

#[test]
fn rooms_below_the_wire_do_not_speak_of_it() {
    let mut breaches = Vec::new();
    for source in sources().iter().filter(|source| floor(&source.room) < WIRE_FLOOR) {
        for (number, line) in source.code() {
            for word in WIRE_WORDS {
                if line.contains(&format!("{word}::")) {
                    breaches.push(at(source, number, word));
                }
            }
        }
    }
    report("words of the wire below it", &breaches);
}

#[test]
fn the_wire_knows_no_service() {
    let mut breaches = Vec::new();
    for source in sources().iter().filter(|source| source.room == "wire") {
        for (number, line) in source.code().take_while(|(_, line)| !line.contains("#[cfg(test)]")) {
            if ["process.", "filesystem.", "ProcessServer", "FilesystemServer"].iter().any(|name| line.contains(name)) {
                breaches.push(at(source, number, line.trim()));
            }
        }
    }
    report("services named in the wire", &breaches);
}

#[test]
fn unsafe_stands_in_sys_only_and_is_explained() {
    let mut breaches = Vec::new();
    for source in sources() {
        let lines: Vec<_> = source.text.lines().collect();
        for (number, line) in source.code().filter(|(_, line)| line.contains("unsafe {") || line.contains("unsafe fn"))
        {
            if source.room != "sys" {
                breaches.push(at(&source, number, "outside sys"));
            }
            let before = &lines[number.saturating_sub(6)..number];
            if !before.iter().any(|line| line.contains("SAFETY:")) {
                breaches.push(at(&source, number, "without a SAFETY note"));
            }
            let _ = line;
        }
    }
    report("unsafe code", &breaches);
}

#[test]
fn no_file_is_longer_than_a_room_can_be() {
    let all = ["src", "tests"].iter().flat_map(|folder| files(&root().join(folder)));
    let breaches: Vec<_> = all
        .map(|path| (fs::read_to_string(&path).unwrap().lines().count(), path))
        .filter(|(length, _)| *length > LONGEST)
        .map(|(length, path)| format!("  {} has {length} lines", path.display()))
        .collect();
    report("files that are too long", &breaches);
}

#[test]
fn main_is_short_and_the_only_one_that_chooses_the_exit_code() {
    for source in sources() {
        if source.room == "main" {
            assert!(source.text.lines().count() <= 80, "main.rs has more than 80 lines");
        } else {
            for (number, line) in source.code() {
                assert!(!line.contains("process::exit("), "{}", at(&source, number, "exits"));
            }
        }
    }
}

#[test]
fn nothing_is_unfinished_or_skipped() {
    let mut breaches = Vec::new();
    // Written in two parts, so that this file does not find itself.
    let words = [("todo", "!("), ("unimplemented", "!("), ("FIX", "ME"), ("#[ig", "nore")];
    for path in ["src", "tests"].iter().flat_map(|folder| files(&root().join(folder))) {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|(first, second)| line.contains(&format!("{first}{second}"))) {
                breaches.push(format!("  {}:{} {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    report("unfinished or skipped", &breaches);
}
