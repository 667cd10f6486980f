//! The kernel's random number generator, and the devices that can feed it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use zeroize::Zeroize;

/// Most bytes that one call adds; the kernel takes any number, and mixes all of them.
pub const MOST: usize = 512;
/// Device number of the hardware generator (Documentation/admin-guide/devices.txt: misc, 183).
const HARDWARE: (u32, u32) = (10, 183);
/// Tries per word; the instructions may be out of numbers for a moment (Intel SDM, 7.3.17: ten suffice for RDRAND).
const TRIES: u32 = 64;

/// What RNDADDENTROPY takes (`struct rand_pool_info`, random(4)).
#[repr(C)]
struct Pool {
    bits: i32,
    length: i32,
    bytes: [u8; MOST],
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

mod call {
    // The size in the request number is that of the two integers in front of the bytes.
    nix::ioctl_write_ptr!(add, b'R', 0x03, [i32; 2]);
    nix::ioctl_none!(reseed, b'R', 0x07);
}

/// Mixes bytes into the pool and credits as many bits of them as the caller vouches for; bytes beyond [`MOST`] and
/// bits beyond what they can hold are left out.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN.
pub fn add(bytes: &[u8], bits: usize) -> io::Result<()> {
    let bytes = &bytes[..bytes.len().min(MOST)];
    let bits = bits.min(bytes.len() * 8);
    let mut pool = Pool {
        bits: i32::try_from(bits).unwrap_or(0),
        length: i32::try_from(bytes.len()).unwrap_or(0),
        bytes: [0; MOST],
    };
    pool.bytes[..bytes.len()].copy_from_slice(bytes);
    let device = File::open("/dev/urandom")?;
    #[expect(unsafe_code, reason = "nix and rustix have no call for it")]
    // SAFETY: the kernel reads the two integers and then `length` bytes right after them; `Pool` has C layout without
    // padding between its fields, `length` is at most MOST, and it outlives the call.
    unsafe {
        call::add(device.as_raw_fd(), (&raw const pool).cast())?;
    }
    Ok(())
}

/// Makes the generator draw a new key from its pool at once, on every processor (RNDRESEEDCRNG, since 4.14).
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN, ENODATA while the pool has never been full.
pub fn reseed() -> io::Result<()> {
    let device = File::open("/dev/urandom")?;
    #[expect(unsafe_code, reason = "nix and rustix have no call for it")]
    // SAFETY: the request has no argument; the descriptor is open.
    unsafe {
        call::reseed(device.as_raw_fd())?;
    }
    Ok(())
}

/// Says whether there is a hardware generator: the device itself, with a driver behind it.
#[must_use]
pub fn has_hardware() -> bool {
    let is_device = fs::metadata("/dev/hwrng").is_ok_and(|found| {
        let number = (rustix::fs::major(found.rdev()), rustix::fs::minor(found.rdev()));
        found.file_type().is_char_device() && number == HARDWARE
    });
    let driver = fs::read_to_string("/sys/class/misc/hw_random/rng_current").unwrap_or_default();
    is_device && !matches!(driver.trim(), "" | "none")
}

/// Fills `bytes` from the hardware generator; waits for as long as the device does, which may be for ever.
///
/// # Errors
/// ENODEV without a driver, EINTR, UnexpectedEof.
pub fn hardware(bytes: &mut [u8]) -> io::Result<()> {
    if !has_hardware() {
        return Err(nix::errno::Errno::ENODEV.into());
    }
    File::open("/dev/hwrng")?.read_exact(bytes)
}

/// Fills `bytes` with numbers from the processor's own generator; says whether it has one that works.
#[must_use]
pub fn processor(bytes: &mut [u8]) -> bool {
    let (mut last, mut varied) = (None, false);
    for part in bytes.chunks_mut(8) {
        let Some(word) = (0..TRIES).find_map(|_| word()) else {
            return false;
        };
        // Some processors answer all ones, with success, after a suspend (AMD family 15h and 16h).
        varied |= last.is_some_and(|last| last != word);
        last = Some(word);
        part.copy_from_slice(&word.to_ne_bytes()[..part.len()]);
    }
    varied
}

#[cfg(target_arch = "x86_64")]
fn word() -> Option<u64> {
    use std::arch::x86_64::{_rdrand64_step, _rdseed64_step};
    let mut word = 0;
    #[expect(unsafe_code, reason = "an instruction that not every processor has")]
    // SAFETY: the instruction is there, as just asked.
    if is_x86_feature_detected!("rdseed") && unsafe { _rdseed64_step(&mut word) } == 1 {
        return Some(word);
    }
    #[expect(unsafe_code, reason = "an instruction that not every processor has")]
    // SAFETY: the instruction is there, as just asked.
    if is_x86_feature_detected!("rdrand") && unsafe { _rdrand64_step(&mut word) } == 1 {
        return Some(word);
    }
    None
}

#[cfg(target_arch = "aarch64")]
fn word() -> Option<u64> {
    if !std::arch::is_aarch64_feature_detected!("rand") {
        return None;
    }
    let (word, failed): (u64, u64);
    #[expect(unsafe_code, reason = "an instruction that not every processor has")]
    // SAFETY: RNDRRS (FEAT_RNG) is there, as just asked; it writes a register and the flags, and touches no memory.
    // On failure it sets Z.
    unsafe {
        std::arch::asm!("mrs {word}, s3_3_c2_c4_1", "cset {failed}, eq",
            word = out(reg) word, failed = out(reg) failed, options(nomem, nostack));
    }
    (failed == 0).then_some(word)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn word() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_takes_bytes_and_starts_anew() {
        add(&[7; 32], 0).unwrap();
        add(&[], 256).unwrap();
        add(&[7; 2 * MOST], 0).unwrap();
        reseed().unwrap();
    }

    #[test]
    fn the_processor_never_gives_the_same_numbers_twice() {
        let (mut one, mut other) = ([0; 61], [0; 61]);
        if processor(&mut one) {
            assert!(processor(&mut other));
            assert_ne!(one, other);
            assert_ne!(one[56..], [0; 5]);
        } else {
            assert!(word().is_none(), "a generator without variety");
        }
    }
}
