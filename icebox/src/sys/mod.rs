//! Keeps the two things that need `unsafe`: starting a program that dies with us, and reading the time-stamp counter.

mod spawn;
mod tsc;

pub(crate) use spawn::spawn;
pub(crate) use tsc::tsc_khz;
