//! When a request came.

use std::time::Instant;

/// Tells when the head of a request came; the server puts it into the request's extensions. What follows takes its time
/// when memory is cold, and a host's time stamp ages meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Arrived(pub Instant);
