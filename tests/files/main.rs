//! The laws of `/files`, over real sockets against real file systems; they run as root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod download;
mod full;
mod multipart;
mod proof;
mod special;
mod support;
mod upload;
mod watched;
