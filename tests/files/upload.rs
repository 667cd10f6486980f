//! An upload changes its target when it is whole, or not at all.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use thawd::sys::xattr::{self, Target};

use crate::support::{Scratch, Server, cut_off, gzip, noise};

/// Sizes around those at which the path of an upload changes.
const SIZES: [usize; 5] = [0, 10, 100_000, 300_000, 3_000_000];

#[test]
fn any_size_arrives_as_it_was_sent_and_belongs_to_the_user() {
    let (server, scratch) = (Server::open(), Scratch::new());
    for size in SIZES {
        let content = noise(size);
        for name in [format!("new/{size}"), "same".into()] {
            let answer = server.put(&scratch.at(&name), &[], &content).ok();
            let want = format!(
                r#"[{{"name":"{}","path":"{}","type":"file"}}]"#,
                name.split('/').next_back().unwrap(),
                scratch.at(&name).display()
            );
            assert_eq!(answer.text(), want);
            assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
            assert!(fs::read(scratch.at(&name)).unwrap() == content, "{name} {size}");
        }
        let found = fs::metadata(scratch.at(&format!("new/{size}"))).unwrap();
        assert_eq!((found.uid(), found.mode() & 0o7777, found.nlink()), (0, 0o644, 1));
    }
    let numeric = format!("/files?path={}&username=1234:99", scratch.at("owned/file").display());
    server.ask("POST", &numeric, &[("Content-Type", "application/octet-stream")], b"x").ok();
    for (name, mode) in [("owned", 0o755), ("owned/file", 0o644)] {
        let found = fs::metadata(scratch.at(name)).unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (1234, 99, mode), "{name}");
    }
}

#[test]
fn an_upload_that_is_cut_off_leaves_the_old_file_and_nothing_new() {
    let (server, scratch) = (Server::open(), Scratch::new());
    fs::write(scratch.at("old"), "the old content").unwrap();
    let before = fs::metadata(scratch.at("old")).unwrap();
    for size in SIZES {
        let body = noise(size);
        for path in ["old", "new", "made/dirs/new"] {
            let path = scratch.at(path);
            let short = (size + 1).to_string();
            let mut length = server.begin(&path, &[("Content-Length", &short)]);
            length.write_all(&body).unwrap();
            cut_off(length);
            let mut chunked = server.begin(&path, &[("Transfer-Encoding", "chunked")]);
            if size > 0 {
                chunked.write_all(&[format!("{size:x}\r\n").as_bytes(), &body, b"\r\n"].concat()).unwrap();
            }
            cut_off(chunked);
            let mut gone = server.begin(&path, &[("Content-Length", &short)]);
            gone.write_all(&body).unwrap();
            drop(gone);
        }
    }
    // The last of them is over when a whole upload that came later is.
    server.put(&scratch.at("after"), &[], b"").ok();
    assert_eq!(scratch.names(), ["after", "old"]);
    assert_eq!(fs::read(scratch.at("old")).unwrap(), b"the old content");
    let after = fs::metadata(scratch.at("old")).unwrap();
    assert_eq!((after.ino(), after.modified().unwrap()), (before.ino(), before.modified().unwrap()));
}

#[test]
fn a_gzip_body_is_unpacked_and_a_broken_one_changes_nothing() {
    let (server, scratch) = (Server::open(), Scratch::new());
    let path = scratch.at("f");
    let coded = [("Content-Encoding", "gzip")];
    for size in SIZES {
        let content: Vec<u8> = noise(size / 4).into_iter().flat_map(|byte| [byte; 4]).collect();
        let packed = gzip(&content);
        server.put(&path, &coded, &packed).ok();
        assert!(fs::read(&path).unwrap() == content);
        for end in [0, 5, packed.len() / 2, packed.len() - 1] {
            server.put(&path, &coded, &packed[..end]).refused(400);
            server.put(&scratch.at("new"), &coded, &packed[..end]).refused(400);
        }
        let mut wrong = packed.clone();
        let at = wrong.len() - 5;
        wrong[at] ^= 1;
        server.put(&path, &coded, &wrong).refused(400);
        assert!(fs::read(&path).unwrap() == content);
    }
    server.put(&path, &coded, b"not gzip").refused(400);
    let message = server.put(&path, &[("Content-Encoding", "br")], b"x").refused(400);
    assert!(message.contains("'br'"), "{message}");
    assert_eq!(scratch.names(), ["f"]);
}

