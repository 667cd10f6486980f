//! Fresh random numbers for the kernel, before anything may draw one.
//!
//! A snapshot holds the generator's key: every copy of it draws the same numbers. A generation id (vmgenid) makes the
//! kernel start anew by itself, but not every kernel and hypervisor has it, and with it there is still a window. So
//! the pool is fed and the key renewed here, while programs stand still. Keys that programs hold in their own memory
//! are theirs to renew, in a hook.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::sys::{clock, random};

/// Bytes that make a source count as fresh: the key of the kernel's generator has 256 bits.
const ENOUGH: usize = 32;
/// Bytes from before the snapshot that a hardware generator may hand out first, equal in every copy: one cache line
/// in the kernel's own buffer and one in that of the virtio-rng driver (drivers/char/hw_random/{core,virtio-rng}.c).
const STALE: usize = 2 * 64;
/// Bytes read from the hardware generator, so that a whole cache line is fresh.
const HARDWARE: usize = STALE + 64;
/// Time for the hardware generator when nothing better is there: an emulated one under load answers within 20 ms.
const WAIT: Duration = Duration::from_millis(250);
/// Time for it when the host sent bytes.
const WAIT_BRIEFLY: Duration = Duration::from_millis(10);

/// A read of the hardware generator is under way; it may hang for ever, so there is only one.
static READING: AtomicBool = AtomicBool::new(false);

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
/// Takes up to 250 ms where the hardware generator does not answer and the host sent nothing. Fewer than 32 bytes of
/// the host are mixed in, but do not count.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN: numbers are then those of the past life.
pub fn reseed(host: &[u8]) -> io::Result<Source> {
    mix(host, true)
}

/// As [`reseed`], for a guest that has done so by itself in this life already: if the host sent enough, the hardware
/// generator, which takes a thread, is not asked a second time.
///
/// # Errors
/// As there.
pub fn reseed_again(host: &[u8]) -> io::Result<Source> {
    mix(host, host.len() < ENOUGH)
}

fn mix(host: &[u8], ask: bool) -> io::Result<Source> {
    let has_host = host.len() >= ENOUGH;
    let mut found = Source::None;
    // Never fresh for sure, but different in most copies.
    if let Ok(now) = clock::realtime() {
        random::add(&now.as_nanos().to_ne_bytes(), 0)?;
    }
    let mut processor = Zeroizing::new([0; 2 * ENOUGH]);
    if random::processor(&mut *processor) {
        random::add(&*processor, ENOUGH * 8)?;
        found = Source::Cpu;
    }
    if ask && let Some(bytes) = hardware(if has_host { WAIT_BRIEFLY } else { WAIT }) {
        random::add(&*bytes, (HARDWARE - STALE) * 8)?;
        found = Source::Hardware;
    }
    for part in host.chunks(random::MOST) {
        random::add(part, if has_host { part.len() * 8 } else { 0 })?;
    }
    if has_host {
        found = Source::Host;
    }
    random::reseed()?;
    Ok(found)
}

/// Says whether the kernel lets us add random bytes; renews its key, which never hurts.
#[must_use]
pub fn available() -> bool {
    random::add(&[0; 8], 0).is_ok() && random::reseed().is_ok()
}

type Bytes = Zeroizing<[u8; HARDWARE]>;

/// Reads the hardware generator on a thread of its own, which is left behind when it is late: the kernel's lock
/// around the device has no deadline, not even for reads that do not wait.
fn hardware(limit: Duration) -> Option<Bytes> {
    if !random::has_hardware() || READING.swap(true, Ordering::AcqRel) {
        return None;
    }
    let (tell, told) = mpsc::sync_channel(1);
    let read = move || {
        let mut bytes: Bytes = Zeroizing::new([0; HARDWARE]);
        let outcome = random::hardware(&mut *bytes);
        READING.store(false, Ordering::Release);
        let _ = tell.send(outcome.is_ok().then_some(bytes));
    };
    if std::thread::Builder::new().name("hwrng".into()).stack_size(64 << 10).spawn(read).is_err() {
        READING.store(false, Ordering::Release);
        return None;
    }
    told.recv_timeout(limit).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_the_host_count_when_they_are_enough() {
        assert_eq!(reseed(&[1; ENOUGH]).unwrap(), Source::Host);
        assert_eq!(reseed(&[1; 4000]).unwrap(), Source::Host);
        assert_ne!(reseed(&[1; ENOUGH - 1]).unwrap(), Source::Host);
        assert_eq!(reseed_again(&[1; ENOUGH]).unwrap(), Source::Host);
        assert!(available());
    }

    #[test]
    fn a_hardware_generator_that_hangs_is_not_asked_again() {
        READING.store(true, Ordering::Release);
        let found = hardware(WAIT);
        READING.store(false, Ordering::Release);
        assert!(found.is_none());
    }
}
