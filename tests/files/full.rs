//! A full disk costs the upload, never the old file.

use std::fs;

use crate::support::{Scratch, Server, noise};

const MIB: usize = 1 << 20;

fn laws(server: Server, scratch: &Scratch) {
    let old = scratch.at("dir/old");
    fs::create_dir_all(scratch.at("dir")).unwrap();
    let content = noise(5 * MIB);
    fs::write(&old, &content).unwrap();
    let before = fs::metadata(&old).unwrap();
    for path in [&old, &scratch.at("dir/new"), &scratch.at("made/too/new"), &scratch.at("new")] {
        let message = server.put(path, &[("X-Metadata-A", "1")], &noise(9 * MIB)).refused(507);
        assert_eq!(message, format!("attempted to write {} bytes: not enough disk space available", 9 * MIB));
    }
    assert_eq!(scratch.names(), ["dir", "dir/old"]);
    assert!(fs::read(&old).unwrap() == content);
    assert_eq!(fs::metadata(&old).unwrap().modified().unwrap(), before.modified().unwrap());
    assert!(!server.get(&old, &[("Range", "bytes=0-0")]).text().is_empty());
    // What fits in place of the old content goes in, although both together would not fit.
    let fits = noise(6 * MIB);
    server.put(&old, &[("X-Metadata-A", "1")], &fits).ok();
    assert!(fs::read(&old).unwrap() == fits);
    // Nothing that failed holds space: the rest of the disk can be had.
    fs::remove_file(&old).unwrap();
    server.put(&scratch.at("new"), &[], &noise(6 * MIB)).ok();
}

#[test]
fn a_full_tmpfs_keeps_the_old_file() {
    laws(Server::open(), &Scratch::tmpfs("size=8m"));
}

#[test]
fn a_full_ext4_keeps_the_old_file() {
    laws(Server::open(), &Scratch::ext4(9, &["-O", "^metadata_csum"]));
}

#[test]
fn a_small_overwrite_fits_on_a_disk_without_a_free_block() {
    let server = Server::open();
    for scratch in [Scratch::tmpfs("size=1m"), Scratch::ext4(4, &[])] {
        fs::create_dir(scratch.at("dir")).unwrap();
        let old = scratch.at("dir/old");
        fs::write(&old, noise(400_000)).unwrap();
        let filler = fs::File::create(scratch.at("filler")).unwrap();
        let mut at = 0;
        while thawd::sys::file::write_at(&filler, &[vec![1; 4096]], at).is_ok() {
            at += 4096;
        }
        filler.sync_all().unwrap();
        for size in [10, 350_000] {
            server.put(&old, &[], &noise(size)).ok();
            assert!(fs::read(&old).unwrap() == noise(size));
        }
        server.put(&scratch.at("dir/new"), &[], &noise(300_000)).refused(507);
        assert_eq!(scratch.names(), ["dir", "dir/old", "filler"]);
    }
}

#[test]
fn a_full_inode_table_is_told_apart_and_leaves_nothing() {
    let server = Server::open();
    for scratch in [Scratch::tmpfs("size=8m,nr_inodes=8"), Scratch::ext4(8, &["-N", "16"])] {
        fs::create_dir(scratch.at("dir")).unwrap();
        let mut count = 0;
        while fs::write(scratch.at(&format!("dir/{count}")), "").is_ok() {
            count += 1;
        }
        for size in [10, 1_000_000] {
            for name in ["dir/new", "made/new"] {
                let message = server.put(&scratch.at(name), &[], &noise(size)).refused(507);
                assert_eq!(message, "not enough inodes available", "{name} {size}");
            }
            server.put(&scratch.at("dir/0"), &[], &noise(size)).ok();
        }
        assert_eq!(scratch.names().len(), count + 1);
    }
}

#[test]
fn a_composition_that_does_not_fit_keeps_parts_and_destination() {
    let (server, scratch) = (Server::open(), Scratch::ext4(9, &[]));
    fs::create_dir(scratch.at("dir")).unwrap();
    let parts = ["a", "b"].map(|name| scratch.at("dir").join(name));
    for part in &parts {
        fs::write(part, noise(3 * MIB)).unwrap();
    }
    fs::write(scratch.at("dir/old"), "old").unwrap();
    for destination in ["dir/old", "dir/new", "made/new"] {
        let body = serde_json::json!({"source_paths": parts, "destination": scratch.at(destination)}).to_string();
        let message = server.ask("POST", "/files/compose", &[], body.as_bytes()).refused(507);
        assert_eq!(message, "not enough disk space available");
    }
    assert_eq!(scratch.names(), ["dir", "dir/a", "dir/b", "dir/old"]);
    assert_eq!(fs::read(scratch.at("dir/old")).unwrap(), b"old");
}
