//! A VM that runs.

use std::io::Read;
use std::net::TcpStream;

use icebox::guest::Guest;
use icebox::qmp::QmpError;

use crate::support::{PATIENCE, eventually, lives};

#[test]
fn a_guest_runs_programs_and_goes_with_its_handle() {
    let mut guest = Guest::start("scratch");
    assert_eq!(guest.sh("echo hello from $(uname -s)"), "hello from Linux\n");
    let failed = guest.run("echo no >&2; exit 7");
    assert_eq!((failed.exit_code, &failed.stderr[..]), (7, &b"no\n"[..]));
    let (pid, folder) = (guest.vm().pid(), guest.vm().folder().to_owned());
    assert!(lives(pid) && folder.exists());
    drop(guest);
    assert!(!lives(pid), "QEMU is still there");
    assert!(!folder.exists(), "the VM's files are still there");
}

#[test]
fn a_port_can_be_forwarded_while_the_guest_runs() {
    let mut guest = Guest::start("scratch");
    guest.spawn("while :; do echo hello | nc -l -p 8000; done");
    let address = guest.address(8000);
    assert_eq!(address, guest.address(8000), "forwarded twice");
    eventually("the guest's server answers", || {
        // QEMU takes connections before the guest listens: only bytes count.
        let mut text = String::new();
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.read_to_string(&mut text).is_ok() && text == "hello\n"
    });
    let vm = guest.vm();
    tokio::runtime::Runtime::new().unwrap().block_on(vm.unforward(8000)).unwrap();
    assert_eq!(vm.address(8000), None);
    assert!(TcpStream::connect_timeout(&address, PATIENCE).is_err(), "the port is still open");
}

#[test]
fn a_dead_qemu_is_told_at_once_and_not_waited_for() {
    let mut guest = Guest::start("scratch");
    guest.vm().kill();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert!(runtime.block_on(guest.vm().ended()).is_some());
    let from = std::time::Instant::now();
    let error = runtime.block_on(guest.vm().status()).unwrap_err();
    assert!(matches!(error, QmpError::Gone { .. }), "{error}");
    assert!(from.elapsed().as_secs() < 5, "it took {:?}", from.elapsed());
}
