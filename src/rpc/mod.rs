//! The RPC faces: messages in, one verb of a room, messages out.
//!
//! Each service is a folder. Everything that a request can get wrong is checked where its message becomes a domain
//! value; behind that line nothing is checked twice. [`status`] is the only table from failures to codes.

pub mod activity;
pub mod filesystem;
pub mod keepalive;
pub mod lifecycle;
pub mod process;
pub mod reflection;
pub mod status;

use tonic::{Request, Status};

use crate::base::Lives;
use crate::identity::{Accounts, Caller, Defaults, User};

/// Finds the account that a request acts as: the one it named, else the default.
///
/// # Errors
/// `unauthenticated` when that account does not exist.
pub fn caller<T>(request: &Request<T>, accounts: &Accounts, defaults: &Defaults) -> Result<User, Box<Status>> {
    request
        .extensions()
        .get::<Caller>()
        .unwrap_or(&Caller::Default)
        .resolve(accounts, defaults)
        .map_err(|error| Box::new(status::from_failure(&error)))
}

/// Waits until clients are parted for a pause, and gives what a stream ends with then. Cancel-safe.
pub async fn parting(lives: &mut Lives) -> Status {
    lives.parted().await;
    Status::unavailable("the sandbox is being paused; try again")
}
