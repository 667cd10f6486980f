//! Which files are hooks.

use std::os::unix::fs::{chown, symlink};

use super::*;

#[tokio::test]
async fn a_missing_or_empty_folder_has_no_hooks() {
    let den = Den::new(LONG);
    assert!(den.freeze().await.is_empty());
    fs::remove_dir(&den.folder).unwrap();
    assert!(den.freeze().await.is_empty());
    assert!(den.hooks.thaw_before(LONG, &CONTEXT).await.is_empty());
    assert!(den.hooks.thaw_after(LONG, &CONTEXT).await.is_empty());
    let places = fs::read_dir(den.cgroups.as_ref().unwrap().join("lifecycle")).into_iter().flatten().flatten();
    assert_eq!(places.filter(|entry| entry.path().is_dir()).count(), 0, "nothing was made for no hooks");
}

#[tokio::test]
async fn only_files_that_root_alone_can_change_are_run() {
    let den = Den::new(LONG);
    let run = "#!/bin/sh\ntouch \"$0.ran\"\n";
    for (name, mode) in [("a-group", 0o775), ("b-all", 0o757), ("c-owner", 0o755), ("d-data", 0o644), ("z-good", 0o700)]
    {
        den.write(name, mode, run);
    }
    chown(den.path("c-owner"), Some(1000), None).unwrap();
    den.write(".hidden", 0o755, run);
    den.write("e.sample", 0o755, run);
    den.write("e~", 0o755, run);
    fs::create_dir(den.path("f-folder")).unwrap();
    symlink("z-good", den.path("g-link")).unwrap();
    nix::unistd::mkfifo(&den.path("h.http"), nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
    den.write("i.http", 0o666, "freeze http://127.0.0.1:1/\n");
    den.write("j.http", 0o644, "freeze http://10.0.0.1/\n");
    let outcomes = den.freeze().await;
    let want = [
        "a-group: writable by others than root (mode 775)",
        "b-all: writable by others than root (mode 757)",
        "c-owner: owned by user 1000 and not by root",
        "d-data: not executable",
        "f-folder: not a regular file",
        "g-link: not a regular file",
        "h.http: not a regular file",
        "i.http: writable by others than root (mode 666)",
        "j.http: line 1: only loopback addresses and unix sockets can be asked",
        "z-good: ",
    ];
    assert_eq!(errors(&outcomes), want);
    let failed: Vec<_> = outcomes.iter().filter(|outcome| outcome.failed()).map(|outcome| &outcome.name[..1]).collect();
    assert_eq!(failed.concat(), "abcij");
    let ran: Vec<_> = fs::read_dir(&den.folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
    let ran: Vec<_> = ran.iter().filter(|name| name.to_string_lossy().ends_with(".ran")).collect();
    assert_eq!(ran, ["z-good.ran"]);
}

#[tokio::test]
async fn nothing_in_a_folder_that_others_can_change_is_run() {
    let den = Den::new(LONG);
    den.script("a", "touch $DEN/.ran");
    fs::set_permissions(&den.folder, Permissions::from_mode(0o777)).unwrap();
    let folder = den.folder.display();
    assert_eq!(errors(&den.freeze().await), [format!("{folder}: writable by others than root (mode 777)")]);
    assert!(!den.path(".ran").exists());
}

#[tokio::test]
async fn each_call_reads_the_folder_anew() {
    let den = Den::new(LONG);
    den.script("a", "exit 0");
    assert_eq!(errors(&den.freeze().await), ["a: "]);
    den.script("b", "exit 1");
    fs::remove_file(den.path("a")).unwrap();
    assert_eq!(errors(&den.freeze().await), ["b: ended with code 1"]);
}
