//! What is refused leaves everything as it was.

use crate::support::Host;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_makes_no_sense_changes_nothing() {
    let host = Host::start(1).await;
    for (body, status) in [
        ("", 400),
        ("[]", 400),
        (r#"{"templateID":"base","timeout":"60"}"#, 400),
        (r#"{"templateID":"base","autoResume":{"enabled":true}}"#, 400),
        (r#"{"templateID":"nothing-of-this-name"}"#, 404),
        (r#"{"templateID":"../base"}"#, 404),
    ] {
        for path in ["/sandboxes", "/v2/sandboxes"] {
            host.ask("POST", path, body).await.is(status);
        }
    }
    assert!(host.ask("GET", "/v2/sandboxes", "").await.ids().is_empty());

    let id = host.create("").await;
    host.ask("POST", "/v2/sandboxes", r#"{"templateID":"base"}"#).await.is(429);
    let before = host.ask("GET", &format!("/sandboxes/{id}"), "").await.is(200);
    for (method, rest, body, status) in [
        ("POST", "/timeout", "{}", 400),
        ("POST", "/timeout", r#"{"timeout":-1}"#, 400),
        ("POST", "/timeout", r#"{"timeout":99999999999}"#, 400),
        ("POST", "/connect", r#"{"timeout":"x"}"#, 400),
        ("POST", "/pause", r#"{"memory":"no"}"#, 400),
        ("POST", "/pause", "nonsense", 400),
        ("POST", "/snapshots", r#"{"name":7}"#, 400),
        ("PUT", "/network", r#"{"denyOut":["1.1.1.1"]}"#, 400),
        ("PUT", "/network", r#"{"denyOut":["0.0.0.0/0"]}"#, 501),
        ("PUT", "/network", r#"{"allowOut":[],"denyOut":[]}"#, 204),
        ("POST", "/reset", "", 501),
        ("POST", "/volume-mounts", "", 501),
        ("PATCH", "", "", 405),
        ("GET", "/nothing", "", 404),
    ] {
        host.ask(method, &format!("/sandboxes/{id}{rest}"), body).await.is(status);
    }
    assert_eq!(host.ask("GET", &format!("/sandboxes/{id}"), "").await.is(200), before);
    for id in ["i0", "..%2f..", "A", "%00", &"a".repeat(5000)] {
        host.ask("GET", &format!("/sandboxes/{id}"), "").await.is(404);
        host.ask("POST", &format!("/v2/sandboxes/{id}/connect"), "{}").await.is(404);
    }
    for path in ["/sandboxes/i0/logs", "/v2/sandboxes/i0/logs"] {
        host.ask("GET", path, "").await.is(404);
    }
    assert_eq!(host.ask("GET", &format!("/sandboxes/{id}/logs"), "").await.is(200)["logs"], serde_json::json!([]));
    host.close().await;
}
