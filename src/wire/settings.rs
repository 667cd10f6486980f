//! The knobs of the wire, with their units.

use std::time::Duration;

use crate::base::Lives;

/// Limits and habits of a [`Wire`](crate::wire::Wire).
#[derive(Clone, Debug)]
pub struct Settings {
    /// Largest request message in bytes, as sent and after inflating.
    pub max_request_message: usize,
    /// Answers of unary calls from this size on, in bytes, are compressed for
    /// clients that accept it; `None` for never.
    pub gzip_unary_from: Option<usize>,
    /// Messages of streams from this size on, in bytes, are compressed for
    /// clients that accept it; `None` for never.
    pub gzip_stream_from: Option<usize>,
    /// How long to read on after an early answer.
    pub linger: Linger,
    /// Whose running time the deadlines of calls count.
    pub lives: Lives,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_request_message: 64 << 20,
            // Below one packet there is nothing to win.
            gzip_unary_from: Some(1024),
            gzip_stream_from: Some(1024),
            linger: Linger::default(),
            lives: Lives::always(),
        }
    }
}

/// The bounds of reading a body that nobody wants.
#[derive(Clone, Copy, Debug)]
pub struct Linger {
    /// Most bytes to read and drop.
    pub bytes: u64,
    /// Longest time to read.
    pub time: Duration,
}

impl Default for Linger {
    fn default() -> Self {
        // A client that sends a full-size message at 64 MB/s still gets its answer.
        Self { bytes: 128 << 20, time: Duration::from_secs(2) }
    }
}
