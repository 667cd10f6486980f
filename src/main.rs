//! thawd: the agent inside a sandbox VM.

fn main() {}
