//! The handle to a monitor, and the task that owns it.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::timeout;

use super::error::QmpError;
use super::message::{Message, line};

/// How long an ordinary command may take: they take milliseconds, but the machine may be busy.
pub const COMMAND_LIMIT: Duration = Duration::from_secs(20);
/// Commands on their way to the task; callers wait when there are more.
const QUEUE: usize = 16;
/// Events kept for a subscriber that does not read; older ones are then lost, which it is told.
const EVENTS: usize = 256;

/// Something that happened in QEMU.
#[derive(Clone, Debug)]
pub struct Event {
    /// In capitals: `STOP`, `MIGRATION`, `SHUTDOWN`.
    pub name: String,
    /// What belongs to it.
    pub data: Value,
}

/// Events from the moment of subscribing on.
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Event>);

impl Events {
    /// Waits for the next event; `None` when QEMU is gone. Cancelling loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// A handle to the monitor of one QEMU; clones share it.
#[derive(Clone, Debug)]
pub struct Qmp {
    requests: mpsc::Sender<Request>,
    events: broadcast::WeakSender<Event>,
}

#[derive(Debug)]
struct Request {
    command: String,
    arguments: Value,
    descriptor: Option<OwnedFd>,
    answer: oneshot::Sender<Result<Value, String>>,
}

impl Qmp {
    /// Takes our end of the socket pair and waits for the greeting, at most `limit`.
    ///
    /// # Errors
    /// [`QmpError::Gone`] when QEMU ends first, as it does over a bad command line; [`QmpError::Late`].
    pub async fn greet(socket: UnixStream, limit: Duration) -> Result<Self, QmpError> {
        let (requests, queue) = mpsc::channel(QUEUE);
        let (events, _) = broadcast::channel(EVENTS);
        let this = Self { requests, events: events.downgrade() };
        let (reader, writer) = socket.into_split();
        let (greeted, greeting) = oneshot::channel();
        let task = Task {
            lines: BufReader::new(reader),
            writer,
            waiting: HashMap::new(),
            events,
            greeted: Some(greeted),
            next: 0,
        };
        tokio::spawn(task.run(queue));
        let command = "greet us";
        match timeout(limit, greeting).await {
            Err(_) => return Err(QmpError::Late { command: command.into(), limit }),
            Ok(Err(_)) => return Err(QmpError::Gone { command: command.into() }),
            Ok(Ok(())) => {}
        }
        this.execute_within("qmp_capabilities", Value::Null, limit).await?;
        Ok(this)
    }

    /// Carries out a command; an ordinary one, that is done within 20 s.
    ///
    /// # Errors
    /// Every [`QmpError`]. A caller that gives up does not stop QEMU from carrying it out.
    pub async fn execute(&self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        self.execute_within(command, arguments, COMMAND_LIMIT).await
    }

    /// Carries out a command with a deadline of its own.
    ///
    /// # Errors
    /// As [`Qmp::execute`].
    pub async fn execute_within(&self, command: &str, arguments: Value, limit: Duration) -> Result<Value, QmpError> {
        self.ask(command, arguments, None, limit).await
    }

    /// Gives QEMU a descriptor, which commands then call by `name`.
    ///
    /// # Errors
    /// As [`Qmp::execute`].
    pub async fn give(&self, name: &str, descriptor: OwnedFd) -> Result<(), QmpError> {
        let arguments = serde_json::json!({"fdname": name});
        self.ask("getfd", arguments, Some(descriptor), COMMAND_LIMIT).await.map(drop)
    }

    /// Carries out a line of the human monitor and returns what it prints: errors too are only text there.
    ///
    /// # Errors
    /// As [`Qmp::execute`].
    pub async fn human(&self, command_line: &str) -> Result<String, QmpError> {
        let answer = self.execute("human-monitor-command", serde_json::json!({"command-line": command_line})).await?;
        match answer {
            Value::String(text) => Ok(text),
            answer => {
                Err(QmpError::Strange { command: command_line.into(), field: "text", answer: answer.to_string() })
            }
        }
    }

    /// Listens to events from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        // A channel whose sender is gone says so at the first read.
        Events(self.events.upgrade().map_or_else(|| broadcast::channel(1).1, |events| events.subscribe()))
    }

    async fn ask(
        &self,
        command: &str,
        arguments: Value,
        descriptor: Option<OwnedFd>,
        limit: Duration,
    ) -> Result<Value, QmpError> {
        let gone = || QmpError::Gone { command: command.into() };
        let (answer, outcome) = oneshot::channel();
        let request = Request { command: command.into(), arguments, descriptor, answer };
        let asked = async {
            self.requests.send(request).await.map_err(|_| gone())?;
            outcome.await.map_err(|_| gone())?.map_err(|reason| QmpError::Refused { command: command.into(), reason })
        };
        timeout(limit, asked).await.unwrap_or_else(|_| Err(QmpError::Late { command: command.into(), limit }))
    }
}

/// Owns the socket; ends with it, or with the last handle.
struct Task {
    lines: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    waiting: HashMap<u64, oneshot::Sender<Result<Value, String>>>,
    events: broadcast::Sender<Event>,
    greeted: Option<oneshot::Sender<()>>,
    next: u64,
}

impl Task {
    async fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut text = Vec::new();
        loop {
            tokio::select! {
                // A line that is read in part stays in `text` when the other branch wins.
                read = self.lines.read_until(b'\n', &mut text) => {
                    if !matches!(read, Ok(1..)) {
                        return;
                    }
                    self.take(&String::from_utf8_lossy(&text));
                    text.clear();
                }
                request = queue.recv() => {
                    let Some(request) = request else { return };
                    if self.send(request).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn take(&mut self, line: &str) {
        match Message::parse(line) {
            Message::Greeting => drop(self.greeted.take().map(|greeted| greeted.send(()))),
            // Whoever asked may have given up.
            Message::Answer { id, outcome } => drop(self.waiting.remove(&id).map(|answer| answer.send(outcome))),
            Message::Event { name, data } => drop(self.events.send(Event { name, data })),
            Message::Unknown => tracing::debug!(line, "QEMU said something unknown"),
        }
    }

    async fn send(&mut self, request: Request) -> io::Result<()> {
        self.next += 1;
        tracing::trace!(command = request.command, "to QEMU");
        let line = line(self.next, &request.command, &request.arguments);
        self.waiting.insert(self.next, request.answer);
        let mut descriptor = request.descriptor;
        let mut rest = &line[..];
        while !rest.is_empty() {
            let sent = send_some(self.writer.as_ref(), rest, descriptor.as_ref()).await?;
            descriptor = None;
            rest = rest.get(sent..).unwrap_or_default();
        }
        Ok(())
    }
}

/// Sends what the socket takes, and the descriptor with its first byte.
async fn send_some(socket: &UnixStream, bytes: &[u8], descriptor: Option<&OwnedFd>) -> io::Result<usize> {
    let send = || {
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = descriptor.map(|descriptor| [descriptor.as_fd()]);
        if let Some(descriptors) = &descriptors {
            ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?)
    };
    socket.async_io(Interest::WRITABLE, send).await
}
