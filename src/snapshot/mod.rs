//! Freeze before a snapshot, repair and thaw after a resume.
//!
//! # Theory of operation
//! The machine is copied between two instructions, and started again on another day, once or many times. Whatever
//! runs at that moment goes on with the randomness, the clock and the connections of a past life. So nothing of the
//! workload runs then: programs are stopped first, the guest is repaired while they stand still, and they go on last.

pub mod memory;
