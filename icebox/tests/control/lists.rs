//! Finding sandboxes.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{Host, text};

#[tokio::test(flavor = "multi_thread")]
async fn sandboxes_are_found_by_what_they_are_and_page_by_page() {
    let host = Host::start(4).await;
    let one = host.create(r#","metadata":{"sp ace":"v/1","a":"b"}"#).await;
    let two = host.create(r#","metadata":{"a":"b"}"#).await;
    let three = host.create("").await;
    host.ask("POST", &format!("/sandboxes/{two}/pause"), "{}").await.is(204);
    let list = async |query: &str| host.ask("GET", &format!("/v2/sandboxes{query}"), "").await.ids();
    let started = text(&host.ask("GET", &format!("/sandboxes/{two}"), "").await.is(200), "startedAt");
    let [one, two, three] = [one.as_str(), two.as_str(), three.as_str()];
    for (query, expected) in [
        (String::new(), vec![three, two, one]),
        ("?order=asc".into(), vec![one, two, three]),
        ("?state=running,paused".into(), vec![three, two, one]),
        ("?state=running&state=paused".into(), vec![three, two, one]),
        ("?state=running&future=1".into(), vec![three, one]),
        ("?metadata=a%3Db".into(), vec![two, one]),
        ("?metadata=a%3Db&state=paused".into(), vec![two]),
        ("?metadata=sp%252520ace%3Dv%25252F1%26a%3Db".into(), vec![one]),
        ("?metadata=a%3Dc".into(), vec![]),
        (format!("?startedAfter={started}"), vec![three]),
        ("?template=base".into(), vec![three, two, one]),
        ("?template=other".into(), vec![]),
    ] {
        assert_eq!(list(&query).await, expected, "{query}");
    }
    assert_eq!(host.ask("GET", "/sandboxes", "").await.ids(), [three, one]);

    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = host.ask("GET", &format!("/v2/sandboxes?limit=2&nextToken={token}"), "").await;
        seen.extend(page.ids());
        let Some(next) = page.headers.get("x-next-token") else { break };
        assert_eq!(page.ids().len(), 2);
        token = next.to_str().unwrap().into();
        assert!(!token.is_empty());
    }
    assert_eq!(seen, [three, two, one]);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn measurements_are_told_of_one_and_of_many() {
    let host = Host::start(4).await;
    let (one, two) = (host.create("").await, host.create("").await);
    // Taken every few seconds.
    let measured = async {
        loop {
            let metrics = host.ask("GET", &format!("/sandboxes/{one}/metrics"), "").await.is(200);
            if let Some(metric) = metrics.as_array().unwrap().last() {
                break metric.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let metric = tokio::time::timeout(std::time::Duration::from_secs(60), measured).await.expect("no measurement");
    let names: BTreeSet<_> = metric.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "timestamp",
        "timestampUnix",
        "cpuCount",
        "cpuUsedPct",
        "memUsed",
        "memTotal",
        "memCache",
        "diskUsed",
        "diskTotal",
    ];
    assert_eq!(names, BTreeSet::from(expected));
    assert!(metric["memTotal"].as_u64().unwrap() > 64 << 20, "{metric}");
    assert_eq!(host.ask("GET", &format!("/sandboxes/{one}/metrics?start=1&end=2"), "").await.is(200), json!([]));
    host.ask("GET", &format!("/sandboxes/{one}/metrics?start=x"), "").await.is(400);
    let many = host.ask("GET", &format!("/sandboxes/metrics?sandbox_ids={one},{two},i0,%00"), "").await.is(200);
    assert!(many["sandboxes"][&one]["timestamp"].is_string(), "{many}");
    assert!(many["sandboxes"].get("i0").is_none(), "{many}");
    host.close().await;
}
