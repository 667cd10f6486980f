//! One thing that could not be mended.

use std::io;

use crate::base::{Failure, Kind};

/// Names one thing that could not be mended; the rest was tried all the same.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Fault {
    what: String,
    source: io::Error,
}

impl Fault {
    /// Says what was tried, as a lowercase fragment without the cause.
    #[must_use]
    pub fn new(what: impl Into<String>, source: io::Error) -> Self {
        Self { what: what.into(), source }
    }
}

impl Failure for Fault {
    fn kind(&self) -> Kind {
        crate::base::kind::kind_of_io(&self.source)
    }
}
