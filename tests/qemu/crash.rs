//! The agent dies at each step of a freeze and of a thaw: programs and disks go on all the same.
//!
//! The one that dies is a second agent in the guest, with a part of the cgroup tree of its own; the first one, which is
//! outside of it, looks on. Both have the same disk.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use icebox::agent::Agent;
use icebox::guest::Guest;
use serde_json::{Value, json};

use super::life::{Counter, freeze, start_system, system, within, write};
use crate::support::connect::Program;
use crate::support::http::Connection;

/// Where the second agent listens in the guest.
const PORT: u16 = 5001;
/// All must run within this time after a death; the promise is 2 s, and the machine is emulated beside others.
const LIMIT: Duration = Duration::from_secs(6);
/// Where the second agent's counter counts.
const COUNT: &str = "/run/second/count";

/// Steps of a freeze, with what must be asked for to get there.
const FREEZE: [(&str, &str); 12] = [
    ("hooks", "{}"),
    ("part clients", "{}"),
    ("open filesystems", "{}"),
    ("write back", "{}"),
    ("trim", r#"{"trim": true}"#),
    ("reclaim", r#"{"memoryTargetMib": 8}"#),
    ("drop caches", r#"{"dropCaches": true}"#),
    ("freeze programs", "{}"),
    ("write back the rest", "{}"),
    ("list connections", "{}"),
    ("freeze filesystems", "{}"),
    ("park", "{}"),
];
/// Steps of the thaw of a copy.
const THAW: [&str; 9] = [
    "entropy",
    "clock",
    "thaw filesystems",
    "network",
    "end connections",
    "identity",
    "generation",
    "thaw hooks",
    "thaw programs",
];

/// A guest with a second agent that is to die.
struct Scene {
    guest: Guest,
    address: SocketAddr,
}

/// The second agent with a program that it started.
struct Second {
    agent: Program,
    counter: Counter,
}

impl Scene {
    fn new() -> Self {
        let mut guest = Guest::start("scratch");
        let address = guest.address(PORT);
        guest.sh("mkdir -p /sys/fs/cgroup/second /run/second /root");
        Self { guest, address }
    }

    /// Starts the second agent, in the cgroup of the first one, and waits until it answers.
    #[track_caller]
    fn launch(&self, crash: Option<&str>) -> Program {
        let crash = crash.map(|at| format!("--crash-at '{at}'")).unwrap_or_default();
        let line = format!(
            "exec thawd -isnotfc -port {PORT} -cgroup-root /sys/fs/cgroup/second --run-dir /run/second \
             --hooks-dir /run/second/hooks --self-repair=false {crash}"
        );
        let program = start_system(self.guest.agent().address(), &line);
        within(LIMIT, "the second agent answers", || self.guest.block_on(Agent::new(self.address).is_well()));
        program
    }

    #[track_caller]
    fn second(&self, crash: Option<&str>) -> Second {
        self.guest.sh("c=/sys/fs/cgroup/second/user/cgroup.kill; rm -f /run/second/count; [ ! -e $c ] || echo 1 > $c");
        let agent = self.launch(crash);
        let counter = Counter::at(&self.guest, self.address, COUNT);
        Second { agent, counter }
    }

    /// Calls the second agent, which dies of it.
    #[track_caller]
    fn die(&self, method: &str, message: &Value) {
        let mut connection = Connection::open(self.address);
        let target = format!("/thawd.v1.Lifecycle/{method}");
        connection.request("POST", &target, &[("content-type", "application/json")], message.to_string().as_bytes());
        let answer = connection.answer();
        assert!(answer.is_none(), "it was to die: {:?}", answer.map(|answer| answer.text()));
    }

    /// Insists that nothing is left of a freeze; says how long that took.
    #[track_caller]
    fn all_goes_on(&self, counter: &Counter, began: Instant, at: &str) -> Duration {
        counter.goes_on(&self.guest);
        write(&self.guest, "/root/f", at);
        let looked = began.elapsed();
        assert!(looked < LIMIT, "{looked:?} {at}");
        within(LIMIT, "nobody waits and nothing is frozen", || {
            let look = "cat /sys/fs/cgroup/second/*/cgroup.events /sys/fs/cgroup/second/*/cgroup.freeze; \
                        cat /proc/[0-9]*/stat 2>/dev/null | grep ') D ' || true";
            let told = self.guest.sh(look);
            !told.contains("frozen 1") && !told.lines().any(|line| line == "1" || line.contains(") D "))
        });
        looked
    }

    /// Kills the second agent's guard, which is its only child of the same name; says whether there was one.
    fn kill_guard(&self, second: &Second) -> bool {
        let agent = second.agent.pid;
        let line = format!(
            "for f in /proc/[0-9]*/stat; do read -r pid name state parent rest < $f || continue; \
             [ \"$name $parent\" = '(thawd) {agent}' ] && kill -9 $pid && echo $pid; done; true"
        );
        system(&self.guest, &line).lines().count() == 1
    }
}

fn whole(reclaim: &str) -> Value {
    json!({"scope": "SCOPE_DISK", "reclaim": serde_json::from_str::<Value>(reclaim).unwrap()})
}

fn dies_while_freezing(steps: &[(&str, &str)]) {
    let scene = Scene::new();
    let mut worst = (Duration::ZERO, String::new());
    for (step, reclaim) in steps {
        for when in ["before", "after"] {
            let at = format!("{when}:{step}");
            let second = scene.second(Some(&at));
            scene.die("Freeze", &whole(reclaim));
            let took = scene.all_goes_on(&second.counter, Instant::now(), &at);
            worst = worst.max((took, at));
        }
    }
    eprintln!("worst of {}: {worst:?}", steps.len() * 2);
}

#[test]
fn programs_and_disk_go_on_when_the_agent_dies_at_a_step_before_programs_stand_still() {
    dies_while_freezing(&FREEZE[..7]);
}

#[test]
fn programs_and_disk_go_on_when_the_agent_dies_at_a_step_after_programs_stand_still() {
    dies_while_freezing(&FREEZE[7..]);
}

#[test]
fn programs_and_disk_go_on_when_the_agent_dies_at_any_step_of_a_thaw() {
    let scene = Scene::new();
    let mut worst = (Duration::ZERO, String::new());
    for step in THAW {
        for when in ["before", "after"] {
            let at = format!("{when}:{step}");
            let second = scene.second(Some(&at));
            let frozen = Agent::new(scene.address);
            let frozen = scene.guest.block_on(frozen.freeze(&whole("{}"))).unwrap();
            assert_eq!(frozen["report"]["filesystems"][0]["outcome"], json!("frozen"), "{frozen}");
            scene.die("Thaw", &json!({"clone": true}));
            let took = scene.all_goes_on(&second.counter, Instant::now(), &at);
            worst = worst.max((took, at));
        }
    }
    eprintln!("worst of {}: {worst:?}", THAW.len() * 2);
}

#[test]
fn a_successor_lets_everything_go_when_the_guard_died_too() {
    let scene = Scene::new();
    for at in ["", "before:entropy", "after:thaw filesystems", "before:thaw programs"] {
        let second = scene.second(Some(at).filter(|at| !at.is_empty()));
        scene.guest.block_on(Agent::new(scene.address).freeze(&whole("{}"))).unwrap();
        assert!(scene.kill_guard(&second), "there is a guard");
        match at {
            "" => drop(system(&scene.guest, &format!("kill -9 {}", second.agent.pid))),
            _ => scene.die("Thaw", &json!({"clone": true})),
        }
        assert!(second.counter.stands_still(&scene.guest), "{at}: nobody was left to let it go");
        let began = Instant::now();
        let mut successor = scene.launch(None);
        let took = scene.all_goes_on(&second.counter, began, at);
        eprintln!("{took:?} from the start of a successor ({at})");
        system(&scene.guest, &format!("kill {}", successor.pid));
        assert_eq!(successor.exit_code(), 0);
    }
}

/// Kills the first agent while everything stands still.
fn is_started_again(flavour: &str) {
    let guest = Guest::start(flavour);
    let counter = Counter::start(&guest);
    let before = guest.sh("echo $PPID");
    freeze(&guest, &json!({"scope": "SCOPE_DISK", "workload": "WORKLOAD_ALL"}));
    assert!(counter.stands_still(&guest));
    // The program that kills is the agent's child.
    drop(start_system(guest.agent().address(), "sleep 0.3; kill -9 $PPID"));
    let killed = Instant::now() + Duration::from_millis(300);
    within(LIMIT, "another agent answers", || Instant::now() > killed && runs(&guest));
    counter.goes_on(&guest);
    write(&guest, "/root/f", "x");
    let took = killed.elapsed();
    eprintln!("{flavour}: {took:?} from the agent's death to all running");
    assert!(took < LIMIT, "{took:?}");
    assert_ne!(before, guest.sh("echo $PPID"));
    freeze(&guest, &json!({}));
    assert!(counter.stands_still(&guest), "it can be frozen again");
}

#[test]
fn process_1_starts_an_agent_that_died_while_everything_was_frozen_again() {
    is_started_again("scratch");
}

#[test]
fn systemd_starts_an_agent_that_died_while_everything_was_frozen_again() {
    is_started_again("debian");
}

/// Asks the agent where the guest is, which may have no agent at the moment.
fn runs(guest: &Guest) -> bool {
    guest.block_on(guest.agent().status()).is_ok_and(|status| status["phase"] == json!("PHASE_RUNNING"))
}