#[test]
fn an_overwritten_file_keeps_inode_links_mode_owner_and_attributes() {
    let (server, scratch) = (Server::open(), Scratch::new());
    let path = scratch.at("f");
    fs::write(&path, "old").unwrap();
    chown(&path, Some(4321), Some(8765)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4751)).unwrap();
    fs::hard_link(&path, scratch.at("twin")).unwrap();
    symlink("f", scratch.at("link")).unwrap();
    xattr::set(Target::Path(&path), c"user.own", b"kept").unwrap();
    let before = fs::metadata(&path).unwrap();
    for size in SIZES {
        let content = noise(size);
        server.put(&scratch.at("link"), &[("X-Metadata-Size", &size.to_string())], &content).ok();
        assert!(fs::read(scratch.at("twin")).unwrap() == content);
    }
    let after = fs::metadata(&path).unwrap();
    assert_eq!(
        (after.ino(), after.mode(), after.uid(), after.gid(), after.nlink()),
        (before.ino(), before.mode(), 4321, 8765, 2)
    );
    let shown = |name| xattr::get(Target::Path(&path), name).unwrap();
    assert_eq!((shown(c"user.own"), shown(c"user.e2b.size")), (b"kept".to_vec(), b"3000000".to_vec()));
    assert!(fs::symlink_metadata(scratch.at("link")).unwrap().is_symlink());
}

#[test]
fn metadata_replaces_the_whole_set_and_is_read_back() {
    let (server, scratch) = (Server::open(), Scratch::new());
    let path = scratch.at("f");
    for _ in 0..2 {
        let answer = server.put(&path, &[("X-Metadata-B", "2"), ("X-Metadata-A", "1"), ("x-metadata-a", "9")], b"x");
        let json: serde_json::Value = serde_json::from_slice(&answer.ok().body).unwrap();
        assert_eq!(json[0]["metadata"], serde_json::json!({"a": "1", "b": "2"}));
        let cleared = server.put(&path, &[], b"x").ok();
        assert!(!cleared.text().contains("metadata"), "{}", cleared.text());
    }
    server.put(&path, &[("X-Metadata-K", &"v".repeat(4087))], b"y").refused(400);
    server.put(&path, &[(&format!("X-Metadata-{}", "k".repeat(247)), "v")], b"y").refused(400);
    assert_eq!(fs::read(&path).unwrap(), b"x");
}

#[test]
fn what_cannot_be_a_target_is_refused_by_name() {
    let (server, scratch) = (Server::open(), Scratch::new());
    fs::create_dir(scratch.at("dir")).unwrap();
    fs::write(scratch.at("file"), "").unwrap();
    for size in [10, 1_000_000] {
        let message = server.put(&scratch.at("dir"), &[], &noise(size)).refused(400);
        assert_eq!(message, format!("path '{}' is a directory", scratch.at("dir").display()));
        server.put(&scratch.at("file/below"), &[], &noise(size)).refused(400);
    }
    symlink("loop", scratch.at("loop")).unwrap();
    server.put(&scratch.at("loop"), &[], b"x").refused(400);
    assert_eq!(scratch.names(), ["dir", "file", "loop"]);
}

#[test]
fn a_dangling_link_is_followed_to_where_the_file_is_made() {
    let (server, scratch) = (Server::open(), Scratch::new());
    symlink("far/away", scratch.at("link")).unwrap();
    server.put(&scratch.at("link"), &[], b"x").ok();
    assert_eq!(fs::read(scratch.at("far/away")).unwrap(), b"x");
    assert!(fs::symlink_metadata(scratch.at("link")).unwrap().is_symlink());
}

