//! Guests as they are met, and what is to be said about them.

use super::*;
use crate::activity::facts::{Programs, Seen};
use crate::activity::holds::{Hold, Holder};

const MINUTE: Duration = Duration::from_secs(60);
const AGES: fn(u64) -> Duration = Duration::from_secs;

/// A guest that has run for long and in which nothing ever happened.
fn still() -> Facts {
    Facts { since: AGES(100_000), ..Facts::default() }
}

fn with(happened: &[(Happening, u64)]) -> Facts {
    let mut facts = still();
    for &(happening, seconds) in happened {
        facts.ages[happening as usize] = Some(AGES(seconds));
    }
    facts
}

fn hold(left: u64) -> Hold {
    Hold { id: 1, reason: "backup".into(), left: AGES(left), holder: Holder::Client }
}

fn policy(words: &[&str]) -> Policy {
    Policy::new(MINUTE, 0.1, words.iter().copied()).unwrap()
}

fn after(seconds: u64) -> Again {
    Again::After(AGES(seconds))
}

const TOLD: Again = Again::Ended(Duration::MAX);

/// One guest, what the host ignores, and what is to be said: verdict, signals, when it can be idle.
type Scene = (&'static str, Facts, &'static [&'static str], Verdict, &'static [&'static str], Again);

fn scenes() -> Vec<Scene> {
    use Happening::{BackgroundOutput, FileWrite, Inbound, Outbound, Output, Rpc, Stdin, Touch, TtyKey};
    use Verdict::{Active, Idle, Quiet};
    let programs = |ptys, foreground, background| Programs { ptys, foreground, background };
    let seen = |inbound, outbound, cores| Seen { inbound, outbound, cores: Cores::Used(cores) };
    let shell = Facts { streams: 1, programs: programs(1, 0, 0), ..with(&[(TtyKey, 300), (Output, 300)]) };
    let typed = Facts { streams: 1, programs: programs(1, 0, 0), ..with(&[(TtyKey, 5), (Output, 5), (Rpc, 5)]) };
    let server = |received, cores| Facts {
        programs: programs(0, 0, 1),
        seen: seen(1, 0, cores),
        ..with(&[(Inbound, received), (BackgroundOutput, received), (Rpc, 4000)])
    };
    let build = Facts { streams: 1, programs: programs(0, 1, 0), seen: seen(0, 0, 1.7), ..with(&[(Output, 200)]) };
    let silent = Facts { streams: 1, programs: programs(0, 1, 0), seen: seen(0, 0, 0.0), ..with(&[(Rpc, 900)]) };
    let download = |sent| Facts { programs: programs(0, 0, 1), seen: seen(0, 1, 0.05), ..with(&[(Outbound, sent)]) };
    let cron = |cores| Facts { seen: seen(0, 0, cores), ..with(&[(Rpc, 7000)]) };
    let socket = Facts { programs: programs(0, 0, 1), seen: seen(1, 0, 0.0), ..with(&[(Inbound, 600)]) };
    let tmux = |cores| Facts { programs: programs(0, 0, 1), seen: seen(0, 0, cores), ..with(&[(Rpc, 600)]) };
    let upload = Facts { uploads: 1, ..with(&[(FileWrite, 200)]) };
    let held = Facts { holds: vec![hold(30), hold(500)], ..with(&[(Rpc, 4000)]) };
    let woken = Facts { since: AGES(10), ..with(&[(Rpc, 90)]) };
    let unmeasured = Facts { seen: Seen { cores: Cores::NotKnown, ..Seen::default() }, ..still() };
    vec![
        ("nothing at all", still(), &[], Idle, &[], Again::Now),
        ("idle shell", shell.clone(), &[], Quiet, &["streams", "ptys"], TOLD),
        ("idle shell that may be cut", shell, &["streams", "ptys"], Idle, &[], Again::Now),
        ("shell in use", typed, &["streams", "ptys"], Active, &["rpc", "output", "tty_key"], after(55)),
        ("fed program", with(&[(Stdin, 59)]), &[], Active, &["stdin"], after(1)),
        ("dev server polled", server(2, 0.02), &["background"], Active, &["inbound", "connections"], after(60)),
        (
            "dev server polled, all counts",
            server(2, 0.02),
            &[],
            Active,
            &["background", "inbound", "background", "connections"],
            TOLD,
        ),
        ("dev server polled by a monitor", server(2, 0.02), &["background", "inbound"], Idle, &[], Again::Now),
        ("dev server left alone", server(900, 0.02), &["background", "connections"], Idle, &[], Again::Now),
        ("dev server that spins", server(900, 0.4), &["background", "connections"], Active, &["cpu"], after(60)),
        ("build", build.clone(), &["foreground", "streams"], Active, &["cpu"], after(60)),
        ("build, all counts", build, &[], Active, &["cpu", "streams", "foreground"], TOLD),
        ("program that waits in silence", silent.clone(), &[], Quiet, &["streams", "foreground"], TOLD),
        ("the same, ignored", silent, &["streams", "foreground"], Idle, &[], Again::Now),
        ("download", download(1), &["background"], Active, &["outbound", "connections"], after(60)),
        ("download, ignored", download(1), &["background", "outbound"], Idle, &[], Again::Now),
        ("download that stalls", download(70), &["background"], Quiet, &["connections"], after(60)),
        ("cron between two jobs", cron(0.001), &[], Idle, &[], Again::Now),
        ("cron in a long job", cron(0.9), &[], Active, &["cpu"], after(60)),
        ("idle websocket", socket.clone(), &["background"], Quiet, &["connections"], after(60)),
        ("idle websocket that may be cut", socket, &["background", "connections"], Idle, &[], Again::Now),
        ("tmux, detached, idle", tmux(0.0), &["background"], Idle, &[], Again::Now),
        ("tmux, detached, working", tmux(0.5), &["background"], Active, &["cpu"], after(60)),
        ("upload that takes its time", upload, &["streams"], Active, &["uploads"], TOLD),
        ("held", held, &[], Active, &["hold", "hold"], Again::Ended(AGES(500))),
        ("touched", with(&[(Touch, 20)]), &[], Active, &["touch"], after(40)),
        ("woken up just now", woken, &[], Active, &["resume"], after(50)),
        ("not measured yet", unmeasured, &[], Active, &["cpu"], after(60)),
        ("log in the background", with(&[(BackgroundOutput, 1)]), &["background"], Idle, &[], Again::Now),
        ("log that is followed", with(&[(Output, 1)]), &["output"], Idle, &[], Again::Now),
    ]
}

#[test]
fn each_guest_gets_the_verdict_it_deserves_and_the_reasons() {
    for (name, facts, ignore, verdict, signals, again) in scenes() {
        let judged = judge(&facts, &policy(ignore));
        let found: Vec<_> = judged.why.iter().map(|reason| reason.signal).collect();
        assert_eq!(
            (judged.verdict, found.as_slice(), judged.again(Verdict::Idle)),
            (verdict, signals, again),
            "{name}"
        );
        assert_eq!(judged.again(Verdict::Idle) == Again::Now, verdict == Verdict::Idle, "{name}");
        assert_eq!(judged.again(Verdict::Quiet) == Again::Now, verdict >= Verdict::Quiet, "{name}");
    }
}

#[test]
fn nothing_ignored_makes_a_guest_more_active() {
    let words = ["foreground", "background", "output", "ptys", "streams", "connections", "inbound", "outbound"];
    for (name, facts, ..) in scenes() {
        for set in 0..1_u32 << words.len() {
            let ignored: Vec<_> = (0..words.len()).filter(|bit| set >> bit & 1 == 1).map(|bit| words[bit]).collect();
            let judged = judge(&facts, &policy(&ignored));
            for more in words {
                let wider = judge(&facts, &policy(&[&ignored[..], &[more]].concat()));
                assert!(
                    wider.verdict >= judged.verdict && wider.idle_for >= judged.idle_for,
                    "{name} {ignored:?} {more}"
                );
            }
        }
    }
}

#[test]
fn idleness_counts_from_the_last_thing_that_counts() {
    let idle_for = |facts: &Facts, words: &[&str]| judge(facts, &policy(words)).idle_for.as_secs();
    let facts = with(&[(Happening::Rpc, 300), (Happening::Output, 100), (Happening::Outbound, 5)]);
    assert_eq!((idle_for(&facts, &[]), idle_for(&facts, &["outbound"])), (5, 100));
    assert_eq!(idle_for(&facts, &["outbound", "output"]), 300);
    assert_eq!(idle_for(&Facts { since: AGES(7), ..facts.clone() }, &["outbound"]), 7);
    assert_eq!(idle_for(&Facts { holds: vec![hold(1)], ..facts }, &[]), 0);
}

#[test]
fn the_edge_is_at_the_end_of_the_window_and_not_before() {
    let at = |millis| {
        let mut facts = still();
        facts.ages[Happening::Rpc as usize] = Some(Duration::from_millis(millis));
        judge(&facts, &policy(&[]))
    };
    assert_eq!(at(59_999).again(Verdict::Idle), Again::After(Duration::from_millis(1)));
    assert_eq!((at(60_000).verdict, at(60_000).again(Verdict::Idle)), (Verdict::Idle, Again::Now));
}

#[test]
fn without_a_threshold_processor_time_does_not_count() {
    let facts = Facts { seen: Seen { cores: Cores::Used(8.0), ..Seen::default() }, ..still() };
    assert_eq!(judge(&facts, &Policy::default()).verdict, Verdict::Idle);
}
