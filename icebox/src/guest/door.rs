//! A way into a guest that is not the agent's: to look at the agent, or at what the guest does without it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::{Guest, told};
use crate::agent::Program;

/// The port of the guest; nobody else's.
const PORT: u16 = 49_900;
/// Gives whoever connects a shell: by busybox where there is one, else by Python.
const KEEPER: &str = r#"exec </dev/null >/dev/null 2>&1
if command -v busybox; then exec busybox nc -ll -p 49900 -e /bin/sh; fi
exec python3 -c '
import socket, subprocess
door = socket.create_server(("", 49900))
while True:
    guest, _ = door.accept()
    subprocess.call(["sh"], stdin=guest, stdout=guest, stderr=guest)
    guest.close()
'"#;
/// How long a line may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Between two tries: QEMU accepts before the guest does.
const AGAIN: Duration = Duration::from_millis(100);
/// Comes behind all that a line printed; without it the connection broke.
const END: &str = "[end of the line]";

/// A shell in the guest, over a connection to the guest's own network: no line of it makes the agent run. It goes on
/// while programs are frozen, and after a resume.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
}

impl Door {
    /// Has the agent start the door's keeper, the one thing that it does for it.
    ///
    /// # Panics
    /// When that fails, as everything here.
    #[must_use]
    #[track_caller]
    pub fn open(guest: &mut Guest) -> Self {
        // Programs with this name belong to the host: they run while all others stand still.
        let keeper = Program::shell(KEEPER).tagged("_system");
        told(guest.block_on(guest.agent().start(&keeper)), "starting the keeper of the door");
        Self::of(guest)
    }

    /// Finds the door again in a guest that was resumed.
    ///
    /// # Panics
    /// When its port cannot be forwarded.
    #[must_use]
    #[track_caller]
    pub fn of(guest: &mut Guest) -> Self {
        Self { address: guest.address(PORT) }
    }

    /// Runs lines of shell; returns what they printed, errors too.
    ///
    /// # Panics
    /// When they do not come to their end within 60 s.
    #[must_use]
    #[track_caller]
    pub fn sh(&self, lines: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(printed) = self.once(lines) {
                return printed;
            }
            assert!(Instant::now() < deadline, "nobody opens the door to the guest for {lines}");
            thread::sleep(AGAIN);
        }
    }

    /// `None` when nobody was there.
    #[expect(clippy::panic, reason = "the failure of a test")]
    #[track_caller]
    fn once(&self, lines: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(LIMIT)).ok()?;
        stream.write_all(format!("{lines}\necho '{END}'\nexit\n").as_bytes()).ok()?;
        let mut printed = String::new();
        match stream.read_to_string(&mut printed) {
            // Nobody listens yet; nothing of the line was run.
            Ok(_) | Err(_) if printed.is_empty() => None,
            Ok(_) if printed.contains(END) => Some(printed.replace(&format!("{END}\n"), "")),
            outcome => panic!("{lines} through the door: {outcome:?}, {printed:?}"),
        }
    }
}