#[test]
fn a_request_that_is_no_upload_is_refused_in_the_order_of_the_contract() {
    let (server, scratch) = (Server::open(), Scratch::new());
    let raw = ("Content-Type", "application/octet-stream");
    let to = |extra: &str| format!("/files?path={}{extra}", scratch.at("f").display());
    server.ask("POST", &to(""), &[], b"x").refused(400);
    server.ask("POST", &to(""), &[("Content-Type", "text/plain")], b"x").refused(400);
    let message = server.ask("POST", "/files", &[raw], b"x").refused(400);
    assert!(message.contains("path is required"), "{message}");
    let long = "v".repeat(5000);
    let unknown = server.ask("POST", &to("&username=nobody-at-all"), &[("X-Metadata-K", &long)], b"x").refused(401);
    assert!(unknown.starts_with("error looking up user 'nobody-at-all'"), "{unknown}");
    server.ask("POST", &to("&username=nobody-at-all"), &[("Content-Encoding", "br")], b"x").refused(400);
    for bad in ["&path=again", "&x=%zz", "&signature_expiration=soon"] {
        let answer = server.ask("POST", &to(bad), &[raw], b"x");
        assert_eq!((answer.status, answer.header("content-type")), (400, "text/plain; charset=utf-8"), "{bad}");
    }
    server.ask("POST", "/files?path=~other/x", &[raw], b"x").refused(400);
    assert_eq!(server.ask("PUT", "/files", &[], b"").status, 405);
    assert!(scratch.names().is_empty());
}

#[test]
fn an_upload_can_ask_for_a_version_or_for_absence() {
    let (server, scratch) = (Server::open(), Scratch::new());
    let path = scratch.at("f");
    for size in [3, 1_000_000] {
        server.put(&path, &[("If-None-Match", "*")], b"one").ok();
        server.put(&path, &[("If-None-Match", "*")], &noise(size)).refused(412);
        let tag = server.get(&path, &[]).ok().header("etag").to_owned();
        server.put(&path, &[("If-Match", "\"other\"")], &noise(size)).refused(412);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        server.put(&path, &[("If-Match", &tag)], &noise(size)).ok();
        server.put(&path, &[("If-Match", &tag)], b"again").refused(412);
        assert_eq!(fs::read(&path).unwrap(), noise(size));
        fs::remove_file(&path).unwrap();
        server.put(&path, &[("If-Match", "*")], &noise(size)).refused(412);
    }
    assert!(scratch.names().is_empty());
}

#[test]
fn four_uploads_into_a_new_tree_all_succeed() {
    let server = Server::open();
    for _ in 0..10 {
        let scratch = Scratch::new();
        std::thread::scope(|scope| {
            for at in 0..4 {
                let path = scratch.at(&format!("a/b/c/{at}"));
                scope.spawn(move || server.put(&path, &[], &noise(1000)).ok());
            }
        });
        assert_eq!(scratch.names().len(), 7);
    }
}

#[test]
fn uploads_to_one_file_at_once_leave_one_of_them_whole() {
    let (server, scratch) = (Server::open(), Scratch::new());
    let path = scratch.at("f");
    for round in 0..5 {
        if round % 2 == 0 {
            let _ = fs::remove_file(&path);
        }
        std::thread::scope(|scope| {
            for at in 0..4_u8 {
                let path = &path;
                scope.spawn(move || server.put(path, &[], &vec![at; 2_000_000 + usize::from(at)]).ok());
            }
        });
        let content = fs::read(&path).unwrap();
        assert!(content.iter().all(|byte| *byte == content[0]), "mixed");
        assert_eq!(content.len(), 2_000_000 + usize::from(content[0]));
    }
}

#[test]
fn an_answer_to_a_refused_upload_is_read_by_a_client_that_sends_first() {
    let (server, scratch) = (Server::open(), Scratch::new());
    fs::create_dir(scratch.at("dir")).unwrap();
    server.put(&scratch.at("dir"), &[], &noise(20_000_000)).refused(400);
}
