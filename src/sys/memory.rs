//! How much memory the machine has, and giving back what we do not use.

/// Gives `MemTotal` in bytes (sysinfo(2), which cannot fail with a valid pointer).
#[must_use]
pub fn total() -> u64 {
    let info = rustix::system::sysinfo();
    #[allow(clippy::useless_conversion, reason = "the field's width differs by architecture")]
    let units = u64::from(info.totalram);
    units * u64::from(info.mem_unit)
}

/// Gives free heap back to the kernel (malloc_trim(3)); only glibc keeps any.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    {
        #[expect(unsafe_code, reason = "no safe wrapper")]
        // SAFETY: malloc_trim takes a number, locks the heap itself and moves nothing that is in use.
        let _ = unsafe { nix::libc::malloc_trim(0) };
    }
}
