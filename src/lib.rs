//! thawd: the agent inside a sandbox VM.

pub mod proto;
pub mod wire;
