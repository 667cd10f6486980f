//! Takes what a program writes out of its pipe or terminal and into the log.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, oneshot};
use tokio::task::consume_budget;
use tokio::time::{Instant, timeout, timeout_at};

use super::output::{Channel, Log};
use crate::sys::{fd, poll};

/// Largest chunk of a pipe and of a terminal: what clients of envd are used to.
const PIPE_CHUNK: usize = 32 << 10;
const PTY_CHUNK: usize = 16 << 10;
/// How long the first bytes of a split UTF-8 character wait for the rest.
const SPLIT_CHARACTER: Duration = Duration::from_millis(20);
/// Output of descendants within this quiet after the program's end still comes before the end.
const QUIET: Duration = Duration::from_millis(100);
/// And at most for this long in all.
const QUIET_LIMIT: Duration = Duration::from_secs(2);
/// And at most for so many bytes.
const QUIET_BYTES: usize = 1 << 20;
/// Bytes taken at most without waiting when the program was killed: more than any pipe or terminal holds by default.
const URGENT_BYTES: usize = 1 << 20;

/// Says how a program's end came about, for the readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It ended by itself: descendants get a short time to say their last.
    Quiet,
    /// It was killed: what is there is taken, nothing is waited for.
    Urgent,
}

/// Tells the readers of one program how it ended.
#[derive(Debug, Default)]
pub(super) struct End {
    ending: OnceLock<Ending>,
    told: Notify,
}

impl End {
    pub(super) fn tell(&self, ending: Ending) {
        let _ = self.ending.set(ending);
        self.told.notify_waiters();
    }

    /// Waits until the program has ended. Cancel-safe.
    async fn come(&self) -> Ending {
        loop {
            let told = self.told.notified();
            if let Some(ending) = self.ending.get() {
                return *ending;
            }
            told.await;
        }
    }
}

/// Reads one descriptor to its end.
pub(super) struct Reader {
    file: AsyncFd<OwnedFd>,
    channel: Channel,
    log: Arc<Log>,
    /// First bytes of a character whose rest has not come.
    carry: Vec<u8>,
}

/// Tells what one burst of reads found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Burst {
    /// This many bytes; more may be there.
    Read(usize),
    /// Nothing now.
    Empty,
    /// The end of the file, or a hung-up terminal.
    End,
}

impl Reader {
    pub(super) fn new(file: OwnedFd, channel: Channel, log: Arc<Log>) -> io::Result<Self> {
        fd::set_nonblocking(file.as_fd())?;
        Ok(Self { file: poll::register(file, Interest::READABLE)?, channel, log, carry: Vec::new() })
    }

    /// Reads until nobody can write any more. Drops `settled` when everything from before the program's end is in
    /// the log, which is earlier than that when a descendant keeps the file open.
    ///
    /// What waits for anything but the next bytes or the end is boxed: programs are silent most of the time. And this is
    /// no `async fn`, which would hold the reader twice, as its argument and as what it works on.
    pub(super) fn run(self, end: Arc<End>, settled: oneshot::Sender<()>) -> impl Future<Output = ()> {
        let mut reader = self;
        async move {
            let Some(ending) = reader.while_running(&end).await else { return };
            if Box::pin(reader.settle(ending)).await {
                return;
            }
            drop(settled);
            Box::pin(reader.until_end()).await;
        }
    }

    /// Reads while the program runs; says how it ended, or nothing when the file ended before. Only waiting is ever
    /// cancelled, never a push.
    async fn while_running(&mut self, end: &End) -> Option<Ending> {
        loop {
            let carrying = !self.carry.is_empty();
            let rest =
                async { if carrying { Box::pin(tokio::time::sleep(SPLIT_CHARACTER)).await } else { pending().await } };
            tokio::select! {
                biased;
                ending = end.come() => return Some(ending),
                () = self.readable() => {}
                () = rest => {
                    let chunk = self.carried();
                    self.push_until(chunk, end).await;
                    continue;
                }
            }
            let (burst, chunk) = self.read(Readiness::Polled);
            self.push_until(chunk, end).await;
            if burst == Burst::End {
                return None;
            }
            consume_budget().await;
        }
    }

    /// Waits for bytes or the end of the file. Only one waits for this file, so the registration's own place for a
    /// waiter does, and none is needed here.
    fn readable(&self) -> impl Future<Output = ()> {
        poll_fn(|context| self.file.poll_read_ready(context).map(drop))
    }

    /// Takes what the program left behind. Says whether the file ended.
    async fn settle(&mut self, ending: Ending) -> bool {
        let ended = self.settled(ending == Ending::Urgent).await;
        if let Some(bytes) = bytes(self.carried()) {
            self.log.push_last(self.channel, bytes);
        }
        ended
    }

    /// Takes what is in the pipe now; unless `urgent`, then waits for a quiet moment. Says whether the file ended.
    async fn settled(&mut self, urgent: bool) -> bool {
        let mut left = match self.channel {
            // A terminal counts only what its line discipline has seen.
            Channel::Pty => URGENT_BYTES,
            Channel::Stdout | Channel::Stderr => fd::pending(self.file.as_fd()) + 1,
        };
        while left > 0 {
            match self.last(Readiness::Unknown) {
                Burst::Read(count) => left = left.saturating_sub(count),
                Burst::Empty => break,
                Burst::End => return true,
            }
        }
        let limit = Instant::now() + if urgent { Duration::ZERO } else { QUIET_LIMIT };
        let mut quiet = limit.min(Instant::now() + QUIET);
        let mut left = QUIET_BYTES;
        while left > 0 && timeout_at(quiet, self.readable()).await.is_ok() && Instant::now() < limit {
            match self.last(Readiness::Polled) {
                Burst::Read(count) => {
                    quiet = limit.min(Instant::now() + QUIET);
                    left = left.saturating_sub(count);
                }
                Burst::Empty => {}
                Burst::End => return true,
            }
            consume_budget().await;
        }
        false
    }

