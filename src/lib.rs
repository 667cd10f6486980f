//! The agent inside a sandbox VM.
#![allow(missing_docs)]

pub mod base;
pub mod identity;
pub mod sys;
