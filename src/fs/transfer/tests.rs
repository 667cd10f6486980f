use std::os::unix::fs::chown;
use std::time::{Duration, SystemTime};

use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::base::{Failure, Kind};
use crate::fs::scratch::{Scratch, user};
use crate::fs::{FsError, change};
use crate::identity::Accounts;
use crate::sys::xattr::{self, Target};

/// Gives directories on two filesystems: the temporary directory's and the shared memory's.
fn two() -> (Scratch, Scratch) {
    let both = (Scratch::new(), Scratch::below(Path::new("/dev/shm")));
    assert_ne!(fs::metadata(both.0.path()).unwrap().dev(), fs::metadata(both.1.path()).unwrap().dev());
    both
}

fn moved(source: &Path, destination: &Path) -> Result<(), FsError> {
    change::rename(source, destination, &user(), &Accounts::default().table().unwrap()).map(|_| ())
}

#[test]
fn a_move_to_another_filesystem_keeps_what_makes_a_file() {
    let (here, there) = two();
    fs::create_dir_all(here.at("t/sub")).unwrap();
    let file = here.at("t/sub/f");
    fs::write(&file, "content").unwrap();
    chown(&file, Some(1000), Some(1001)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o4751)).unwrap();
    xattr::set(Target::Path(&file), c"user.e2b.k", b"v").unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_234_567_890_123_456_789);
    File::open(&file).unwrap().set_modified(old).unwrap();
    fs::hard_link(&file, here.at("t/hard")).unwrap();
    symlink("../nowhere", here.at("t/link")).unwrap();
    nix::unistd::mkfifo(&here.at("t/pipe"), nix::sys::stat::Mode::from_bits_truncate(0o640)).unwrap();
    fs::set_permissions(here.at("t"), fs::Permissions::from_mode(0o2750)).unwrap();
    File::open(here.at("t")).unwrap().set_modified(old).unwrap();

    moved(&here.at("t"), &there.at("new/t")).unwrap();

    assert!(!here.at("t").exists());
    let file = there.at("new/t/sub/f");
    let found = fs::metadata(&file).unwrap();
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (1000, 1001, 0o4751));
    assert_eq!(found.modified().unwrap(), old);
    assert_eq!(fs::read(&file).unwrap(), b"content");
    assert_eq!(xattr::get(Target::Path(&file), c"user.e2b.k").unwrap(), b"v");
    assert_eq!(fs::read(there.at("new/t/hard")).unwrap(), b"content");
    assert_eq!(fs::read_link(there.at("new/t/link")).unwrap(), Path::new("../nowhere"));
    let pipe = fs::metadata(there.at("new/t/pipe")).unwrap();
    assert!(pipe.file_type().is_fifo() && pipe.mode() & 0o777 == 0o640);
    let top = fs::metadata(there.at("new/t")).unwrap();
    assert_eq!((top.mode() & 0o7777, top.modified().unwrap()), (0o2750, old));
}

#[test]
fn a_sparse_file_stays_sparse() {
    let (here, there) = two();
    let file = File::create(here.at("f")).unwrap();
    file.set_len(1 << 30).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"end", (1 << 29) + 5).unwrap();
    moved(&there.path().join("../").join(here.at("f")), &there.at("f")).unwrap();
    let found = fs::metadata(there.at("f")).unwrap();
    assert!(found.len() == 1 << 30 && found.blocks() * 512 < 1 << 20, "{found:?}");
    let mut end = [0; 3];
    std::os::unix::fs::FileExt::read_exact_at(&File::open(there.at("f")).unwrap(), &mut end, (1 << 29) + 5).unwrap();
    assert_eq!(&end, b"end");
}

#[test]
fn a_move_to_another_filesystem_replaces_what_rename_replaces() {
    let (here, there) = two();
    let fill = |here: &Scratch| {
        fs::create_dir_all(here.at("d")).unwrap();
        fs::write(here.at("d/x"), "").unwrap();
        fs::write(here.at("f"), "new").unwrap();
    };
    fill(&here);
    fill(&there);
    fs::create_dir(there.at("empty")).unwrap();
    for (from, to, kind) in
        [("f", "d", Kind::InvalidArgument), ("d", "f", Kind::InvalidArgument), ("d", "d", Kind::FailedPrecondition)]
    {
        assert_eq!(moved(&here.at(from), &there.at(to)).unwrap_err().kind(), kind, "{from} {to}");
    }
    moved(&here.at("f"), &there.at("f")).unwrap();
    moved(&here.at("d"), &there.at("empty")).unwrap();
    assert!(there.at("empty/x").exists() && !here.at("d").exists() && !here.at("f").exists());
}

#[test]
fn a_failed_move_leaves_the_source_and_no_copy() {
    let (here, there) = two();
    fs::create_dir_all(here.at("t/a")).unwrap();
    fs::write(here.at("t/a/f"), "kept").unwrap();
    // Longer than tmpfs takes as one link's text is not possible, but a name may be too long for the copy: a
    // path of the source fits in PATH_MAX, that of the copy does not.
    let deep = format!("t/{}", vec!["d".repeat(200); 18].join("/"));
    fs::create_dir_all(here.at(&deep)).unwrap();
    let far = format!("{}/t", vec!["e".repeat(200); 3].join("/"));
    assert!(moved(&here.at("t"), &there.at(&far)).is_err());
    assert!(!there.at(&far).exists());
    assert_eq!(fs::read(here.at("t/a/f")).unwrap(), b"kept");
    assert!(here.at(&deep).exists());
}

#[test]
fn a_mount_point_is_busy_and_never_copied() {
    let there = Scratch::below(Path::new("/dev/shm"));
    let error = moved(Path::new("/proc"), &there.at("proc")).unwrap_err();
    assert_eq!(error.kind(), Kind::FailedPrecondition);
    assert!(!there.at("proc").exists());
}
