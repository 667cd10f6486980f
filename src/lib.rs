//! The agent inside a sandbox VM.

pub mod base;
pub mod fs;
pub mod http;
pub mod identity;
pub mod process;
pub mod proto;
pub mod rpc;
pub mod sys;
pub mod wire;
pub mod workload;
