use std::collections::BTreeMap;

use super::*;
use crate::sandbox::{Lifecycle, SandboxId};

const NOW: u64 = 1_795_302_065_786;

fn view(id: &str) -> View {
    View {
        id: SandboxId::parse(id).unwrap(),
        template: "base".into(),
        alias: None,
        state: State::Running,
        started_ms: NOW - 90_000,
        end_ms: NOW + 210_000,
        timeout_s: 300,
        metadata: BTreeMap::new(),
        lifecycle: Lifecycle { on_timeout: OnTimeout::Kill, auto_resume: false },
        token: Some("the-token".into()),
        traffic_token: Some("the-token".into()),
        allow_internet: None,
        network: None,
        mask_request_host: None,
        cpus: 1,
        memory_mib: 512,
        disk_mib: 2048,
        envd_version: "0.6.13".into(),
        active_ms: NOW - 5_000,
        last_pause: Vec::new(),
        last_resume: Vec::new(),
        snapshot_bytes: None,
        trouble: None,
    }
}

/// The tags of a text, without what they say.
fn tags(html: &str) -> Vec<&str> {
    html.split('<').skip(1).map(|tag| tag.split([' ', '>']).next().unwrap()).collect()
}

#[test]
fn nothing_that_clients_say_is_more_than_text() {
    const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\r\n\ndata: x\0&lt;/style>";
    let plain = View {
        alias: Some("x".into()),
        metadata: BTreeMap::from([("x".into(), "x".into())]),
        last_pause: vec![Phase { name: "x".into(), took_us: 1 }],
        trouble: Some("x".into()),
        ..view("i1")
    };
    let hostile = View {
        template: HOSTILE.into(),
        alias: Some(HOSTILE.into()),
        metadata: BTreeMap::from([(HOSTILE.into(), HOSTILE.into())]),
        last_pause: vec![Phase { name: HOSTILE.into(), took_us: 1 }],
        trouble: Some(HOSTILE.into()),
        envd_version: HOSTILE.into(),
        ..view("i1")
    };
    let (plain, hostile) = (fragment(vec![plain], NOW), fragment(vec![hostile], NOW));
    assert_eq!(tags(&hostile), tags(&plain));
    assert_eq!(hostile.matches('"').count(), plain.matches('"').count());
    assert!(hostile.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{hostile}");
    assert!(!hostile.contains(['\r', '\n', '\0']), "an event would end there: {hostile}");
}

#[test]
fn what_a_person_wants_to_know_is_there() {
    let running = View {
        lifecycle: Lifecycle { on_timeout: OnTimeout::Pause(PauseMode::Full), auto_resume: true },
        ..view("i1")
    };
    let phase = |name: &str, took_us| Phase { name: name.into(), took_us };
    let paused = View {
        state: State::Paused(PauseMode::Filesystem),
        end_ms: NOW - 3_700_000,
        last_pause: vec![phase("freeze", 160_000), phase("save", 1_100_999)],
        snapshot_bytes: Some(60 << 20),
        trouble: Some("the disk is full".into()),
        ..view("i2")
    };
    let html = fragment(vec![running, paused], NOW);
    for text in [
        "1 running, 1 paused; 60 MiB of snapshots",
        "2026-11-21 23:01:05 UTC",
        "paused in 3 min 30 s of 300 s, resumed by requests",
        "no deadline; paused 1 h 1 min ago",
        "files only",
        "5 s ago",
        "1.260 s<br><small>freeze 0.160 s, save 1.100 s",
        "<td>60 MiB",
        "<strong>the disk is full</strong>",
    ] {
        assert!(html.contains(text), "no {text:?} in {html}");
    }
    assert!(!html.contains("the-token"));
}

#[test]
fn a_page_stays_small_whatever_clients_send() {
    let metadata = (0..1000).map(|number| (format!("{number}{}", "k".repeat(1000)), "<".repeat(1000))).collect();
    let big = View { metadata, ..view("i1") };
    let views: Vec<_> = (0..300).map(|_| big.clone()).collect();
    let html = fragment(views, NOW);
    assert!(html.len() < 3 << 20, "{} bytes", html.len());
    assert!(html.contains("and 988 more") && html.contains("And 100 older ones."));
    assert!(fragment(Vec::new(), NOW).contains("No sandboxes"));
}

#[test]
fn spans_are_told_in_two_units() {
    for (ms, expected) in
        [(0, "0 s"), (59_999, "59 s"), (61_000, "1 min 1 s"), (7_260_000, "2 h 1 min"), (90_000_000, "1 d 1 h")]
    {
        assert_eq!(span(ms), expected);
    }
}
