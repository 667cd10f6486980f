//! Listings of any length.

use std::io::Read;

use prost::Message;
use serde_json::json;
use thawd::proto::filesystem::{ListDirRequest, ListDirResponse};

use crate::support::connect::{call, call_with};
use crate::support::{Daemon, http};

/// More than comes in one piece.
const FILES: usize = 1_500;

#[test]
fn a_long_listing_is_whole_and_sorted_in_every_format() {
    let daemon = Daemon::start();
    let folder = daemon.folder.join("many");
    std::fs::create_dir(&folder).unwrap();
    let names: Vec<_> = (0..FILES).map(|number| format!("{number:05}")).collect();
    for name in &names {
        std::fs::write(folder.join(name), "").unwrap();
    }
    let path = folder.to_str().unwrap();

    let plain = call(daemon.address, "filesystem.Filesystem/ListDir", &json!({"path": path}));
    assert_eq!((plain.status, plain.header("transfer-encoding")), (200, "chunked"), "it comes in pieces");
    let entries = plain.json()["entries"].as_array().unwrap().clone();
    let found: Vec<_> = entries.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(found, names);

    let gzip = [("accept-encoding", "gzip")];
    let packed = call_with(daemon.address, "filesystem.Filesystem/ListDir", &gzip, &json!({"path": path}));
    assert_eq!(packed.header("content-encoding"), "gzip");
    let mut unpacked = Vec::new();
    flate2::read::MultiGzDecoder::new(&*packed.body).read_to_end(&mut unpacked).unwrap();
    assert!(packed.body.len() < unpacked.len() / 4 && unpacked == plain.body);

    let headers = [("content-type", "application/proto"), ("connect-protocol-version", "1")];
    let message = ListDirRequest { path: path.into(), depth: 1 }.encode_to_vec();
    let binary = http::request(daemon.address, "POST", "/filesystem.Filesystem/ListDir", &headers, &message);
    let binary = ListDirResponse::decode(&*binary.body).unwrap();
    assert!(binary.entries.iter().map(|entry| &entry.name).eq(&names));
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_listing_leaves_nothing() {
    let daemon = Daemon::start();
    let folder = daemon.folder.join("many");
    std::fs::create_dir(&folder).unwrap();
    for number in 0..FILES {
        std::fs::write(folder.join(format!("{number:0200}")), "").unwrap();
    }
    let message = json!({"path": folder}).to_string();
    let headers = [("content-type", "application/json")];
    for _ in 0..20 {
        let mut connection = http::Connection::open(daemon.address);
        connection.request("POST", "/filesystem.Filesystem/ListDir", &headers, message.as_bytes());
        assert_eq!(connection.head().unwrap().status, 200);
    }
    assert_eq!(http::get(daemon.address, "/health").status, 204);
    let whole = call(daemon.address, "filesystem.Filesystem/ListDir", &json!({"path": folder}));
    assert_eq!(whole.json()["entries"].as_array().map(Vec::len), Some(FILES));
}
