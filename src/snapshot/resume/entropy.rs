//! Fresh random numbers for the kernel, before anything may draw one.

use std::io;

/// Says where fresh random bytes came from: the best of the sources that were mixed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The host sent them along.
    Host,
    /// The virtio-rng device, or another behind `/dev/hwrng`.
    Hardware,
    /// Instructions of the processor.
    Cpu,
    /// Nowhere: copies of this guest may draw equal numbers.
    None,
}

impl Source {
    /// Gives the word that reports use: `host`, `hwrng`, `cpu`, `none`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Hardware => "hwrng",
            Self::Cpu => "cpu",
            Self::None => "none",
        }
    }
}

/// Mixes every source that there is into the kernel's pool, credits it, and makes the generator start anew from it.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN: numbers are then those of the past life.
pub fn reseed(host: &[u8]) -> io::Result<Source> {
    let _ = host;
    Err(io::ErrorKind::Unsupported.into())
}

/// Says whether the kernel lets us add random bytes.
#[must_use]
pub fn available() -> bool {
    false
}
