use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

use nix::libc;

use super::plan::{Birth, Plan};
use super::*;
use crate::sys::fd;
use crate::sys::wait::{self, Ended};

/// A shell with a script, and where its output comes out.
fn shell(script: &str) -> (Image, File) {
    let (output, theirs) = fd::pipe().unwrap();
    let theirs = Arc::new(theirs);
    let image = Image {
        candidates: vec![c"/no/such/sh".to_owned(), c"/bin/sh".to_owned()],
        argv: vec![c"sh".to_owned(), c"-c".to_owned(), CString::new(script).unwrap()],
        envp: vec![c"PATH=/usr/bin:/bin".to_owned(), c"MARK=here".to_owned()],
        cwd: c"/".to_owned(),
        credentials: None,
        stdio: [Arc::new(fd::null().unwrap()), Arc::clone(&theirs), theirs],
        terminal: false,
    };
    (image, output.into())
}

fn text(mut output: File) -> String {
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    text
}

fn end(pidfd: &OwnedFd) -> Ended {
    wait::reap_at_last(pidfd.as_fd()).unwrap().unwrap()
}

fn adj() -> String {
    std::fs::read_to_string("/proc/self/oom_score_adj").unwrap()
}

/// Tells what a program should find, whichever call made its process. Only signals below 32 have names.
const LOOK: &str = "echo $MARK $PWD $(cat /proc/self/oom_score_adj); ps -o pid=,sid=,pgid= -p $$; ls /proc/$$/fd; \
    echo $(sed -nE 's/^Sig(Blk|Ign):\t[0-9a-f]{8}/0x/p' /proc/$$/status)";

fn expect(found: &str, pid: u32) {
    let lines: Vec<_> = found.lines().collect();
    let [place, ids, files @ .., signals] = &lines[..] else { panic!("{found}") };
    assert_eq!((*place, files), ("here / 100", &["0", "1", "2"][..]));
    assert!(ids.split_whitespace().eq(std::iter::repeat_n(pid.to_string(), 3)), "{ids}");
    let signals = signals.split(' ').map(|set| u32::from_str_radix(&set[2..], 16).unwrap() & (u32::MAX >> 1));
    assert!(signals.eq([0, 0]), "{found}");
}

#[tokio::test]
async fn a_program_begins_with_a_clean_slate_and_leaves_the_agent_as_it_was() {
    let before = (adj(), std::env::current_dir().unwrap(), crate::sys::limits::ignored().to_vec());
    let (image, output) = shell(LOOK);
    let spawned = spawn(image, None).await.unwrap();
    assert_eq!((spawned.failure, spawned.placed), (None, false));
    expect(&text(output), spawned.pid);
    assert_eq!(end(&spawned.pidfd), Ended::Code(0));
    assert_eq!((adj(), std::env::current_dir().unwrap(), crate::sys::limits::ignored().to_vec()), before);
}

#[test]
fn the_older_call_does_the_same() {
    let (image, output) = shell(LOOK);
    let birth = Birth::default();
    let mut plan = Plan::new(&image, &birth);
    let mut stack = [const { std::mem::MaybeUninit::uninit() }; 1024];
    let pid = vfork::clone(&mut plan, &mut stack).unwrap();
    assert_eq!(plan.failure, None);
    drop(image);
    expect(&text(output), pid.cast_unsigned());
    #[expect(unsafe_code, reason = "takes over a descriptor that the kernel just made")]
    // SAFETY: the call has stored it, and nobody else knows it.
    let pidfd = unsafe { std::os::fd::FromRawFd::from_raw_fd(birth.pidfd.into_inner()) };
    assert_eq!(end(&pidfd), Ended::Code(0));
}

#[tokio::test]
async fn another_user_is_only_the_programs() {
    assert!(nix::unistd::getuid().is_root(), "this test needs root");
    let (mut image, output) = shell("id -u; id -g; id -G; cat /proc/self/oom_score_adj");
    image.credentials = Some(Credentials { uid: 4711, gid: 4712, groups: vec![4712, 4713] });
    let spawned = spawn(image, None).await.unwrap();
    assert_eq!(text(output), "4711\n4712\n4712 4713\n100\n");
    assert_eq!(end(&spawned.pidfd), Ended::Code(0));
    assert!(nix::unistd::getuid().is_root() && nix::unistd::getgid().as_raw() == 0);
}

#[tokio::test]
async fn where_a_start_failed_is_told_with_its_error() {
    type Case = (fn(&mut Image), Stage, i32, i32);
    let cases: [Case; 4] = [
        (|image| image.cwd = c"/no/such/folder".to_owned(), Stage::Folder, libc::ENOENT, EXIT_NOT_FOUND),
        (|image| image.candidates = vec![c"/no/such".to_owned()], Stage::Exec, libc::ENOENT, EXIT_NOT_FOUND),
        (|image| image.candidates = Vec::new(), Stage::Exec, libc::ENOENT, EXIT_NOT_FOUND),
        (|image| image.candidates = vec![c"/etc/passwd".to_owned()], Stage::Exec, libc::EACCES, EXIT_NOT_EXECUTABLE),
    ];
    for (spoil, stage, errno, code) in cases {
        let (mut image, output) = shell("echo never");
        spoil(&mut image);
        let spawned = spawn(image, None).await.unwrap();
        assert_eq!(spawned.failure, Some((stage, errno)));
        assert_eq!((end(&spawned.pidfd), text(output)), (Ended::Code(code), String::new()));
    }
}

#[tokio::test]
async fn a_burst_needs_no_crowd_of_threads_and_leaves_one() {
    let starts = (0..100).map(|_| async {
        let (image, output) = shell("echo done");
        let spawned = spawn(image, None).await.unwrap();
        assert_eq!(text(output), "done\n");
        assert_eq!(end(&spawned.pidfd), Ended::Code(0));
    });
    futures_util::future::join_all(starts).await;
    let one = async {
        while crew::threads().0 > 1 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), one).await.unwrap();
}

#[tokio::test]
async fn a_child_that_is_born_and_not_taken_over_is_killed_and_reaped() {
    let (image, output) = shell("echo $$; exec sleep 1000");
    let mut starting = Box::pin(spawn(image, None));
    assert!(futures_util::poll!(&mut starting).is_pending());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let eventually = |done: &dyn Fn() -> bool| {
        while !done() {
            assert!(std::time::Instant::now() < deadline);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    };
    // It is on its way: sent, and not received.
    eventually(&|| crew::threads() == (1, 1));
    drop(starting);
    let process = std::path::Path::new("/proc").join(line.trim());
    eventually(&|| !process.exists());
}
