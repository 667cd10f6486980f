//! The rate of the time-stamp counter, which an emulated guest shares with the host.

#[cfg(target_arch = "x86_64")]
use std::time::{Duration, Instant};

/// How long the counter is watched; 50 ms give better than 100 ppm.
#[cfg(target_arch = "x86_64")]
const WATCHED: Duration = Duration::from_millis(50);

/// Measures the rate in kHz; blocks for 50 ms. `None` where there is no such counter.
#[cfg(target_arch = "x86_64")]
pub(crate) fn tsc_khz() -> Option<u64> {
    let (from_ticks, from) = sample();
    std::thread::sleep(WATCHED);
    let (to_ticks, to) = sample();
    let nanoseconds = u64::try_from(to.duration_since(from).as_nanos()).ok()?;
    to_ticks.wrapping_sub(from_ticks).checked_mul(1_000_000)?.checked_div(nanoseconds)
}

/// Measures the rate in kHz. `None` where there is no such counter.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn tsc_khz() -> Option<u64> {
    None
}

/// Reads counter and clock as close together as it gets: the best of a few, since the host may take the CPU away
/// between the two.
#[cfg(target_arch = "x86_64")]
fn sample() -> (u64, Instant) {
    let samples = (0..16).map(|_| {
        let before = ticks();
        let now = Instant::now();
        (ticks().wrapping_sub(before), before, now)
    });
    let best = samples.min_by_key(|(width, ..)| *width);
    best.map_or_else(|| (ticks(), Instant::now()), |(width, before, now)| (before.wrapping_add(width / 2), now))
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "an instruction without a safe wrapper")]
fn ticks() -> u64 {
    // SAFETY: RDTSC has no operands and touches no memory; every x86-64 CPU has it, and Linux lets user space run it
    // unless somebody forbade it for this process (prctl PR_SET_TSC), which nobody here does.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::tsc_khz;

    #[test]
    fn two_measurements_agree() {
        let (one, other) = (tsc_khz().unwrap(), tsc_khz().unwrap());
        assert!(one.abs_diff(other) < one / 500, "{one} kHz and {other} kHz");
    }
}
