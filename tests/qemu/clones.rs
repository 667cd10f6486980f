//! Copies of one snapshot have nothing in common that should be their own.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use icebox::agent::{Agent, AgentError, Program, Thaw};
use icebox::guest::{Choice, Guest};
use icebox::snapshot::{Companion, Guided};
use serde_json::{Value, json};

use crate::guests;

const COPIES: usize = 8;
/// Values of each copy that are compared.
const VALUES: usize = 400;
const LIMIT: Duration = Duration::from_secs(60);

/// Draws 8-byte values as fast as it can, from before the snapshot on, and writes them down.
const DRAWER: &str = "
import os, uuid
with open('/dev/shm/values', 'w', buffering=1) as values:
    while True:
        values.write(os.urandom(8).hex() + '\\n')
        values.write(uuid.uuid4().hex + '\\n')
";

/// Freezes, and counts what was drawn until then: programs of the host itself still run.
struct Counting(Guided);

impl Companion for Counting {
    async fn freeze(&self, agent: Agent) -> Result<Option<Value>, AgentError> {
        let frozen = self.0.freeze(agent.clone()).await?;
        let count = agent.run(&Program::shell("wc -l < /dev/shm/values").tagged("_system"), LIMIT).await?;
        let count = String::from_utf8_lossy(&count.stdout).trim().to_owned();
        Ok(frozen.map(|frozen| json!({"frozen": frozen, "drawn": count})))
    }

    async fn cancel(&self, agent: Agent) -> Result<(), AgentError> {
        self.0.cancel(agent).await
    }

    async fn thaw(&self, agent: Agent, frozen: Option<Value>) -> Result<Option<Value>, AgentError> {
        self.0.thaw(agent, frozen.map(|both| both["frozen"].clone())).await
    }
}

fn copies_have_nothing_in_common(choice: Choice) {
    let guest = choice.start();
    guest.block_on(guest.agent().write_file("/root/draw.py", DRAWER.into())).unwrap();
    guest.spawn("exec python3 /root/draw.py");
    guests::wait(&guest, "it draws", || guest.run("test $(wc -l < /dev/shm/values) -gt 100").exit_code == 0);
    let (hostname, machine_id) = (guest.sh("hostname"), guest.sh("cat /etc/machine-id"));

    let asleep = guest.pause_with(&Counting(Guided::default()));
    let drawn: usize = asleep.report.frozen.as_ref().unwrap()["drawn"].as_str().unwrap().parse().unwrap();
    let thaw = Thaw { clone: true, ..Thaw::default() };
    let copies = asleep.copies(COPIES, &Counting(Guided { thaw, ..Guided::default() }));

    let mut seen = HashMap::new();
    let mut identities = HashSet::from([hostname, machine_id]);
    for (number, copy) in copies.iter().enumerate() {
        let enough = format!("test $(wc -l < /dev/shm/values) -gt {}", drawn + 1 + VALUES);
        guests::wait(copy, "it draws on", || copy.run(&enough).exit_code == 0);
        // The first one may have been drawn before the freeze and written after the thaw.
        let values = copy.sh(&format!("tail -n +{} /dev/shm/values | head -n {VALUES}", drawn + 2));
        for value in values.lines() {
            let other = seen.insert(value.to_owned(), number);
            assert_eq!(other, None, "copy {number} drew {value}, as another one did");
        }
        for own in [
            "hostname",
            "cat /etc/machine-id",
            "cat /proc/sys/kernel/random/boot_id",
            "head -c 16 /dev/urandom | od -A n -t x1",
        ] {
            let own = copy.sh(own);
            assert!(identities.insert(own.clone()), "{own} is not its own");
        }
    }
    assert_eq!(seen.len(), COPIES * VALUES);
}

#[test]
fn with_a_device_that_tells_the_kernel() {
    copies_have_nothing_in_common(Choice::of("debian"));
}

#[test]
fn without_one() {
    copies_have_nothing_in_common(Choice::of("debian").without_vmgenid());
}

#[test]
fn a_copy_answers_to_its_own_token_only() {
    let guest = Guest::start("scratch");
    let asleep = guest.pause();
    let copy = |token: &str| {
        let more = json!({"identity": {"accessToken": token, "hostname": token}});
        let thaw = Thaw { clone: true, more: more.as_object().unwrap().clone(), ..Thaw::default() };
        asleep.resume_with(&Guided { thaw, ..Guided::default() }).0
    };
    let (one, two) = (copy("one"), copy("two"));
    let asked = |guest: &Guest, token: &str| {
        let hostname = guest.agent().with_token(token);
        guest.block_on(hostname.run(&Program::new("hostname", &[]), LIMIT)).map(|output| output.stdout).ok()
    };
    assert_eq!(asked(&one, "one"), Some(b"one\n".to_vec()));
    assert_eq!(asked(&two, "two"), Some(b"two\n".to_vec()));
    assert_eq!((asked(&one, "two"), asked(&two, "one")), (None, None));
}

#[test]
fn without_fresh_random_bytes_nothing_goes_on_if_the_host_says_so() {
    // The emulated CPU has RDRAND; the agent is asked as if it had not been given anything it trusts.
    let guest = Choice::of("scratch").without_rng().start();
    let asleep = guest.pause();
    let more = json!({"requireEntropy": true});
    let thaw = Thaw { more: more.as_object().unwrap().clone(), ..Thaw::default() };
    let (guest, report) = asleep.resume_with(&Guided { thaw, ..Guided::default() });
    assert_eq!(report.thawed.unwrap()["report"]["entropy"], json!("host"));
    assert_eq!(guest.sh("echo on"), "on\n");
}
