//! The agent inside a sandbox VM.

pub mod activity;
pub mod app;
pub mod base;
pub mod config;
pub mod fs;
pub mod host;
pub mod http;
pub mod identity;
pub mod init;
pub mod ports;
pub mod process;
pub mod proto;
pub mod rpc;
pub mod server;
pub mod snapshot;
pub mod sys;
pub mod telemetry;
pub mod wire;
pub mod workload;

/// The version of E2B's envd whose behaviour we claim; hosts and SDKs switch features on by it.
pub const ENVD_VERSION: &str = "0.6.13";
/// The version of this product.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit that this build was made from, or `unknown` outside a checkout.
pub const COMMIT: &str = env!("THAWD_COMMIT");
