//! More sandboxes out of one.

use serde_json::json;

use crate::support::{Host, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_a_template_until_it_is_deleted() {
    let host = Host::start(4).await;
    let id = host.create("").await;
    let taken = host.ask("POST", &format!("/sandboxes/{id}/snapshots"), r#"{"name":"mine"}"#).await.is(201);
    let snapshot = text(&taken, "snapshotID");
    assert!(taken["names"].as_array().unwrap().contains(&json!("mine")), "{taken}");
    assert_eq!(text(&host.ask("GET", &format!("/sandboxes/{id}"), "").await.is(200), "state"), "running");

    host.ask("POST", &format!("/sandboxes/{id}/snapshots"), "").await.is(201);
    let all = host.ask("GET", "/snapshots?limit=1", "").await;
    assert!(all.headers.contains_key("x-next-token"));
    let named = host.ask("GET", &format!("/snapshots?sandboxID={id}&name=mine"), "").await.is(200);
    assert_eq!(named.as_array().unwrap().len(), 1);
    host.ask("GET", "/templates/aliases/mine", "").await.is(200);

    let body = format!(r#"{{"templateID":"{snapshot}"}}"#);
    let copy = host.ask("POST", "/v2/sandboxes", &body).await.is(201);
    assert_ne!(text(&copy, "sandboxID"), id);
    host.ask("DELETE", &format!("/templates/{snapshot}"), "").await.is(204);
    host.ask("DELETE", &format!("/templates/{snapshot}"), "").await.is(404);
    host.ask("POST", "/v2/sandboxes", &body).await.is(404);
    host.ask("GET", &format!("/sandboxes/{}", text(&copy, "sandboxID")), "").await.is(200);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_is_forked_and_cloned() {
    let host = Host::start(4).await;
    let id = host.create("").await;
    let forks = host.ask("POST", &format!("/sandboxes/{id}/fork"), r#"{"timeout":60,"count":2}"#).await.is(201);
    let forks = forks.as_array().unwrap();
    let ids: Vec<_> = forks.iter().map(|fork| text(&fork["sandbox"], "sandboxID")).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1] && !ids.contains(&id), "{forks:?}");
    assert_ne!(forks[0]["sandbox"]["envdAccessToken"], forks[1]["sandbox"]["envdAccessToken"]);

    let cloned = host.ask("POST", &format!("/sandboxes/{id}/clone"), r#"{"count":1,"strict":true}"#).await.is(201);
    assert_eq!(cloned["sandboxes"].as_array().unwrap().len(), 1);
    // There is room for no more.
    host.ask("POST", &format!("/sandboxes/{id}/clone"), r#"{"count":1,"strict":true}"#).await.is(429);
    for body in [r#"{"count":0}"#, r#"{"count":101}"#, r#"{"count":"1"}"#, r#"{"timeout":-1}"#] {
        host.ask("POST", &format!("/sandboxes/{id}/fork"), body).await.is(400);
    }
    assert_eq!(host.ask("GET", "/v2/sandboxes", "").await.ids().len(), 4);
    host.close().await;
}
