//! Requests that nobody should send: each has its answer, and none leaves anything behind.
//!
//! One table of rows, split by subject. A row is bytes, a way to leave, and the outcome that the contract asks for.
//! After each row the daemon answers at once, has no more descriptors, children or files than before, and at the end
//! of the table hardly more memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

#[path = "../support/mod.rs"]
mod support;

mod broken_off;
mod build;
mod compose;
mod download;
mod filesystem;
mod framing;
mod heads;
mod http2;
mod identity;
mod input;
mod message;
mod outcome;
mod program;
mod row;
mod stage;
mod transport;
mod upload;
mod watcher;

use row::Row;
use stage::Stage;

/// The rows for a daemon without a token.
fn open(stage: &Stage) -> Vec<Row> {
    [
        framing::rows(stage),
        message::rows(stage),
        transport::rows(stage),
        program::rows(stage),
        input::rows(stage),
        filesystem::rows(stage),
        watcher::rows(stage),
        download::rows(stage),
        upload::rows(stage),
        compose::rows(stage),
        heads::rows(stage),
        http2::rows(stage),
        broken_off::rows(stage),
    ]
    .concat()
}

#[test]
fn no_request_harms_an_open_daemon() {
    let mut stage = Stage::open(&[]);
    let rows = open(&stage);
    stage.play(rows);
}

#[test]
fn no_request_harms_a_daemon_with_a_token() {
    let mut stage = Stage::open(&["--access-token", identity::TOKEN]);
    let rows = identity::rows(&stage);
    stage.play(rows);
}

#[test]
fn the_table_is_long_and_no_row_is_there_twice() {
    let stage = Stage::nowhere();
    let rows = [open(&stage), identity::rows(&stage)].concat();
    assert!(rows.len() >= 150, "{} rows", rows.len());
    let mut names: Vec<_> = rows.iter().map(|row| &row.name).collect();
    names.sort_unstable();
    let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    assert!(twice.is_empty(), "{twice:?}");
    println!("{} rows", rows.len());
}