    async fn until_end(&mut self) {
        loop {
            let wait = if self.carry.is_empty() { Duration::MAX } else { SPLIT_CHARACTER };
            let ready = timeout(wait, self.readable()).await.is_ok();
            let (burst, chunk) = if ready { self.read(Readiness::Polled) } else { (Burst::Empty, self.carried()) };
            if let Some(bytes) = bytes(chunk) {
                self.log.push(self.channel, bytes).await;
            }
            if burst == Burst::End {
                return;
            }
            consume_budget().await;
        }
    }

    /// Reads a chunk without waiting; the beginning of a character at its end is held back.
    fn read(&mut self, readiness: Readiness) -> (Burst, Vec<u8>) {
        let mut chunk = Vec::with_capacity(self.limit());
        chunk.append(&mut self.carry);
        let carried = chunk.len();
        let end = self.fill(&mut chunk, readiness);
        let count = chunk.len() - carried;
        if !end {
            self.carry = chunk.split_off(chunk.len() - split_character(&chunk));
        }
        match (end, count) {
            (true, _) => (Burst::End, chunk),
            (false, 0) => (Burst::Empty, chunk),
            (false, count) => (Burst::Read(count), chunk),
        }
    }

    /// Reads a chunk of the program's last words into the log.
    fn last(&mut self, readiness: Readiness) -> Burst {
        let (burst, chunk) = self.read(readiness);
        if let Some(bytes) = bytes(chunk) {
            self.log.push_last(self.channel, bytes);
        }
        burst
    }

    /// Appends to the log, waiting there as its policy says, but not for readers when the program has ended: its end
    /// must not wait for them.
    async fn push_until(&self, chunk: Vec<u8>, end: &End) {
        let Some(bytes) = bytes(chunk) else { return };
        let Err(bytes) = self.log.try_push(self.channel, bytes) else { return };
        Box::pin(async {
            tokio::select! {
                biased;
                () = self.log.push(self.channel, bytes.clone()) => {}
                _ = end.come() => self.log.push_last(self.channel, bytes),
            }
        })
        .await;
    }

    /// Gives up waiting for the rest of a character.
    fn carried(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.carry)
    }

    /// Reads until the chunk is full or nothing is left; says whether the file ended.
    fn fill(&self, chunk: &mut Vec<u8>, readiness: Readiness) -> bool {
        while chunk.len() < self.limit() {
            let read = match readiness {
                Readiness::Polled => self.file.try_io(Interest::READABLE, |file| read(file, chunk)),
                Readiness::Unknown => read(self.file.get_ref(), chunk),
            };
            match read {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // EIO: the other side of the terminal is closed (tty_ioctl, pty(7)).
                Err(_) => return true,
            }
        }
        false
    }

    fn limit(&self) -> usize {
        if self.channel == Channel::Pty { PTY_CHUNK } else { PIPE_CHUNK }
    }
}

/// Says whether the runtime has seen the file ready, and so has to be told when it is empty.
#[derive(Clone, Copy, Debug)]
enum Readiness {
    Polled,
    Unknown,
}

/// Makes a chunk that keeps no more memory alive in the ring than it counts for there; `None` for nothing.
fn bytes(chunk: Vec<u8>) -> Option<Bytes> {
    if chunk.is_empty() {
        return None;
    }
    // Giving back the end of a buffer in place would leave holes into which no other buffer fits.
    let full = chunk.len() == chunk.capacity();
    Some(if full { Bytes::from(chunk) } else { Bytes::copy_from_slice(&chunk) })
}

fn read(file: &OwnedFd, chunk: &mut Vec<u8>) -> io::Result<usize> {
    Ok(rustix::io::read(file, spare_capacity(chunk))?)
}

/// Counts the bytes at the end that begin a UTF-8 character and do not finish it: 0 to 3.
fn split_character(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let length = match bytes[bytes.len() - back] {
            0x80..=0xBF => continue,
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => 0,
        };
        return if length > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::Pulse;
    use crate::base::Lives;
    use crate::process::output::Settings;

    /// A program has two, for as long as it runs. The runtime's part of a task is 100 bytes more.
    #[tokio::test]
    async fn a_reader_takes_less_than_320_bytes() {
        let (file, _theirs) = fd::pipe().unwrap();
        let log = Log::new(Settings::default(), Lives::always(), Pulse::default());
        let reader = Reader::new(file, Channel::Stdout, log).unwrap();
        let size = size_of_val(&reader.run(Arc::default(), oneshot::channel().0));
        assert!(size < 320, "{size}");
    }

    #[test]
    fn only_an_unfinished_character_is_held_back() {
        for (bytes, held) in [
            (&b"abc"[..], 0),
            ("aé".as_bytes(), 0),
            (&"aé".as_bytes()[..2], 1),
            (&"€".as_bytes()[..1], 1),
            (&"€".as_bytes()[..2], 2),
            (&"😀".as_bytes()[..3], 3),
            ("😀".as_bytes(), 0),
            (b"\xff", 0),
            (b"\x80\x80\x80", 0),
            (b"\xf0\x80\x80\x80\x80", 0),
            (b"", 0),
        ] {
            assert_eq!(split_character(bytes), held, "{bytes:x?}");
        }
    }
}
