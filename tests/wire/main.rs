//! Laws of the wire, over real sockets: what a client sees, whatever it speaks.

mod client;
mod deadlines;
mod errors;
mod http;
mod json;
mod limits;
mod metadata;
mod server;
mod streams;
mod zip;
