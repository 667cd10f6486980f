//! `thawd.v1.Activity`: whether the guest is in use, waiting until it is not, and keeping it awake.

mod convert;
mod service;

pub use service::Activity;
