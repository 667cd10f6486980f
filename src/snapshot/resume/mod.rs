//! What is mended in a guest that was started again, and how it notices.
//!
//! # Theory of operation
//! Everything here runs while programs stand still, on pages that may have to come from a disk far away. So it is
//! system calls on the calling thread and nothing else: no program is started, no task is switched to. Each repair
//! stands alone, does as much as it can, and names what it could not do as a [`Fault`]; the caller decides the order
//! and what is fatal.
//!
//! - [`entropy`] fresh random numbers, first of all
//! - [`clock`] the true time, and stepping to it
//! - [`network`] addresses, routes, neighbours, name servers, with the links up
//! - [`sockets`] which connections belong to the past, and ending them
//! - [`identity`] names and numbers that tell copies apart
//! - [`signs`] noticing a resume when nobody tells, [`vmclock_page`] telling programs

pub mod clock;
pub mod entropy;
mod fault;
pub mod identity;
pub mod network;
pub mod signs;
pub mod sockets;
pub mod vmclock_page;

pub use clock::Clocks;
pub use fault::Fault;
pub use signs::{Sign, Signs};
pub use sockets::Manifest;
