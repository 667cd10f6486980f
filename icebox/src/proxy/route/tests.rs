//! The rule in rows.

use http::Request;

use super::*;

fn ids() -> Vec<Key> {
    let key = |id: &str, token: &str| Key { id: SandboxId::parse(id).unwrap(), token: token.into() };
    vec![key("ione", "tok1"), key("itwo", "tok2")]
}

/// Leads a request: its target, and its headers as `Name: value` lines.
fn led(method: &str, uri: &str, headers: &str) -> String {
    let mut request = Request::builder().method(method).uri(uri);
    for line in headers.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        request = request.header(name, value.trim());
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    match route(&head, ids) {
        Ok(target) => format!("{}:{}", target.id, target.port),
        Err(Astray::Unknown(id)) => format!("unknown {id}"),
        Err(Astray::Nowhere) => "nowhere".into(),
        Err(Astray::BadPort) => "bad port".into(),
        Err(Astray::NoPort(_)) => "no port".into(),
        Err(Astray::Twice(name)) => format!("twice {name}"),
    }
}

#[test]
fn a_head_leads_to_one_port_of_one_sandbox() {
    let rows = [
        // By the host.
        ("Host: 3000-ione.local.test", "ione:3000"),
        ("Host: 3000-ione.local.test:8080", "ione:3000"),
        ("Host: 3000-ione", "ione:3000"),
        ("Host: 3000-ione:8080", "ione:3000"),
        ("Host: 49983-IONE.Local", "ione:49983"),
        ("Host: 3000-ione-client.test", "ione:3000"),
        ("Host: 3000-inobody.test", "inobody:3000"),
        ("Host: 0-ione.test", "bad port"),
        ("Host: 65536-ione.test", "bad port"),
        ("Host: 99999999999999999999-ione.test", "bad port"),
        ("Host: +80-ione.test", "nowhere"),
        ("Host: -ione.test", "nowhere"),
        ("Host: 3000-.test", "nowhere"),
        ("Host: 3000ione.test", "nowhere"),
        ("Host: a.3000-ione.test", "nowhere"),
        ("Host: 3000-i_one.test", "nowhere"),
        ("Host: user@3000-ione.test", "ione:3000"),
        ("Host: 3000-ione.test@other.test", "nowhere"),
        ("Host: 3000-ione.test\nHost: 3000-itwo.test", "twice host"),
        ("Host: [::1]:3000", "nowhere"),
        ("Host: 127.0.0.1:3000", "nowhere"),
        ("Host: ", "nowhere"),
        ("", "nowhere"),
        // By the headers.
        ("Host: localhost:3001\nE2b-Sandbox-Id: ione\nE2b-Sandbox-Port: 49983", "ione:49983"),
        ("Host: 10.0.0.1\nNovita-Sandbox-Id: ione\nNovita-Sandbox-Port: 8888", "ione:8888"),
        ("Host: sandbox.test\nE2b-Sandbox-Id: ione\nE2b-Sandbox-Port: 80", "ione:80"),
        ("Host: host.docker.internal\nE2b-Sandbox-Id: ione\nE2b-Sandbox-Port: 80", "ione:80"),
        ("E2b-Sandbox-Id: ione\nE2b-Sandbox-Port: 80", "ione:80"),
        ("E2b-Sandbox-Id: ione-client\nE2b-Sandbox-Port: 80", "ione:80"),
        ("E2b-Sandbox-Id: ione\nE2b-Sandbox-Port: 80\nNovita-Sandbox-Id: itwo\nNovita-Sandbox-Port: 81", "ione:80"),
        ("Host: 3000-ione.test\nE2b-Sandbox-Id: itwo\nE2b-Sandbox-Port: 49983", "ione:3000"),
        ("E2b-Sandbox-Id: ione", "no port"),
        ("E2b-Sandbox-Id: ione\nNovita-Sandbox-Port: 80", "no port"),
        ("E2b-Sandbox-Port: 80", "nowhere"),
        ("E2b-Sandbox-Id: ione\nE2b-Sandbox-Port: 0", "bad port"),
        ("E2b-Sandbox-Id: ione\nE2b-Sandbox-Port: +80", "bad port"),
        ("E2b-Sandbox-Id: ione\nE2b-Sandbox-Port: 80, 81", "bad port"),
        ("E2b-Sandbox-Id: ione\nE2b-Sandbox-Port: http", "bad port"),
        ("E2b-Sandbox-Id: ione\nE2b-Sandbox-Id: itwo\nE2b-Sandbox-Port: 80", "twice e2b-sandbox-id"),
        ("E2b-Sandbox-Id: ione\nE2b-Sandbox-Port: 80\nE2b-Sandbox-Port: 81", "twice e2b-sandbox-port"),
        ("E2b-Sandbox-Id: debug_sandbox_id\nE2b-Sandbox-Port: 49983", "unknown debug_sandbox_id"),
        ("E2b-Sandbox-Id: ../ione\nE2b-Sandbox-Port: 49983", "unknown ../ione"),
        ("E2b-Sandbox-Id:\nE2b-Sandbox-Port: 49983", "unknown "),
        // By the token.
        ("Host: localhost\nX-Access-Token: tok2", "itwo:49983"),
        ("Host: localhost\nX-Access-Token: tok", "unknown "),
        ("Host: localhost\nX-Access-Token: tok22", "unknown "),
        ("Host: localhost\nX-Access-Token:", "nowhere"),
        ("Host: localhost\nX-Access-Token: tok2\nX-Access-Token: tok1", "twice x-access-token"),
        ("Host: 3000-ione.test\nX-Access-Token: tok2", "ione:3000"),
        ("E2b-Sandbox-Id: ione\nE2b-Sandbox-Port: 80\nX-Access-Token: tok2", "ione:80"),
    ];
    for (headers, target) in rows {
        assert_eq!(led("GET", "/", headers), target, "{headers}");
    }
}

