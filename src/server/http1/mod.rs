//! HTTP/1.1 (RFC 9112) and 1.0, one connection at a time.
//!
//! Sandboxes hold thousands of connections on which nothing happens: streams that wait for output, clients that keep a
//! connection for the next call. hyper keeps two buffers of 8 KiB for each of them, whose size it does not let anybody
//! choose, and answers from a stack that is tens of KiB deep, which a resume reads page by page
//! (docs/performance.md). Here a connection that waits has no buffer at all: what comes is read into the stack or
//! straight into the piece of a body that is handed on, and what goes out is let go as soon as it is written.
//!
//! [`Connection`] is the whole of it: it reads a head, asks the service, and sends the answer. It and the body of
//! the request ([`Incoming`]), which may be read by another task, share one `line`: only one of them reads at a time.
//!
//! - `head` the head of a request, and what its body is framed by; `chunked` the framing of unknown length
//! - `line` the socket and what came from it; `incoming` the body that the service reads
//! - `outgoing` the head and the framing of an answer; `output` bytes that are to be written

mod chunked;
mod connection;
mod head;
mod incoming;
mod line;
mod outgoing;
mod output;
#[cfg(test)]
mod tests;

pub(super) use connection::Connection;
pub(super) use incoming::Incoming;
