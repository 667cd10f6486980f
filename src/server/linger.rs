//! Reading on, so that a refusal reaches a client that still sends.

use axum::extract::Request;

use crate::wire::{Linger, Lingering};

/// Drops a request that is refused unread; over HTTP/1.1 the rest of its body is read for a bounded moment meanwhile.
pub(super) fn let_finish(request: Request) {
    drop(Lingering::wrap(request, Linger::default()));
}
