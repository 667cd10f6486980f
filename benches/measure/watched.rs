//! Changes in a watched folder.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use serde_json::json;

use super::agent::Agent;
use super::client::Client;
use super::envelope::Envelopes;
use super::messages;

/// A watched folder and the events that came from it.
pub struct Watched {
    folder: String,
    client: Client,
    events: Envelopes,
}

/// What came of many creations.
#[derive(Clone, Copy, Debug)]
pub struct Creations {
    pub lost: u64,
    /// From the first creation to the last event.
    pub wall: Duration,
}

/// Makes files as fast as can be, in a folder that is there; says how long it took.
pub fn make(folder: &str, count: usize) -> Duration {
    let started = Instant::now();
    for number in 0..count {
        File::create(format!("{folder}/created-{number}")).unwrap();
    }
    started.elapsed()
}

impl Watched {
    /// Watches a folder, which is made if it is not there.
    pub fn open(agent: &Agent, folder: String) -> Self {
        fs::create_dir_all(&folder).unwrap();
        let mut client = agent.client();
        let message = json!({"path": folder, "recursive": false}).to_string();
        let request = client.streaming(messages::WATCH_DIR, "json", message.as_bytes());
        let mut events = messages::open(&mut client, &request);
        events.needle = Some(b"EVENT_TYPE_CREATE");
        Self { folder, client, events }
    }

    /// Makes files as fast as can be, and reads until each was told of or nothing comes any more.
    pub fn create(mut self, count: usize) -> Creations {
        let started = Instant::now();
        let folder = self.folder.clone();
        let maker = std::thread::spawn(move || make(&folder, count));
        let mut last = started;
        while self.events.found < count as u64 {
            if maker.is_finished() && !self.client.is_readable(QUIET) {
                break;
            }
            self.read();
            last = Instant::now();
        }
        maker.join().unwrap();
        Creations { lost: count as u64 - self.events.found, wall: last - started }
    }

    /// Makes one file and waits until it is told of.
    pub fn one(&mut self, number: usize) -> Duration {
        let before = self.events.found;
        let started = Instant::now();
        File::create(format!("{}/one-{number}", self.folder)).unwrap();
        while self.events.found == before {
            self.read();
        }
        started.elapsed()
    }

    fn read(&mut self) {
        self.events.feed(self.client.piece().expect("the watch goes on"));
        assert!(self.events.end.is_none(), "the watch ended");
    }
}

/// How long no event may come until the missing ones count as lost.
const QUIET: Duration = Duration::from_secs(3);
