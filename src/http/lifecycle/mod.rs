//! What hosts with envd's protocol call around a pause: `/init`, `/freeze`, `/unfreeze`, `/fsfreeze`, `/fsthaw`,
//! `/collapse`. Shapes and statuses are envd's.

mod freeze;
mod init;

use axum::Router;

pub use init::Shared;

use crate::snapshot::Lifecycle;

/// Serves the routes.
pub fn router(shared: Shared, lifecycle: Lifecycle) -> Router {
    freeze::router(lifecycle.clone()).merge(init::router(shared, lifecycle))
}
