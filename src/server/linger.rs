//! Reading on, so that a refusal reaches a client that still sends.

use axum::body::Body;
use http::Request;

use crate::wire::{Linger, Lingering};

/// Drops a request that is refused unread; over HTTP/1.1 the rest of its body is read for a bounded moment meanwhile.
pub(super) fn let_finish(request: Request<Body>) {
    drop(Lingering::wrap(request, Linger::default()));
}
