use std::io::Read;
use std::os::fd::AsRawFd;

use super::*;

#[test]
fn a_guard_that_is_told_to_go_does_nothing() {
    let file = tempfile("guard-idle");
    let guard = Guard::start().unwrap();
    guard.push(Order::Cgroup(file.as_raw_fd()));
    drop(guard);
    assert_eq!(file.metadata().unwrap().len(), 0);
}

/// A whole agent stands in for by a forked child that starts a guard and dies.
#[test]
fn a_guard_carries_out_its_orders_when_the_agent_dies() {
    let first = tempfile("guard-first");
    let (reader, writer) = crate::sys::fd::pipe().unwrap();
    #[expect(unsafe_code, reason = "a process that can be killed")]
    // SAFETY: the child allocates, which is safe enough in a test process of one test (nextest), and ends by SIGKILL.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            let guard = Guard::start().unwrap();
            guard.push(Order::Cgroup(first.as_raw_fd()));
            guard.push(Order::Cgroup(writer.as_raw_fd()));
            guard.push(Order::Cgroup(1_000_000));
            nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGKILL).unwrap();
            unreachable!("SIGKILL is deadly");
        }
        nix::unistd::ForkResult::Parent { child } => {
            drop(writer);
            nix::sys::wait::waitpid(child, None).unwrap();
            let mut told = Vec::new();
            // Ends when the guard has gone, since it held the last copy of the pipe's other end.
            std::fs::File::from(reader).read_to_end(&mut told).unwrap();
            assert_eq!(told, b"0");
            assert_eq!(first.metadata().unwrap().len(), 1);
        }
    }
}

fn tempfile(name: &str) -> std::fs::File {
    let path = std::env::temp_dir().join(format!("thawd-{name}-{}", std::process::id()));
    let file = std::fs::File::create(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file
}
