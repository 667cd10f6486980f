//! Compiles the protocols.

fn main() {}
