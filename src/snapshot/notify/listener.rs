//! One listener's connection.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::net::UnixStream;
use tokio::sync::mpsc::Receiver;

use super::crowd::{Crowd, Seat};
use super::line::{Event, LINE_MOST, Said};

/// Carries lines until the listener goes or is sent away.
pub(super) async fn serve(stream: UnixStream, seat: Seat, crowd: Arc<Mutex<Crowd>>) {
    let _leave = Leave { id: seat.id, crowd: &crowd };
    let Seat { id, mut lines, sent_away } = seat;
    let reason = tokio::select! {
        reason = read(&stream, id, &crowd) => reason,
        () = write(&stream, &mut lines) => None,
        _ = sent_away => Some("too slow"),
    };
    if let Some(reason) = reason {
        refuse(&stream, reason);
    }
}

/// Says why, if the connection takes it at once.
pub(super) fn refuse(stream: &UnixStream, reason: &str) {
    let _ = stream.try_write(&Event::Error { reason }.line());
}

/// Frees the place, however the connection ends.
struct Leave<'a> {
    id: u64,
    crowd: &'a Mutex<Crowd>,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner).leave(self.id);
    }
}

/// Reads lines to the end of the connection, or to one that cannot be meant; says what is wrong with that.
async fn read(stream: &UnixStream, id: u64, crowd: &Mutex<Crowd>) -> Option<&'static str> {
    let mut buffer = Vec::new();
    loop {
        stream.readable().await.ok()?;
        buffer.reserve(LINE_MOST + 1 - buffer.len());
        match stream.try_read_buf(&mut buffer) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return None,
        }
        while let Some(end) = buffer.iter().position(|&byte| byte == b'\n') {
            let Some(said) = Said::parse(&buffer[..end]) else { return Some("not a JSON object that we know") };
            buffer.drain(..=end);
            if !crowd.lock().unwrap_or_else(PoisonError::into_inner).hear(id, said) {
                return Some("too many lines without effect");
            }
        }
        if buffer.len() > LINE_MOST {
            return Some("the line is too long");
        }
        // An idle listener holds no buffer.
        if buffer.is_empty() {
            buffer = Vec::new();
        }
    }
}

/// Writes what is queued, to the end of the connection.
async fn write(stream: &UnixStream, lines: &mut Receiver<Bytes>) {
    while let Some(line) = lines.recv().await {
        let mut left = &line[..];
        while !left.is_empty() {
            match stream.try_write(left) {
                Ok(count) => left = &left[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if stream.writable().await.is_err() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }
}
