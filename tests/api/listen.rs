//! Where the daemon listens.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::support::Daemon;

const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

fn ask(mut stream: impl Read + Write) -> String {
    stream.write_all(HEALTH).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_unix_socket_is_served_beside_tcp_and_taken_over_from_a_dead_daemon() {
    let folder = crate::support::scratch();
    let path = folder.join("thawd.sock");
    let listen = format!("unix://{}", path.display());
    for _ in 0..2 {
        // The listener is leaked on purpose: its file stays, as after a crash.
        drop(std::os::unix::net::UnixListener::bind(&path));
        let daemon = Daemon::with(&["--listen", &listen]);
        assert!(ask(UnixStream::connect(&path).unwrap()).starts_with("HTTP/1.1 204"));
        assert_eq!(crate::support::http::get(daemon.address, "/health").status, 204);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_vsock_is_served() {
    use nix::errno::Errno;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, VsockAddr, connect, socket};
    use std::os::fd::AsRawFd;
    // Loopback of vsock: the kernel's vsock_loopback transport.
    let _ = std::process::Command::new("modprobe").arg("vsock_loopback").output();
    const LOCAL: u32 = 1;
    let port = 20_000 + std::process::id() % 10_000;
    let daemon = Daemon::with(&["--listen", &format!("vsock://{port}")]);
    let taken = std::process::Command::new(env!("CARGO_BIN_EXE_thawd"))
        .args(["-isnotfc", "-no-cgroups", "--listen", &format!("vsock://{port}")])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&taken.stderr).contains("in use"), "it listens: nobody else can");
    let socket = socket(AddressFamily::Vsock, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    match connect(socket.as_raw_fd(), &VsockAddr::new(LOCAL, port)) {
        Ok(()) => assert!(ask(std::net::TcpStream::from(socket)).starts_with("HTTP/1.1 204")),
        // A kernel without that transport: only the host could connect.
        Err(error) => {
            assert!(
                matches!(error, Errno::ENODEV | Errno::EADDRNOTAVAIL | Errno::ENETUNREACH | Errno::ETIMEDOUT),
                "{error}"
            );
            assert_eq!(crate::support::http::get(daemon.address, "/health").status, 204);
        }
    }
}
