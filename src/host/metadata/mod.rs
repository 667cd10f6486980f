//! What the host tells about this sandbox, through the VM's own metadata service (Firecracker's MMDS, version 2).
//!
//! - [`Metadata`] asks, when it is due, and keeps what programs may know of it
//! - [`Endpoint`] where the service is
//!
//! # When it is asked
//! *After a start*, until it answers: at once, then with pauses that double from 50 ms to 10 s, and not at all any more
//! after five minutes. *When a host brings a token* that is not in force: whether it may is decided by the hash that
//! the service tells. *After a host has set the guest up*, since a copy of a snapshot has another name: until it
//! answers, at most a minute. So a guest without the service is quiet five minutes after its start.
//!
//! Hosts give each call to `/init` 50 ms and then call again. So what is asked for one of them goes on when it has been
//! given up, and the next finds the answer.

mod client;
mod error;
mod exchange;
mod pin;
mod reads;
mod service;

pub use client::{Endpoint, Facts};
pub use error::MetadataError;
pub use reads::Read;
pub use service::Metadata;
