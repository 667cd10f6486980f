//! The laws of watching. A stored watcher's answer has every change made before the question, so nothing sleeps.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::libc;

use super::Change::{Chmod, Create, Remove, Rename, Write};
use super::*;
use crate::base::{Failure, Kind};
use crate::fs::scratch::{Scratch, user};
use crate::fs::{Access, Files};
use crate::identity::{Accounts, ResolvedPath};

fn spec(path: &Path, recursive: bool) -> Spec {
    let path = ResolvedPath::resolve(path.to_str().unwrap(), &user(), None).unwrap();
    Spec { path, recursive, include_entry: false, allow_network_mounts: false }
}

fn watches() -> Watches {
    Watches::new(Files::new(Access::Root, Arc::new(Accounts::default())))
}

/// A stored watcher on a directory.
struct Stored(Watches, String);

impl Stored {
    async fn on(path: &Path, recursive: bool) -> Self {
        let watches = watches();
        let id = watches.create(&user(), spec(path, recursive)).await.unwrap();
        Self(watches, id)
    }

    async fn told(&self) -> Vec<(Change, String)> {
        let events = self.0.events(&self.1).await.unwrap();
        events.into_iter().map(|event| (event.change, event.name)).collect()
    }
}

fn told(list: &[(Change, &str)]) -> Vec<(Change, String)> {
    list.iter().map(|(change, name)| (*change, (*name).to_owned())).collect()
}

