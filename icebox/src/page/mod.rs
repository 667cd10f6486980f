//! Keeps the status page: what sandboxes there are, for people.
//!
//! It is read-only, needs no key and is for this machine alone: who comes from elsewhere, or by a name that is not ours,
//! is refused. It tells no token. The server writes all of it, so it works without scripts; with them it is renewed when
//! something changes. All that clients have a hand in is escaped, and the browser is told to run nothing but our few
//! lines (Content-Security-Policy).

mod escape;
mod events;
mod render;
mod routes;

pub use routes::router;
