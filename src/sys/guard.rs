//! A second process that undoes a freeze when the agent dies in the middle of it.
//!
//! It is made by `clone` with CLONE_VM and CLONE_FILES: it shares the agent's memory and descriptors, so it costs one
//! stack and knows at every moment what has been frozen, but it is a process of its own, which a signal to the agent
//! does not reach. It sleeps until the agent ends (pidfd) or tells it to go. Because it shares the agent's
//! thread-local storage too, it makes raw system calls only (rustix, which keeps no errno) and never allocates.
//!
//! Where a kernel before 5.16 writes a core file of the agent, this process dies with it; then what the agent wrote
//! down is undone by its successor.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use nix::libc;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Most orders that are kept; what does not fit is left to the agent's successor.
const ORDERS: usize = 1024;
/// Stack of the process: it calls a handful of functions with small frames.
const STACK: usize = 32 << 10;
/// Time that the process gets to end when it is told to, in steps of a millisecond.
const PATIENCE_MS: usize = 1000;

/// Says how one part of a freeze is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Thaw the filesystem of this descriptor.
    Filesystem(RawFd),
    /// Write `0` to this `cgroup.freeze`.
    Cgroup(RawFd),
    /// Draw new random numbers: RNDRESEEDCRNG on this descriptor.
    Random(RawFd),
}

/// Holds the process; dropping it tells the process to go without doing anything.
#[derive(Debug)]
pub struct Guard {
    pid: libc::pid_t,
    shared: Box<Shared>,
    _stack: Box<[u128]>,
}

#[derive(Debug)]
struct Shared {
    agent: OwnedFd,
    stop: EventFd,
    count: AtomicUsize,
    orders: [AtomicI64; ORDERS],
}

impl Guard {
    /// Starts the process, with no orders.
    ///
    /// # Errors
    /// EMFILE, ENOMEM, EAGAIN.
    pub fn start() -> io::Result<Self> {
        let shared = Box::new(Shared {
            agent: own_pidfd()?,
            stop: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            count: AtomicUsize::new(0),
            orders: [const { AtomicI64::new(0) }; ORDERS],
        });
        let mut stack = vec![0u128; STACK / size_of::<u128>()].into_boxed_slice();
        // A signal handler of the agent must not run in that process, and a service manager's SIGTERM not end it.
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
        let pid = clone(&mut stack, &shared);
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
        Ok(Self { pid: pid?, shared, _stack: stack })
    }

    /// Adds an order: call it before the act that it undoes. Orders are carried out last to first; one about
    /// something that was not done, or was undone since, does no harm. False when there is no room.
    pub fn push(&self, order: Order) -> bool {
        let count = self.shared.count.load(Ordering::Acquire);
        let Some(slot) = self.shared.orders.get(count) else { return false };
        slot.store(pack(order), Ordering::Release);
        self.shared.count.store(count + 1, Ordering::Release);
        true
    }

    /// Takes back the latest order, for an act that turned out to be somebody else's.
    pub fn pop(&self) {
        let count = self.shared.count.load(Ordering::Acquire);
        self.shared.count.store(count.saturating_sub(1), Ordering::Release);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.shared.stop.write(1);
        for _ in 0..PATIENCE_MS {
            if reap(self.pid) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        // It shares memory that is about to be freed.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid), nix::sys::signal::Signal::SIGKILL);
        while !reap(self.pid) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}

/// Says whether the process has gone.
fn reap(pid: libc::pid_t) -> bool {
    #[expect(unsafe_code, reason = "nix does not offer __WALL for children without an exit signal on every target")]
    // SAFETY: a null status pointer is allowed; the number belongs to our child until this call has reaped it.
    let result = unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL | libc::WNOHANG) };
    result != 0
}

fn own_pidfd() -> io::Result<OwnedFd> {
    Ok(rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty())?)
}

fn clone(stack: &mut [u128], shared: &Shared) -> io::Result<libc::pid_t> {
    let top = stack.as_mut_ptr_range().end;
    let argument = std::ptr::from_ref(shared).cast_mut().cast();
    // No exit signal: nobody but the owner of the Guard waits for it.
    #[expect(unsafe_code, reason = "a process that shares memory has no safe wrapper")]
    // SAFETY: `top` is the aligned end of a stack that nobody else uses and that lives, as `shared` does, until the
    // process has been reaped (Drop). `watch` makes raw system calls only: it touches neither errno nor other
    // thread-local storage, which it shares with the calling thread.
    let pid = unsafe { libc::clone(watch, top.cast(), libc::CLONE_VM | libc::CLONE_FILES, argument) };
    if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) }
}

/// Runs in the process.
extern "C" fn watch(argument: *mut libc::c_void) -> libc::c_int {
    #[expect(unsafe_code, reason = "the other end of clone's argument")]
    // SAFETY: `clone` passes a `Shared` that outlives this process.
    let shared = unsafe { &*argument.cast::<Shared>() };
    let mut fds = [PollFd::new(&shared.agent, PollFlags::IN), PollFd::new(&shared.stop, PollFlags::IN)];
    loop {
        match poll(&mut fds, None::<&Timespec>) {
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return 1,
            Ok(_) => break,
        }
    }
    let [_, told] = &fds;
    if told.revents().is_empty() {
        carry_out(shared);
    }
    0
}

/// Carries out all orders, last to first.
fn carry_out(shared: &Shared) {
    let count = shared.count.load(Ordering::Acquire);
    for slot in shared.orders.iter().take(count).rev() {
        let Some((order, fd)) = unpack(slot.load(Ordering::Acquire)) else { continue };
        #[expect(unsafe_code, reason = "the descriptor was handed over as a number")]
        // SAFETY: the agent kept it open for as long as the order stands; in the worst case the call below fails.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        match order {
            FILESYSTEM => drop(ioctl::<FITHAW>(fd)),
            CGROUP => drop(rustix::io::write(fd, b"0")),
            _ => drop(ioctl::<RNDRESEEDCRNG>(fd)),
        }
    }
}

/// linux/fs.h and linux/random.h.
const FITHAW: u32 = 0xC004_5878;
const RNDRESEEDCRNG: u32 = 0x5207;

fn ioctl<const CODE: u32>(fd: BorrowedFd<'_>) -> rustix::io::Result<()> {
    #[expect(unsafe_code, reason = "rustix asks callers to vouch for the request")]
    // SAFETY: both requests take no argument (the kernel ignores FITHAW's), and rustix keeps the result out of errno.
    unsafe {
        rustix::ioctl::ioctl(fd, rustix::ioctl::NoArg::<CODE>::new())
    }
}

const FILESYSTEM: i64 = 1;
const CGROUP: i64 = 2;
const RANDOM: i64 = 3;

fn pack(order: Order) -> i64 {
    let (kind, fd) = match order {
        Order::Filesystem(fd) => (FILESYSTEM, fd),
        Order::Cgroup(fd) => (CGROUP, fd),
        Order::Random(fd) => (RANDOM, fd),
    };
    (kind << 32) | i64::from(fd)
}

fn unpack(word: i64) -> Option<(i64, RawFd)> {
    let fd = RawFd::try_from(word & 0xFFFF_FFFF).ok()?;
    (word >> 32 > 0).then_some((word >> 32, fd))
}

#[cfg(test)]
mod tests;