#[tokio::test]
async fn each_change_is_told_by_its_word_and_in_order() {
    let scratch = Scratch::new();
    let stored = Stored::on(scratch.path(), false).await;
    fs::write(scratch.at("f"), "x").unwrap();
    fs::set_permissions(scratch.at("f"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fs::rename(scratch.at("f"), scratch.at("g")).unwrap();
    fs::create_dir(scratch.at("d")).unwrap();
    fs::write(scratch.at("d/unseen"), "").unwrap();
    fs::remove_file(scratch.at("g")).unwrap();
    let want = [(Create, "f"), (Write, "f"), (Chmod, "f"), (Rename, "f"), (Create, "g"), (Create, "d"), (Remove, "g")];
    assert_eq!(stored.told().await, told(&want));
    assert_eq!(stored.told().await, []);
}

#[tokio::test]
async fn ten_thousand_creations_are_told_ten_thousand_times() {
    let scratch = Scratch::new();
    let stored = Stored::on(scratch.path(), true).await;
    let path = scratch.path().to_owned();
    let maker = move || (0..10_000).for_each(|name| drop(fs::File::create(path.join(name.to_string())).unwrap()));
    tokio::task::spawn_blocking(maker).await.unwrap();
    let names: Vec<_> = stored.told().await.into_iter().filter(|(change, _)| *change == Create).collect();
    assert_eq!(names.len(), 10_000);
    assert_eq!(names.into_iter().map(|(_, name)| name).collect::<std::collections::HashSet<_>>().len(), 10_000);
}

#[tokio::test]
async fn a_new_directory_is_watched_and_what_it_came_with_is_told_once() {
    let scratch = Scratch::new();
    let stored = Stored::on(scratch.path(), true).await;
    for round in 0..30 {
        let top = format!("t{round}");
        fs::create_dir_all(scratch.at(&format!("{top}/a/b"))).unwrap();
        fs::File::create(scratch.at(&format!("{top}/a/b/f"))).unwrap();
        fs::File::create(scratch.at(&format!("{top}/g"))).unwrap();
        let mut created: Vec<_> = stored.told().await;
        created.sort_by(|one, other| one.1.cmp(&other.1));
        let want = ["", "/a", "/a/b", "/a/b/f", "/g"].map(|name| (Create, format!("{top}{name}")));
        assert_eq!(created, want);
    }
}

#[tokio::test]
async fn a_tree_that_is_moved_in_is_told_and_watched_and_one_that_is_moved_out_is_not() {
    let (scratch, other) = (Scratch::new(), Scratch::new());
    fs::create_dir_all(other.at("t/a")).unwrap();
    fs::write(other.at("t/a/f"), "").unwrap();
    let stored = Stored::on(scratch.path(), true).await;
    fs::rename(other.at("t"), scratch.at("t")).unwrap();
    assert_eq!(stored.told().await, told(&[(Create, "t"), (Create, "t/a"), (Create, "t/a/f")]));
    fs::File::create(scratch.at("t/a/g")).unwrap();
    assert_eq!(stored.told().await, told(&[(Create, "t/a/g")]));
    fs::rename(scratch.at("t"), other.at("t")).unwrap();
    assert_eq!(stored.told().await, told(&[(Rename, "t")]));
    fs::File::create(other.at("t/a/h")).unwrap();
    assert_eq!(stored.told().await, []);
}

#[tokio::test]
async fn renaming_a_directory_keeps_its_watches_and_leaves_alike_names_alone() {
    let scratch = Scratch::new();
    for name in ["a/deep", "ab/deep"] {
        fs::create_dir_all(scratch.at(name)).unwrap();
    }
    let stored = Stored::on(scratch.path(), true).await;
    fs::rename(scratch.at("a"), scratch.at("z")).unwrap();
    fs::File::create(scratch.at("z/deep/f")).unwrap();
    fs::File::create(scratch.at("ab/deep/f")).unwrap();
    fs::create_dir(scratch.at("a")).unwrap();
    fs::File::create(scratch.at("z/g")).unwrap();
    let want =
        [(Rename, "a"), (Create, "z"), (Create, "z/deep/f"), (Create, "ab/deep/f"), (Create, "a"), (Create, "z/g")];
    assert_eq!(stored.told().await, told(&want));
    fs::rename(scratch.at("z"), scratch.at("ab/deep/y")).unwrap();
    fs::remove_file(scratch.at("ab/deep/y/deep/f")).unwrap();
    let want = [(Rename, "z"), (Create, "ab/deep/y"), (Remove, "ab/deep/y/deep/f")];
    assert_eq!(stored.told().await, told(&want));
}

#[tokio::test]
async fn directories_that_come_and_go_never_end_a_recursive_watch() {
    let scratch = Scratch::new();
    let watches = watches();
    let mut subscription = watches.open(&user(), spec(scratch.path(), true)).await.unwrap();
    let path = scratch.path().to_owned();
    let churn = move || {
        for round in 0..3000 {
            let dir = path.join(format!("d{}", round % 5));
            fs::create_dir_all(dir.join("x/y")).unwrap();
            fs::remove_dir_all(&dir).unwrap();
        }
        fs::create_dir_all(path.join("d0/x/y")).unwrap();
        fs::File::create(path.join("d0/x/y/last")).unwrap();
    };
    let churning = tokio::task::spawn_blocking(churn);
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        let event = subscription.next().await.unwrap().unwrap();
        if event.name == "d0/x/y/last" {
            churning.await.unwrap();
            return;
        }
    }
    panic!("the last creation was not told");
}

#[tokio::test]
async fn a_directory_that_is_made_again_is_watched_again() {
    let scratch = Scratch::new();
    let stored = Stored::on(scratch.path(), true).await;
    for _ in 0..50 {
        fs::create_dir(scratch.at("d")).unwrap();
        fs::File::create(scratch.at("d/f")).unwrap();
        let before = stored.told().await;
        assert!(before.contains(&(Create, "d/f".into())), "{before:?}");
        fs::remove_dir_all(scratch.at("d")).unwrap();
        fs::create_dir(scratch.at("d")).unwrap();
        stored.told().await;
        fs::File::create(scratch.at("d/g")).unwrap();
        assert_eq!(stored.told().await, told(&[(Create, "d/g")]));
        fs::remove_dir_all(scratch.at("d")).unwrap();
        stored.told().await;
    }
}

/// Lets the clock that stamps files go on: times cannot tell apart what happens within one tick.
async fn tick() {
    let begin = super::scan::now();
    while super::scan::now() <= begin + Duration::from_millis(20) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn lost_events_are_looked_for_and_the_watch_goes_on() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.at("old/gone")).unwrap();
    fs::write(scratch.at("untouched"), "").unwrap();
    fs::write(scratch.at("written"), "").unwrap();
    tick().await;
    let mut subscription = watches().open(&user(), spec(scratch.path(), true)).await.unwrap();
    fs::File::create(scratch.at("told")).unwrap();
    assert_eq!(subscription.next().await.unwrap().unwrap().name, "told");
    subscription.deafen(true);
    fs::create_dir_all(scratch.at("new/deep")).unwrap();
    fs::write(scratch.at("new/deep/f"), "").unwrap();
    fs::write(scratch.at("written"), "x").unwrap();
    fs::remove_dir(scratch.at("old/gone")).unwrap();
    let mut events = Vec::new();
    while !events.contains(&(Remove, "old/gone".to_owned())) {
        let event = subscription.next().await.unwrap().unwrap();
        events.push((event.change, event.name));
    }
    subscription.deafen(false);
    fs::File::create(scratch.at("new/deep/last")).unwrap();
    let wanted = told(&[(Write, "written"), (Create, "new/deep/last")]);
    while !wanted.iter().all(|wanted| events.contains(wanted)) {
        let event = subscription.next().await.unwrap().unwrap();
        events.push((event.change, event.name));
    }
    let created: std::collections::BTreeSet<_> =
        events.iter().filter(|(change, _)| *change == Create).map(|(_, name)| &**name).collect();
    assert_eq!(created, ["new", "new/deep", "new/deep/f", "new/deep/last"].into());
    assert!(!events.iter().any(|(_, name)| name == "untouched"), "{events:?}");
}

