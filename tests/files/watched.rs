//! What watchers of a directory see of an upload into it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use notify::event::{CreateKind, ModifyKind};
use notify::{Event, EventKind, RecursiveMode, Watcher};

use crate::support::{Scratch, Server, cut_off, noise};

struct Watch {
    _watcher: notify::RecommendedWatcher,
    events: Receiver<notify::Result<Event>>,
    end: std::path::PathBuf,
}

impl Watch {
    fn on(dir: &Path) -> Self {
        let (sender, events) = channel();
        let mut watcher = notify::recommended_watcher(sender).unwrap();
        watcher.watch(dir, RecursiveMode::NonRecursive).unwrap();
        Self { _watcher: watcher, events, end: dir.join("end-of-test") }
    }

    /// Gives all events up to now as `CREATE name` and the like; access is left out, strange names are not.
    fn seen(&self) -> Vec<String> {
        fs::write(&self.end, "").unwrap();
        let mut seen: Vec<String> = Vec::new();
        loop {
            let event = self.events.recv_timeout(Duration::from_secs(30)).unwrap().unwrap();
            if event.paths.contains(&self.end) {
                fs::remove_file(&self.end).unwrap();
                return seen;
            }
            let name = event.paths[0].file_name().unwrap().to_str().unwrap().to_owned();
            let what = match event.kind {
                EventKind::Create(CreateKind::File) => "CREATE",
                EventKind::Create(_) => "MKDIR",
                EventKind::Modify(ModifyKind::Data(_)) => "WRITE",
                EventKind::Modify(ModifyKind::Metadata(_)) => "CHMOD",
                EventKind::Remove(_) => "REMOVE",
                EventKind::Access(_) if name == "f" || Some(&*event.paths[0]) == self.end.parent() => continue,
                _ => "OTHER",
            };
            let line = format!("{what} {name}");
            if seen.last() != Some(&line) {
                seen.push(line);
            }
        }
    }
}

fn laws(server: Server, dir: &Path) {
    for size in [0, 10, 300_000, 2_000_000] {
        let watch = Watch::on(dir);
        let path = dir.join("f");
        server.put(&path, &[], &noise(size)).ok();
        assert_eq!(watch.seen(), ["CREATE f", "WRITE f"], "new, {size} bytes");
        let watch = Watch::on(dir);
        server.put(&path, &[], &noise(size)).ok();
        assert_eq!(watch.seen(), ["WRITE f"], "overwritten, {size} bytes");
        fs::remove_file(&path).unwrap();
        let watch = Watch::on(dir);
        let short = (size + 1).to_string();
        let mut cut = server.begin(&path, &[("Content-Length", &short)]);
        cut.write_all(&noise(size)).unwrap();
        cut_off(cut);
        assert_eq!(watch.seen(), Vec::<String>::new(), "cut off, {size} bytes");
    }
}

#[test]
fn watchers_see_create_and_write_of_a_new_file_and_write_of_an_old_one_and_no_other_name() {
    let (server, scratch) = (Server::open(), Scratch::new());
    laws(server, scratch.path());
}

#[test]
fn the_same_holds_in_the_root_of_a_disk() {
    let server = Server::open();
    let scratch = Scratch::ext4(64, &[]);
    laws(server, scratch.path());
}

#[test]
fn where_no_file_can_be_without_a_name_a_new_one_still_comes_whole_or_not_at_all() {
    let (server, scratch) = (Server::open(), Scratch::tmpfs("size=64m"));
    for size in [0, 10, 300_000, 2_000_000] {
        let watch = Watch::on(scratch.path());
        server.put(&scratch.at("f"), &[], &noise(size)).ok();
        assert_eq!(watch.seen(), ["CREATE f", "CHMOD f", "WRITE f"], "new, {size} bytes");
        let watch = Watch::on(scratch.path());
        server.put(&scratch.at("f"), &[], &noise(size + 1)).ok();
        assert_eq!(watch.seen(), ["WRITE f"], "overwritten, {size} bytes");
        fs::remove_file(scratch.at("f")).unwrap();
    }
    let watch = Watch::on(scratch.path());
    server.put(&scratch.at("f"), &[], &noise(70_000_000)).refused(507);
    assert_eq!(watch.seen(), Vec::<String>::new());
}

#[test]
fn a_composed_file_appears_once_and_whole() {
    let (server, scratch) = (Server::open(), Scratch::new());
    for name in ["part1", "part2"] {
        fs::write(scratch.at(name), name).unwrap();
    }
    let watch = Watch::on(scratch.path());
    let parts = ["part1", "part2"].map(|name| scratch.at(name));
    let body = serde_json::json!({"source_paths": parts, "destination": scratch.at("f")}).to_string();
    let answer = server.ask("POST", "/files/compose", &[], body.as_bytes()).ok();
    assert_eq!(answer.text(), format!(r#"{{"name":"f","path":"{}","type":"file"}}"#, scratch.at("f").display()));
    let mut seen = watch.seen();
    seen.retain(|line| !line.starts_with("OTHER part"));
    assert_eq!(seen, ["CREATE f", "WRITE f", "REMOVE part1", "REMOVE part2"]);
    assert_eq!(fs::read(scratch.at("f")).unwrap(), b"part1part2");
}
