//! What the proxy says itself.

use super::support::{Field, Proxy, Talk, canned, crowded_proxy, proxy};
use crate::sandbox::SandboxError;
use crate::vm::AGENT_PORT;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Asks for `path` with headers, on a connection of its own; gives head and body.
async fn said(proxy: &Proxy, request: &str, headers: &str) -> String {
    let mut talk = Talk::to(proxy.address).await;
    talk.say(&format!("{request} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n")).await;
    talk.rest().await.0
}

fn agent() -> String {
    format!("Host: localhost\r\nE2b-Sandbox-Id: iabc\r\nE2b-Sandbox-Port: {AGENT_PORT}\r\n")
}

#[tokio::test]
async fn what_only_the_host_asks_is_not_there_for_clients() {
    let field = Field::of(3000, canned(OK).await);
    let proxy = proxy(&field).await;
    for request in
        ["POST /init", "POST //init/", "POST /%69nit?x", "OPTIONS /freeze", "POST /thawd.v1.Lifecycle/Freeze"]
    {
        let said = said(&proxy, request, &agent()).await;
        assert!(said.starts_with("HTTP/1.1 404") && said.contains(r#""code":404"#), "{request}: {said}");
    }
    assert_eq!(field.asked.load(std::sync::atomic::Ordering::Relaxed), 0, "nobody was woken");
    for request in ["GET /health", "POST /thawd.v1.Activity/Watch"] {
        assert!(said(&proxy, request, &agent()).await.ends_with("ok"), "{request}");
    }
    assert!(
        said(&proxy, "GET /init", "Host: 3000-iabc.test\r\n").await.ends_with("ok"),
        "a user's server has its own paths"
    );
}

#[tokio::test]
async fn ports_that_are_not_public_need_the_traffic_token() {
    let field = Field::of(3000, canned(OK).await);
    field.change(|plot| plot.view.traffic_token = Some("traffic".into()));
    let proxy = proxy(&field).await;
    let host = "Host: 3000-iabc.test\r\n";
    for headers in [host.to_owned(), format!("{host}E2b-Traffic-Access-Token: traffi\r\n")] {
        assert!(said(&proxy, "GET /", &headers).await.starts_with("HTTP/1.1 403"), "{headers}");
    }
    assert_eq!(field.asked.load(std::sync::atomic::Ordering::Relaxed), 0, "nobody was woken");
    assert!(said(&proxy, "GET /", &format!("{host}e2b-traffic-access-token: traffic\r\n")).await.ends_with("ok"));
    assert!(said(&proxy, "GET /", &agent()).await.ends_with("ok"), "the agent has its own token");
}

#[tokio::test]
async fn who_is_not_there_is_said_in_the_words_that_clients_know() {
    let proxy = proxy(&Field::of(3000, canned(OK).await)).await;
    let unknown = said(&proxy, "GET /health", "Host: 49983-inobody.test\r\nOrigin: http://page.test\r\n").await;
    assert!(unknown.starts_with("HTTP/1.1 502"), "{unknown}");
    assert!(unknown.contains("content-type: application/json"), "{unknown}");
    assert!(unknown.contains("access-control-allow-origin: *"), "a page may read it: {unknown}");
    assert!(
        unknown.ends_with(r#"{"sandboxId":"inobody","message":"The sandbox was not found","code":502}"#),
        "{unknown}"
    );
    let lost = said(&proxy, "GET /", "Host: localhost\r\n").await;
    assert!(lost.starts_with("HTTP/1.1 400") && lost.contains(r#""code":400"#), "{lost}");
    let port = said(&proxy, "GET /", "Host: 70000-iabc.test\r\n").await;
    assert!(port.starts_with("HTTP/1.1 400"), "{port}");
    let connect = said(&proxy, "CONNECT 3000-iabc.test:80", "").await;
    assert!(connect.starts_with("HTTP/1.1 405"), "{connect}");
}

#[tokio::test]
async fn a_host_that_fails_says_that_asking_again_is_of_no_use() {
    let field = Field::of(3000, canned(OK).await);
    field.change(|plot| plot.asked = Box::new(|_| Err(SandboxError::Host { what: "resuming", why: "no".into() })));
    let proxy = proxy(&field).await;
    let failed = said(&proxy, "GET /", "Host: 3000-iabc.test\r\n").await;
    assert!(failed.starts_with("HTTP/1.1 503") && failed.contains("should-retry: false"), "{failed}");
    assert!(failed.ends_with(r#"{"sandboxId":"iabc","message":"resuming failed: no","code":503}"#), "{failed}");
}

#[tokio::test]
async fn what_speaks_no_http_is_told_from_what_is_closed() {
    let proxy = proxy(&Field::of(3000, canned("SSH-2.0-server\r\n").await)).await;
    let said = said(&proxy, "GET /", "Host: 3000-iabc.test\r\n").await;
    assert!(said.starts_with("HTTP/1.1 502") && said.contains("does not speak HTTP"), "{said}");
}

#[tokio::test]
async fn a_browser_gets_leave_where_nobody_else_can_give_it() {
    let proxy = proxy(&Field::of(3000, canned(OK).await)).await;
    let asks =
        "Origin: http://page.test\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-a\r\n";
    let shared = said(&proxy, "OPTIONS /process.Process/List", &format!("Host: localhost\r\n{asks}")).await;
    assert!(shared.starts_with("HTTP/1.1 204"), "{shared}");
    for part in ["access-control-allow-origin: *", "access-control-allow-headers: x-a", "access-control-max-age: 7200"]
    {
        assert!(shared.contains(part), "{part}: {shared}");
    }
    let named = said(&proxy, "OPTIONS /", &format!("Host: 3000-iabc.test\r\n{asks}")).await;
    assert!(named.ends_with("ok"), "where the host names a server, that one answers: {named}");
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_still_sends() {
    let proxy = proxy(&Field::of(3000, canned(OK).await)).await;
    let mut talk = Talk::to(proxy.address).await;
    talk.say("POST / HTTP/1.1\r\nHost: 49983-inobody.test\r\nContent-Length: 8000000\r\n\r\n").await;
    talk.say(&"x".repeat(8_000_000)).await;
    assert!(talk.until("}").await.starts_with("HTTP/1.1 502"));
    talk.say("GET / HTTP/1.1\r\nHost: 3000-iabc.test\r\n\r\n").await;
    assert!(talk.until("ok").await.starts_with("HTTP/1.1 200"), "the connection is still good");
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let proxy = crowded_proxy(&Field::of(3000, canned(OK).await), 1).await;
    let request = "GET / HTTP/1.1\r\nHOST\r\n";
    let mut first = Talk::ask(&proxy, request).await;
    first.until("ok").await;
    let mut second = Talk::ask(&proxy, request).await;
    let (said, _) = second.rest().await;
    assert!(said.starts_with("HTTP/1.1 503") && said.contains("should-retry: false"), "{said}");
    assert!(said.ends_with(r#"{"message":"too many connections to this host","code":503}"#), "{said}");
    first.say(&request.replace("HOST", "Host: 3000-iabc.test\r\n")).await;
    first.until("ok").await;
}