#[tokio::test]
async fn every_creation_is_told_though_events_are_lost_in_the_middle_of_a_burst() {
    const FILES: usize = 6_000;
    let scratch = Scratch::new();
    fs::create_dir(scratch.at("d")).unwrap();
    tick().await;
    let mut subscription = watches().open(&user(), spec(scratch.path(), true)).await.unwrap();
    for name in 0..FILES {
        match name {
            1_000 | 3_000 => subscription.deafen(true),
            1_500 | 5_900 => subscription.deafen(false),
            _ => {}
        }
        drop(fs::File::create(scratch.at(&format!("d/{name}"))).unwrap());
    }
    let mut seen = std::collections::HashSet::new();
    while seen.len() < FILES {
        let next = tokio::time::timeout(Duration::from_secs(30), subscription.next()).await;
        let event = next.unwrap_or_else(|_| panic!("{} creations told", seen.len())).unwrap().unwrap();
        if event.change == Create {
            seen.insert(event.name);
        }
    }
}

#[tokio::test]
async fn removing_the_watched_directory_is_told_and_leaves_the_watch_open_and_quiet() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.at("d/sub")).unwrap();
    let stored = Stored::on(&scratch.at("d"), true).await;
    fs::remove_dir_all(scratch.at("d")).unwrap();
    assert_eq!(stored.told().await, told(&[(Remove, "sub"), (Remove, ".")]));
    fs::create_dir(scratch.at("d")).unwrap();
    fs::write(scratch.at("d/f"), "").unwrap();
    assert_eq!(stored.told().await, []);
}

#[tokio::test]
async fn changes_of_the_watched_directory_itself_are_told_as_a_dot() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.at("d")).unwrap();
    let stored = Stored::on(&scratch.at("d"), false).await;
    fs::set_permissions(scratch.at("d"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    fs::rename(scratch.at("d"), scratch.at("e")).unwrap();
    fs::write(scratch.at("e/f"), "").unwrap();
    let got = stored.told().await;
    assert_eq!(got[..3], told(&[(Chmod, "."), (Rename, "."), (Create, "f")]));
}

#[tokio::test]
async fn a_file_without_a_name_is_not_told_before_it_has_one() {
    let scratch = Scratch::new();
    let stored = Stored::on(scratch.path(), false).await;
    let file = fs::OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).open(scratch.path()).unwrap();
    std::io::Write::write_all(&mut &file, b"content").unwrap();
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    assert_eq!(stored.told().await, []);
    let name = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    let flags = nix::fcntl::AtFlags::AT_SYMLINK_FOLLOW;
    let here = nix::fcntl::AT_FDCWD;
    nix::unistd::linkat(here, &*name, here, &scratch.at("f"), flags).unwrap();
    assert_eq!(stored.told().await.first(), Some(&(Create, "f".to_owned())));
    fs::write(scratch.at("#123"), "x").unwrap();
    assert_eq!(stored.told().await, told(&[(Create, "#123"), (Write, "#123")]));
}

