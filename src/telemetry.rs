//! Logs: one event a fact, constant messages, values in fields. Never argv, environment, input, tokens or contents.
//!
//! Lines go through a bounded queue to a thread that writes them. Whoever reads our stdout may stop reading, and that
//! must stop no request: a full queue drops lines. The thread starts with the first line, so a quiet agent has none.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Lines that wait to be written; beyond it lines are lost. The first line takes 32 bytes of memory for each.
const QUEUE: usize = 256;

/// Starts logging: JSON lines on stdout when `verbose`, else warnings as text on stderr.
pub fn start(verbose: bool) {
    if verbose {
        let ours = Targets::new().with_target("thawd", LevelFilter::DEBUG).with_default(LevelFilter::WARN);
        let lines = fmt::layer().json().flatten_event(true).with_writer(|| Line::new(&STDOUT, io::stdout));
        tracing_subscriber::registry().with(lines).with(ours).init();
    } else {
        let lines = fmt::layer().with_ansi(false).with_writer(|| Line::new(&STDERR, io::stderr));
        tracing_subscriber::registry().with(lines).with(LevelFilter::WARN).init();
    }
}

static STDOUT: Queue = OnceLock::new();
static STDERR: Queue = OnceLock::new();

type Queue = OnceLock<Option<SyncSender<Vec<u8>>>>;

/// Collects one line and queues it when it is dropped.
struct Line {
    queue: Option<&'static SyncSender<Vec<u8>>>,
    text: Vec<u8>,
}

impl Line {
    fn new<W: Write + 'static>(queue: &'static Queue, output: fn() -> W) -> Self {
        let queue = queue.get_or_init(|| {
            let (sender, lines) = sync_channel(QUEUE);
            let thread = std::thread::Builder::new().name("log".to_owned());
            thread.spawn(move || write_all(&lines, &mut output())).ok().map(|_| sender)
        });
        Self { queue: queue.as_ref(), text: Vec::new() }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(queue) = self.queue {
            let _ = queue.try_send(std::mem::take(&mut self.text));
        }
    }
}

fn write_all(lines: &Receiver<Vec<u8>>, output: &mut impl Write) {
    for line in lines {
        // Nobody is left to be told when this fails.
        let _ = output.write_all(&line).and_then(|()| output.flush());
    }
}
