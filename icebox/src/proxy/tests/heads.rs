//! Heads before and after.

use http::Request;

use super::*;
use crate::proxy::tests::support::view;

fn inner(request: http::request::Builder, host: Option<&str>, mask: Option<&str>, port: u16) -> Parts {
    let (mut head, ()) = request.body(()).unwrap().into_parts();
    let mut view = view("iabc");
    view.mask_request_host = mask.map(Into::into);
    inward(&mut head, host, [127, 0, 0, 1].into(), &view, port);
    head
}

fn header<'a>(head: &'a Parts, name: &str) -> Vec<&'a str> {
    head.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn what_belongs_to_the_connection_stays_on_it() {
    let request = Request::get("http://h.test/a%2fb?q=1")
        .header("connection", "keep-alive, X-Mine , host, content-length")
        .header("x-mine", "1")
        .header("keep-alive", "timeout=5")
        .header("proxy-connection", "keep-alive")
        .header("proxy-authorization", "x")
        .header("te", "gzip, Trailers")
        .header("trailer", "x-sum")
        .header("upgrade", "websocket")
        .header("transfer-encoding", "chunked")
        .header("content-encoding", "gzip")
        .header("x-access-token", "tok")
        .header("x-forwarded-for", "10.0.0.1");
    let head = inner(request, Some("h.test"), None, 3000);
    for name in ["x-mine", "keep-alive", "proxy-connection", "proxy-authorization", "upgrade", "transfer-encoding"] {
        assert_eq!(header(&head, name), Vec::<&str>::new(), "{name}");
    }
    for (name, values) in [
        ("connection", vec!["close"]),
        ("host", vec!["h.test"]),
        ("te", vec!["trailers"]),
        ("trailer", vec!["x-sum"]),
        ("content-encoding", vec!["gzip"]),
        ("x-access-token", vec!["tok"]),
        ("x-forwarded-for", vec!["10.0.0.1", "127.0.0.1"]),
        ("x-forwarded-host", vec!["h.test"]),
        ("x-forwarded-proto", vec!["http"]),
    ] {
        assert_eq!(header(&head, name), values, "{name}");
    }
    assert_eq!(head.uri, "/a%2fb?q=1");
}

#[test]
fn servers_see_the_host_that_the_sandbox_was_made_with() {
    let host = |given, mask, port| header(&inner(Request::get("/"), given, mask, port), "host").join(",");
    assert_eq!(host(Some("3000-iabc.test"), Some("localhost:${PORT}"), 3000), "localhost:3000");
    assert_eq!(host(Some("3000-iabc.test"), Some("fixed.test"), 3000), "fixed.test");
    assert_eq!(
        host(Some("localhost:1"), Some("fixed.test"), AGENT_PORT),
        "localhost:1",
        "the agent is no server of theirs"
    );
    assert_eq!(host(None, None, 3000), "localhost:3000");
    assert_eq!(host(Some("a"), Some("bad\nhost"), 3000), "a");
}

#[test]
fn a_connection_may_change_to_anything_but_another_http() {
    let wanted = |version, connection: &str, upgrade: &str| {
        let request = Request::get("/").version(version).header("connection", connection).header("upgrade", upgrade);
        wanted_upgrade(&request.body(()).unwrap().into_parts().0).is_some()
    };
    assert!(wanted(Version::HTTP_11, "Upgrade", "websocket"));
    assert!(wanted(Version::HTTP_11, "keep-alive, upgrade", "tcp"));
    assert!(!wanted(Version::HTTP_11, "Upgrade, HTTP2-Settings", "h2c"));
    assert!(!wanted(Version::HTTP_11, "upgrade", "websocket, H2C"));
    assert!(!wanted(Version::HTTP_11, "keep-alive", "websocket"));
    assert!(!wanted(Version::HTTP_10, "upgrade", "websocket"));
}
