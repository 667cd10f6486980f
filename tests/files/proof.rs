//! Who may read and write: the token, or a signed URL.

use std::fs;

use thawd::fs::Access;
use thawd::identity::Secret;
use thawd::identity::signature::{Operation, Signed};

use crate::support::{Scratch, Server, noise};

const TOKEN: &str = "0123456789abcdef";

fn signed(path: &str, operation: Operation, expiration: Option<i64>) -> String {
    let signed = Signed { path, operation, username: "root", expiration };
    let signature: String =
        form_urlencoded::byte_serialize(signed.signature(&Secret::new(TOKEN.into())).as_bytes()).collect();
    let expiration = expiration.map(|at| format!("&signature_expiration={at}")).unwrap_or_default();
    format!("/files?path={path}&username=root&signature={signature}{expiration}")
}

#[test]
fn a_signed_url_opens_one_path_for_one_operation_until_it_expires() {
    let (server, scratch) = (Server::start(Access::Root, Some(TOKEN)), Scratch::new());
    let path = scratch.at("f");
    let path = path.to_str().unwrap();
    let raw = ("Content-Type", "application/octet-stream");
    let future = Some(i64::from(u32::MAX));
    server.ask("GET", &signed(path, Operation::Read, None), &[], b"").refused(404);
    server.ask("POST", &signed(path, Operation::Write, future), &[raw], b"x").ok();
    assert_eq!(server.ask("GET", &signed(path, Operation::Read, future), &[], b"").ok().body, b"x");
    let refused = |target: &str, headers: &[(&str, &str)]| server.ask("GET", target, headers, b"").refused(401);
    assert_eq!(refused(&format!("/files?path={path}"), &[]), "missing signature query parameter");
    assert_eq!(refused(&signed(path, Operation::Write, None), &[]), "invalid signature");
    assert_eq!(refused(&signed(path, Operation::Read, Some(1)), &[]), "signature is already expired");
    let later = format!("{}&signature_expiration=9999999999", signed(path, Operation::Read, None));
    assert_eq!(refused(&later, &[]), "invalid signature");
    let good = signed(path, Operation::Read, None);
    let message = "access token present in header but does not match";
    assert_eq!(refused(&good, &[("X-Access-Token", "wrong")]), message);
    server.ask("GET", &good, &[("X-Access-Token", "")], b"").ok();
    server.ask("GET", &format!("/files?path={path}"), &[("X-Access-Token", TOKEN)], b"").ok();
    server.ask("POST", &format!("/files?path={path}"), &[raw], b"y").refused(401);
    assert_eq!(fs::read(path).unwrap(), b"x");
}

#[test]
fn without_a_token_signatures_are_not_looked_at() {
    let (server, scratch) = (Server::open(), Scratch::new());
    fs::write(scratch.at("f"), "x").unwrap();
    let target = format!("/files?path={}&signature=nonsense&signature_expiration=1", scratch.at("f").display());
    server.ask("GET", &target, &[], b"").ok();
}

#[test]
fn with_user_access_the_rights_are_the_users() {
    let (server, scratch) = (Server::start(Access::User, None), Scratch::new());
    fs::write(scratch.at("secret"), "root's").unwrap();
    std::os::unix::fs::chown(scratch.at("secret"), Some(0), Some(0)).unwrap();
    fs::set_permissions(scratch.at("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fs::create_dir(scratch.at("home")).unwrap();
    std::os::unix::fs::chown(scratch.at("home"), Some(4242), Some(4242)).unwrap();
    let target = |name: &str| format!("/files?path={}&username=4242", scratch.at(name).display());
    let raw = ("Content-Type", "application/octet-stream");
    for size in [10, 1_000_000] {
        server.ask("POST", &target("secret"), &[raw], &noise(size)).refused(403);
        server.ask("POST", &target("new"), &[raw], &noise(size)).refused(403);
        server.ask("POST", &target("home/a/f"), &[raw], &noise(size)).ok();
        server.ask("POST", &target("home/a/f"), &[raw, ("X-Metadata-A", "1")], &noise(size)).ok();
        fs::remove_dir_all(scratch.at("home/a")).unwrap();
    }
    server.ask("GET", &target("secret"), &[], b"").refused(403);
    assert_eq!(scratch.names(), ["home", "secret"]);
}
