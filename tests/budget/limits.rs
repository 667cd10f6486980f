//! What the agent may cost. The benchmark prints the same limits beside its figures.
//!
//! envd's figures were measured for this project: version 0.6.13, static and stripped, outside a VM.

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Bytes of the released binary; envd has 12.4 MiB. Every template holds one, and a cold guest reads it.
pub const BINARY: u64 = 5 * MIB;

/// Bytes of resident memory after the start and one `/health`; envd has 12.3 MiB. It is 2.4, of which 2.1 are pages of
/// the file: the kernel maps 16 of them where one is touched, so what runs is linked side by side (`scripts/layout`).
pub const RSS_IDLE: u64 = 3 * MIB;
/// The same after 1,000 commands; envd has 18.2 MiB.
pub const RSS_COMMANDS: u64 = 4 * MIB;
/// The same after a listing of 20,000 entries; envd has 54 MiB or more.
pub const RSS_LISTING: u64 = 4 * MIB;

/// Bytes of private dirty memory after the start, which every snapshot keeps; envd has 2.3 MiB.
pub const DIRTY_IDLE: u64 = 512 * KIB;
/// The same after 1,000 commands; envd has 7.0 MiB.
pub const DIRTY_COMMANDS: u64 = 3 * MIB / 2;
/// The same after a listing of 20,000 entries.
pub const DIRTY_LISTING: u64 = 3 * MIB / 2;

/// Wakeups of an idle agent; envd has 30 to 150 each second. One wakeup is one resume from the kernel's idle state, and
/// dirties pages.
pub const IDLE_WAKEUPS: u64 = 0;
/// Syscalls of an idle agent; envd makes 156 to 629 each second.
pub const IDLE_SYSCALLS: u64 = 0;
/// Nanoseconds of CPU of an idle agent: without any, no page was dirtied either. envd uses 12 to 17 ms each second.
pub const IDLE_CPU: u64 = 0;

/// Syscalls of the agent for one Start, with those of the child before it is the program; envd, with the shell, nice
/// and ionice that it starts, makes 337.
pub const START_SYSCALLS: u64 = 60;
/// Syscalls of one Stat at a kept-alive client; envd makes 20.
pub const STAT_SYSCALLS: u64 = 8;
/// Syscalls of one `/health` at a kept-alive client; envd makes 9.
pub const HEALTH_SYSCALLS: u64 = 4;

/// Bytes of resident memory for each idle stream, on a connection and with a program of its own: the goal, 8 MiB for 1,000.
/// A connection that waits has no buffer; half of it is the program: what waits for its end and its two outputs.
pub const STREAM: u64 = 8 * KIB;
/// What they share, which the first brings: a thread, and pages of code that none needed before.
const FIRST_STREAM: u64 = 512 * KIB;
/// Bytes for each of so many.
pub const fn stream(count: usize) -> u64 {
    STREAM + FIRST_STREAM / count as u64
}
/// Bytes by which resident memory may grow while 10,000 more processes come and go: none is kept of a process, and this
/// is what the allocator and the record of the ends of the last 30 s may shift.
pub const PROCESSES_GROWTH: u64 = 512 * KIB;
/// Events lost of 10,000 files made in a watched folder.
pub const EVENTS_LOST: u64 = 0;

/// Readers that read nothing.
pub const STALLED_READERS: u64 = 16;
/// Bytes of resident memory with all of them: the ring of each program is full, a connection has two chunks of output
/// beside it that it could not write, and there is what an agent has anyway after some commands. envd has 75 MiB.
pub const RSS_STALLED: u64 = STALLED_READERS * (MIB + 128 * KIB) + RSS_COMMANDS;

/// Bytes by which the largest resident size with a file of 256 MiB on its way may be beyond that with one of 16 MiB:
/// how much is read at once varies, and memory does not grow with the file.
pub const TRANSFER_GROWTH: u64 = 2 * MIB;
