//! The agent inside a sandbox VM.
#![allow(missing_docs)]

pub mod base;
pub mod http;
pub mod identity;
pub mod process;
pub mod rpc;
pub mod sys;
pub mod workload;
