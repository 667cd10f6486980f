//! One sandbox from its creation to its end.

use serde_json::{Value, json};

use crate::support::{Host, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_lives_as_sdks_expect() {
    let host = Host::start(4).await;
    let body =
        r#"{"templateID":"base","timeout":60,"metadata":{"k":"v"},"autoPause":true,"autoResume":{"enabled":true}}"#;
    let made = host.ask("POST", "/v2/sandboxes", body).await.is(201);
    for name in ["templateID", "sandboxID", "clientID", "envdVersion", "envdAccessToken"] {
        assert!(!text(&made, name).is_empty());
    }
    assert_eq!((&made["domain"], &made["trafficAccessToken"]), (&json!("localhost:1"), &Value::Null));
    let id = text(&made, "sandboxID");
    let path = |rest: &str| format!("/sandboxes/{id}{rest}");

    let info = host.ask("GET", &path(""), "").await.is(200);
    assert_eq!((text(&info, "state"), &info["metadata"]), ("running".into(), &json!({"k": "v"})));
    assert_eq!(info["lifecycle"], json!({"onTimeout": "pause", "autoResume": true}));
    assert!(info.get("pauseMode").is_none() && info.get("network").is_none(), "{info}");
    assert_eq!((&info["cpuCount"], &info["memoryMB"]), (&json!(1), &json!(128)));

    // A deadline only moves later by these, and either way by the last.
    let end = async || text(&host.ask("GET", &path(""), "").await.is(200), "endAt");
    let first = end().await;
    host.ask("POST", &format!("/v2{}", path("/connect")), r#"{"timeout":1}"#).await.is(200);
    host.ask("POST", &path("/refreshes"), r#"{"duration":1}"#).await.is(204);
    assert_eq!(end().await, first);
    host.ask("POST", &path("/connect"), r#"{"timeout":600}"#).await.is(200);
    assert!(end().await > first);
    host.ask("POST", &path("/timeout"), r#"{"timeout":30}"#).await.is(204);
    assert!(end().await < first);
    host.ask("POST", &path("/resume"), "{}").await.is(409);

    // Novita sends nothing at all.
    host.ask("POST", &path("/pause"), "").await.is(204);
    host.ask("POST", &path("/pause"), "{}").await.is(409);
    host.ask("POST", &path("/timeout"), r#"{"timeout":30}"#).await.is(404);
    let info = host.ask("GET", &path(""), "").await.is(200);
    assert_eq!((text(&info, "state"), text(&info, "pauseMode")), ("paused".into(), "full".into()));
    assert!(host.ask("GET", "/sandboxes", "").await.ids().is_empty());
    assert_eq!(host.ask("GET", "/v2/sandboxes?state=paused", "").await.ids(), std::slice::from_ref(&id));

    let again = host.ask("POST", &path("/connect"), r#"{"timeout":60}"#).await.is(201);
    assert_eq!(again["envdAccessToken"], made["envdAccessToken"]);
    host.ask("POST", &path("/pause"), r#"{"memory":true,"requireHealthyGuest":true}"#).await.is(204);
    host.ask("POST", &path("/resume"), r#"{"timeout":60,"autoPause":false}"#).await.is(201);
    let info = host.ask("GET", &path(""), "").await.is(200);
    assert_eq!((text(&info, "state"), &info["lifecycle"]["onTimeout"]), ("running".into(), &json!("kill")));

    host.ask("DELETE", &path(""), "").await.is(204);
    for (method, rest) in [("DELETE", ""), ("GET", ""), ("POST", "/connect"), ("POST", "/pause"), ("GET", "/metrics")] {
        host.ask(method, &path(rest), "").await.is(404);
    }
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_is_asked_for_twice_makes_one_sandbox() {
    let host = Host::start(4).await;
    let body = r#"{"templateID":"base"}"#;
    let key = [("idempotency-key", "one-1")];
    let (one, other) = tokio::join!(
        host.ask_with("POST", "/v2/sandboxes", body, &key),
        host.ask_with("POST", "/v2/sandboxes", body, &key)
    );
    assert_eq!(one.is(201), other.is(201));
    assert_eq!(host.ask("GET", "/v2/sandboxes", "").await.ids().len(), 1);
    host.ask_with("POST", "/v2/sandboxes", r#"{"templateID":"base","timeout":9}"#, &key).await.is(400);
    host.ask_with("POST", "/v2/sandboxes", body, &[("idempotency-key", "NO")]).await.is(400);
    host.ask_with("POST", "/v2/sandboxes", body, &[("idempotency-key", "two")]).await.is(201);
    assert_eq!(host.ask("GET", "/v2/sandboxes", "").await.ids().len(), 2);
    host.close().await;
}
