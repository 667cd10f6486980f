//! `thawd.v1.Lifecycle`: freeze, thaw, cancel, status, plan, and following the guest's life.

mod convert;
mod report;
mod service;

pub use service::Lifecycle;