#[test]
fn an_absolute_target_overrides_the_host() {
    let rows = [
        ("http://3000-ione.test/x", "Host: 3000-itwo.test", "ione:3000"),
        ("http://localhost/x", "Host: 3000-itwo.test", "nowhere"),
        ("http://localhost/x", "E2b-Sandbox-Id: itwo\nE2b-Sandbox-Port: 1", "itwo:1"),
        ("http://[::1]:3000/x", "", "nowhere"),
        ("*", "Host: 3000-itwo.test", "itwo:3000"),
    ];
    for (uri, headers, target) in rows {
        assert_eq!(led("GET", uri, headers), target, "{uri} {headers}");
    }
}

#[test]
fn a_signed_address_leads_to_the_sandbox_whose_token_signed_it() {
    // base64(sha256("/a:read:user:tok2")) and base64(sha256("/a:write::tok1:99")), without padding.
    let sign = |text: &str| {
        use sha2::Digest;
        let hash = base64_simd::STANDARD_NO_PAD.encode_to_string(sha2::Sha256::digest(text.as_bytes()));
        form_urlencoded::byte_serialize(format!("v1_{hash}").as_bytes()).collect::<String>()
    };
    let read = format!("/files?path=%2Fa&username=user&signature={}", sign("/a:read:user:tok2"));
    let write = format!("/files?path=%2Fa&signature={}&signature_expiration=99", sign("/a:write::tok1:99"));
    for (method, uri, headers, target) in [
        ("GET", read.as_str(), "", "itwo:49983"),
        ("HEAD", &read, "Host: localhost", "itwo:49983"),
        ("POST", &read, "", "unknown "),
        ("POST", &write, "", "ione:49983"),
        ("OPTIONS", &write, "Access-Control-Request-Method: POST", "ione:49983"),
        ("OPTIONS", &write, "", "nowhere"),
        ("GET", &read, "Host: 3000-ione.test", "ione:3000"),
        ("GET", &read, "X-Access-Token: tok1", "ione:49983"),
        ("GET", "/files?path=/a&signature=v1_", "", "unknown "),
        ("GET", "/files?path=/a", "", "nowhere"),
        ("GET", "/other?signature=v1_a", "", "nowhere"),
    ] {
        assert_eq!(led(method, uri, headers), target, "{method} {uri} {headers}");
    }
}