#[tokio::test]
async fn a_watch_starts_at_its_start_also_when_another_is_there() {
    let scratch = Scratch::new();
    let watches = watches();
    let first = watches.create(&user(), spec(scratch.path(), true)).await.unwrap();
    for round in 0..50 {
        fs::write(scratch.at(&format!("before{round}")), "x").unwrap();
        let second = watches.create(&user(), spec(scratch.path(), true)).await.unwrap();
        assert_eq!(watches.events(&second).await.unwrap(), []);
        fs::File::create(scratch.at(&format!("after{round}"))).unwrap();
        let events = watches.events(&second).await.unwrap();
        assert_eq!(events.len(), 1);
        watches.remove(&second).unwrap();
    }
    assert_eq!(watches.events(&first).await.unwrap().len(), 50 * 3);
}

#[tokio::test]
async fn no_thread_is_left_when_the_last_watch_is_gone() {
    let scratch = Scratch::new();
    let watches = watches();
    assert!(!watches.running());
    let one = watches.open(&user(), spec(scratch.path(), true)).await.unwrap();
    let two = watches.create(&user(), spec(scratch.path(), false)).await.unwrap();
    drop(one);
    assert!(watches.running());
    watches.remove(&two).unwrap();
    assert!(!watches.running());
    assert!(watches.open(&user(), spec(Path::new("/none"), false)).await.is_err());
    assert!(!watches.running());
}

#[tokio::test]
async fn watches_that_end_while_events_rain_block_nobody() {
    let scratch = Scratch::new();
    let watches = watches();
    let path = scratch.path().to_owned();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let rain = tokio::task::spawn_blocking(move || {
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            fs::create_dir_all(path.join("a/b/c")).unwrap();
            fs::write(path.join("a/b/c/f"), "x").unwrap();
            fs::remove_dir_all(path.join("a")).unwrap();
        }
    });
    let kept = watches.open(&user(), spec(scratch.path(), true)).await.unwrap();
    for _ in 0..100 {
        let round = async {
            let mut subscription = watches.open(&user(), spec(scratch.path(), true)).await.unwrap();
            subscription.next().await.unwrap().unwrap();
        };
        tokio::time::timeout(Duration::from_secs(30), round).await.unwrap();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    rain.await.unwrap();
    drop(kept);
}

#[tokio::test]
async fn an_entry_comes_with_what_is_there_and_only_if_asked_for() {
    let scratch = Scratch::new();
    let watches = watches();
    let with = Spec { include_entry: true, ..spec(scratch.path(), false) };
    let id = watches.create(&user(), with).await.unwrap();
    fs::write(scratch.at("f"), "abc").unwrap();
    let events = watches.events(&id).await.unwrap();
    let entry = events.iter().find(|event| event.change == Write).unwrap().entry.as_ref().unwrap();
    assert_eq!((entry.size, &*entry.path), (3, &*scratch.at("f").to_string_lossy()));
    fs::rename(scratch.at("f"), scratch.at("g")).unwrap();
    fs::remove_file(scratch.at("g")).unwrap();
    fs::write(scratch.at("g"), "").unwrap();
    for event in watches.events(&id).await.unwrap() {
        assert!(!matches!(event.change, Rename | Remove) || event.entry.is_none(), "{event:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_watched_says_why() {
    let scratch = Scratch::new();
    fs::write(scratch.at("f"), "").unwrap();
    symlink("loop", scratch.at("loop")).unwrap();
    let watches = watches();
    for (name, kind) in [
        ("f", Kind::InvalidArgument),
        ("f/x", Kind::NotFound),
        ("none", Kind::NotFound),
        ("loop", Kind::FailedPrecondition),
    ] {
        let error = watches.open(&user(), spec(&scratch.at(name), false)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{name}");
    }
    assert_eq!(watches.events("w0").await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(watches.remove("w0").unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_linked_directory_is_watched_under_the_link() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.at("d/sub")).unwrap();
    symlink("d", scratch.at("l")).unwrap();
    symlink("..", scratch.at("d/up")).unwrap();
    let stored = Stored::on(&scratch.at("l"), true).await;
    fs::File::create(scratch.at("d/sub/f")).unwrap();
    assert_eq!(stored.told().await, told(&[(Create, "sub/f")]));
}
