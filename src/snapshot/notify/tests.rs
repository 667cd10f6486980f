//! Listeners that answer, and listeners that do not.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};

use super::{Notifier, Resumed, Settings};
use crate::activity::Holds;
use crate::base::{Life, Lives, Phase, Tasks, sentence};
use crate::snapshot::hooks::Outcome;

/// What the machine may add to a bound when it is busy.
const LOADED: Duration = Duration::from_millis(600);
const SHORT: Duration = Duration::from_millis(300);
/// A bound that no test reaches unless something hangs.
const LONG: Duration = Duration::from_secs(20);
const RESUMED: Resumed = Resumed {
    generation: 4,
    paused: Duration::from_millis(30_000),
    paused_total: Duration::from_millis(90_001),
    clone: true,
    clock_step_ns: -12,
    resumed_at_unix_ns: 1_700_000_000_000_000_001,
};

/// A folder, a notifier and its tasks.
struct Stage {
    folder: PathBuf,
    notifier: Notifier,
    tasks: Tasks,
}

impl Stage {
    fn new(clients: usize, clients_per_user: usize) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("thawd-notify-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name).join("run");
        let settings = Settings { folder: folder.clone(), clients, clients_per_user, wait: LONG };
        let tasks = Tasks::default();
        let notifier = Notifier::start(settings, Holds::default(), Lives::always(), &tasks);
        Self { folder, notifier, tasks }
    }

    async fn listener(&self) -> Listener {
        let mut listener = self.stranger().await;
        assert_eq!(listener.hear().await["event"], "hello");
        listener
    }

    /// Connects and hears nothing yet.
    async fn stranger(&self) -> Listener {
        Listener(BufReader::new(UnixStream::connect(self.folder.join("lifecycle.sock")).await.unwrap()))
    }

    /// Connects and asks to be waited for; returns when that is known.
    async fn waiter(&self) -> Listener {
        let mut listener = self.listener().await;
        listener.say(&json!({"wait": true})).await;
        let deadline = Instant::now() + LONG;
        while self.notifier.waited_for() < self.notifier.listeners() {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        listener
    }

    /// Announces a freeze and lets `answers` happen meanwhile.
    async fn freeze<T>(&self, budget: Duration, answers: impl Future<Output = T>) -> (Vec<String>, T) {
        let (outcomes, answers) = tokio::join!(self.notifier.will_freeze(budget, 3), answers);
        (errors(&outcomes), answers)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.folder.parent().unwrap());
    }
}

struct Listener(BufReader<UnixStream>);

