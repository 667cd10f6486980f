//! The agent inside a sandbox VM.
#![allow(missing_docs)]

pub mod base;
pub mod fs;
pub mod http;
pub mod identity;
pub mod rpc;
pub mod sys;
