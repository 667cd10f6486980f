//! The freezer against trees of plain files, where failures can be made, and against real cgroups.

mod births;
mod fake;
mod place;
mod real;
mod stage;