impl Listener {
    async fn say(&mut self, line: &Value) {
        self.send(format!("{line}\n").as_bytes()).await;
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Reads a line; null at the end.
    async fn hear(&mut self) -> Value {
        let mut line = String::new();
        match timeout(LONG, self.0.read_line(&mut line)).await.expect("nothing is said") {
            Ok(1..) => serde_json::from_str(&line).unwrap(),
            _ => Value::Null,
        }
    }

    /// Waits for the announcement of a freeze and gives its number.
    async fn announced(&mut self) -> u64 {
        let line = self.hear().await;
        assert_eq!((&line["event"], &line["generation"]), (&json!("will_freeze"), &json!(3)), "{line}");
        line["freeze"].as_u64().unwrap()
    }

    async fn answer(&mut self) {
        let freeze = self.announced().await;
        self.say(&json!({"ack": freeze})).await;
    }
}

fn errors(outcomes: &[Outcome]) -> Vec<String> {
    let prefix = format!("client {}", std::process::id());
    let error = |outcome: &Outcome| outcome.error.as_ref().map(|error| sentence(error)).unwrap_or_default();
    outcomes.iter().inspect(|outcome| assert_eq!(outcome.name, prefix)).map(error).collect()
}

#[tokio::test]
async fn a_listener_hears_where_the_guest_is_and_what_happens_to_it() {
    let stage = Stage::new(64, 64);
    assert_eq!(fs::metadata(stage.folder.join("lifecycle.sock")).unwrap().mode() & 0o777, 0o666);
    let mut listener = stage.stranger().await;
    assert_eq!(listener.hear().await, json!({"event": "hello", "phase": "running", "generation": 0}));
    let (outcomes, ()) = stage.freeze(LONG, async {}).await;
    assert_eq!(outcomes, [""; 0], "who did not ask for it is not waited for");
    let announced = json!({"event": "will_freeze", "freeze": 1, "generation": 3, "deadline_ms": 20_000});
    assert_eq!(listener.hear().await, announced);
    stage.notifier.cancelled(3);
    assert_eq!(listener.hear().await, json!({"event": "cancelled", "generation": 3}));
    stage.notifier.thawed(&RESUMED);
    let thawed = json!({"event": "thawed", "generation": 4, "paused_ms": 30_000, "clone": true, "clock_step_ns": -12});
    assert_eq!(listener.hear().await, thawed);
}

#[tokio::test]
async fn of_a_hundred_listeners_one_that_is_stuck_delays_the_freeze_by_the_bound_only() {
    let stage = Stage::new(128, 128);
    let mut listeners = Vec::new();
    for _ in 0..99 {
        listeners.push(stage.waiter().await);
    }
    let _stuck = stage.waiter().await;
    let began = Instant::now();
    let answers = futures_util::future::join_all(listeners.iter_mut().map(Listener::answer));
    let (mut outcomes, _) = stage.freeze(SHORT, answers).await;
    let over = began.elapsed().checked_sub(SHORT).unwrap();
    println!("over its time by {over:?}");
    assert!(over < LOADED, "{over:?}");
    assert_eq!(outcomes.pop().unwrap(), "not done after 300 ms");
    assert_eq!(outcomes, [""; 99]);
}

#[tokio::test]
async fn a_freeze_goes_on_when_all_have_answered_or_gone() {
    let stage = Stage::new(64, 64);
    let mut ready = stage.waiter().await;
    let mut busy = stage.waiter().await;
    let mut goes = stage.waiter().await;
    let began = Instant::now();
    let answers = async {
        ready.answer().await;
        let freeze = busy.announced().await;
        busy.say(&json!({"busy": freeze, "reason": "a backup runs"})).await;
        goes.announced().await;
        drop(goes);
    };
    assert_eq!(stage.freeze(LONG, answers).await.0, ["", "busy: a backup runs"]);
    assert!(began.elapsed() < LONG / 2);
}

#[tokio::test]
async fn an_answer_counts_for_the_freeze_that_it_names() {
    let stage = Stage::new(64, 64);
    let mut late = stage.waiter().await;
    assert_eq!(stage.freeze(Duration::from_millis(1), async {}).await.0, ["not done after 1 ms"]);
    let answers = async {
        let old = late.announced().await;
        late.say(&json!({"ack": old})).await;
        assert_eq!(late.announced().await, old + 1);
    };
    assert_eq!(stage.freeze(SHORT, answers).await.0, ["not done after 300 ms"]);
}

#[tokio::test]
async fn a_listener_that_says_what_cannot_be_meant_is_sent_away_with_the_reason() {
    let stage = Stage::new(64, 64);
    let useless = "{}\n".repeat(100);
    for (bytes, reason) in [
        (b"GET / HTTP/1.1\r\n\r\n".as_slice(), "not a JSON object that we know"),
        (b"\xff\xfe\n", "not a JSON object that we know"),
        (b"\n", "not a JSON object that we know"),
        (&[b'x'; 5000], "the line is too long"),
        (useless.as_bytes(), "too many lines without effect"),
    ] {
        let mut listener = stage.listener().await;
        listener.send(bytes).await;
        assert_eq!(listener.hear().await, json!({"event": "error", "reason": reason}));
        assert_eq!(listener.hear().await, Value::Null);
    }
    // Whole lines may come in pieces, and many at once.
    let mut listener = stage.listener().await;
    for piece in ["{\"wa", "it\":true}\n{\"wait\":false}\n{\"wait\"", ":true}\n"] {
        listener.send(piece.as_bytes()).await;
        tokio::task::yield_now().await;
    }
    let (outcomes, ()) = stage.freeze(LONG, listener.answer()).await;
    assert!(outcomes.is_empty() || outcomes == [""], "{outcomes:?}");
    assert_eq!(stage.freeze(LONG, listener.answer()).await.0, [""]);
}

#[tokio::test]
async fn no_more_may_listen_than_the_bounds_say_and_a_free_place_is_given_again() {
    for (clients, per_user) in [(64, 3), (3, 64)] {
        let stage = Stage::new(clients, per_user);
        let mut listeners = Vec::new();
        for _ in 0..3 {
            listeners.push(stage.listener().await);
        }
        let mut refused = stage.stranger().await;
        assert_eq!(refused.hear().await, json!({"event": "error", "reason": "too many listeners"}));
        assert_eq!(refused.hear().await, Value::Null);
        listeners.pop();
        let deadline = Instant::now() + LONG;
        while stage.stranger().await.hear().await["event"] != "hello" {
            assert!(Instant::now() < deadline);
        }
    }
}

#[tokio::test]
async fn a_listener_that_never_reads_holds_up_nobody_and_is_sent_away() {
    let stage = Stage::new(64, 64);
    let _stuck = stage.listener().await;
    let mut other = stage.listener().await;
    let deadline = Instant::now() + LONG;
    let mut told = 0;
    while stage.notifier.listeners() == 2 {
        stage.notifier.thawed(&RESUMED);
        told += 1;
        assert_eq!(other.hear().await["event"], "thawed");
        assert!(Instant::now() < deadline, "told {told} times");
    }
    while stage.tasks.running() > 2 {
        assert!(Instant::now() < deadline, "its task goes too");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    stage.notifier.cancelled(1);
    assert_eq!(other.hear().await["event"], "cancelled");
}

#[tokio::test]
async fn the_generation_file_is_replaced_as_a_whole_and_read_by_everybody() {
    let stage = Stage::new(1, 1);
    let file = &stage.folder.join("generation");
    assert_eq!(stage.notifier.last(), None);
    stage.notifier.write_generation(&Resumed::default()).unwrap();
    let old = fs::File::open(file).unwrap();
    fs::write(file.with_extension("new"), "left by an agent that died").unwrap();
    stage.notifier.write_generation(&RESUMED).unwrap();
    let want = "generation=4\npaused_ms=30000\npaused_total_ms=90001\nclone=1\nclock_step_ns=-12\n\
                resumed_at_unix_ns=1700000000000000001\n";
    assert_eq!(fs::read_to_string(file).unwrap(), want);
    let millis = |time: Duration| Duration::from_millis(time.as_millis().try_into().unwrap());
    let told = Resumed { paused: millis(RESUMED.paused), paused_total: millis(RESUMED.paused_total), ..RESUMED };
    assert_eq!(stage.notifier.last(), Some(told));
    assert!(std::io::read_to_string(old).unwrap().starts_with("generation=0\npaused_ms=0\n"));
    assert_eq!(fs::metadata(file).unwrap().mode() & 0o777, 0o644);
    assert_eq!(fs::metadata(&stage.folder).unwrap().mode() & 0o777, 0o755);
    assert!(!file.with_extension("new").exists());
}

#[tokio::test]
async fn a_socket_that_an_agent_left_is_taken_over_and_one_that_is_served_is_not() {
    let stage = Stage::new(64, 64);
    let settings = Settings { folder: stage.folder.clone(), ..Settings::default() };
    let second = Notifier::start(settings.clone(), Holds::default(), Lives::always(), &stage.tasks);
    assert_eq!(stage.tasks.running(), 1, "the first one serves");
    assert!(second.will_freeze(LONG, 1).await.is_empty());
    stage.tasks.drain(LONG).await;
    let tasks = Tasks::default();
    let (life, lives) = tokio::sync::watch::channel(Life { phase: Phase::Thawing, generation: 9, ..Life::default() });
    let _third = Notifier::start(settings, Holds::default(), Lives::new(lives), &tasks);
    let mut listener = stage.stranger().await;
    assert_eq!(listener.hear().await, json!({"event": "hello", "phase": "thawing", "generation": 9}));
    drop(life);
}

#[tokio::test]
async fn without_a_folder_there_is_no_socket_and_nothing_else_is_missed() {
    let tasks = Tasks::default();
    let settings = Settings { folder: PathBuf::from("/proc/no/such"), ..Settings::default() };
    let notifier = Notifier::start(settings, Holds::default(), Lives::always(), &tasks);
    assert_eq!(tasks.running(), 0);
    assert!(notifier.will_freeze(LONG, 1).await.is_empty());
    notifier.thawed(&RESUMED);
    assert!(notifier.write_generation(&RESUMED).is_err());
}
