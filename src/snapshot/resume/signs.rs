//! Noticing a resume when nobody tells.
//!
//! Nothing is polled: the agent sleeps until one of these wakes it.
//!
//! - The vmclock page, where the driver can wake (Linux 7.0, and Amazon's kernels): a change of the generation counter.
//! - A line of the kernel's log, after a change of the VM generation id (vmgenid, since 5.18). Each line of the log
//!   wakes us for a moment.
//! - A network card that announces itself, as virtio-net does when its hypervisor asks. This happens after live
//!   migrations too: a frozen guest takes it for the resume that it waits for, else the clock decides.
//! - Whatever else makes the agent run: it may then [look](Signs::look) at the clock.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Clocks, clock, entropy, network, sockets};
use crate::sys::netlink::{self, Family, Follow, Socket, link};
use crate::sys::{kmsg, poll, vmclock};

/// What the kernel writes when its random numbers start anew (drivers/char/random.c, add_vmfork_randomness).
const FORK: &[u8] = b"random: crng reseeded due to virtual machine fork";
/// Where a driver of the generation id would be, in older and newer kernels.
const VMGENID: [&str; 2] = ["/sys/bus/acpi/drivers/vmgenid", "/sys/bus/platform/drivers/vmgenid"];
/// How late the kernel's line may be: it comes from a worker of ACPI, on an emulated machine 0.2 s after the start.
const LATE: Duration = Duration::from_secs(3);
/// Room for one notice of a link; longer ones are cut, which loses later attributes of huge ones only.
const NOTICE: usize = 16 << 10;

/// A sign that the guest was stopped and started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The hypervisor says so through the vmclock page; this is its generation counter. A new life for sure.
    Generation(u64),
    /// The kernel says so, after a change of the VM generation id. A new life for sure.
    Fork,
    /// True time has passed without us: so much at least.
    Gap(Duration),
    /// A network card was told to announce itself, and the clock shows no gap: a move, or a short pause.
    Announced,
}

impl Sign {
    /// Says whether the guest is another one than before, and not only later.
    #[must_use]
    pub fn is_new_life(self) -> bool {
        match self {
            Self::Generation(_) | Self::Fork => true,
            Self::Gap(_) | Self::Announced => false,
        }
    }
}

/// Listens for signs; costs nothing while there is none.
#[derive(Debug)]
pub struct Signs {
    clocks: Arc<Clocks>,
    page: Option<Page>,
    log: Option<Log>,
    links: Option<AsyncFd<OwnedFd>>,
    /// The kernel has a driver for the generation id.
    vmgenid: bool,
}

/// The kernel's log, and what its line about a fork may be about.
#[derive(Debug)]
struct Log {
    file: AsyncFd<File>,
    lateness: Mutex<Lateness>,
}

/// Tells a line that comes late, after the resume that it is about was repaired, from one about another resume.
#[derive(Debug, Default)]
struct Lateness {
    /// The line came since the last repair.
    came: bool,
    /// Until when one would be about the last repair.
    until: Option<Instant>,
}

/// The vmclock page, and the last generation seen there.
#[derive(Debug)]
struct Page {
    file: File,
    /// The same page, where the driver can wake us.
    wakes: Option<AsyncFd<File>>,
    seen: Mutex<Option<u64>>,
}

impl Signs {
    /// Opens every source that this guest has; to be called on the runtime.
    #[must_use]
    pub fn open(clocks: Arc<Clocks>) -> Self {
        Self {
            clocks,
            page: Page::open(),
            log: Log::open().ok(),
            links: Socket::open(Family::Route, Follow::Links)
                .and_then(|socket| poll::register(OwnedFd::from(socket), Interest::READABLE))
                .ok(),
            vmgenid: has_vmgenid(),
        }
    }

    /// Says whether every new life wakes us by itself, so that nobody needs to look.
    #[must_use]
    pub fn tell(&self) -> bool {
        self.page.as_ref().is_some_and(|page| page.wakes.is_some()) || (self.vmgenid && self.log.is_some())
    }

    /// Waits for the next sign; for ever where there is no source. Cancel-safe.
    ///
    /// One resume may give several, some milliseconds apart (measured under QEMU 10: the announcement first, then the
    /// line of the log); [`Signs::settle`] after the repair takes those that have come by then.
    pub async fn next(&self) -> Sign {
        loop {
            let sign = tokio::select! {
                // The surest first: one resume gives several signs.
                biased;
                sign = woken(self.page.as_ref().and_then(|page| page.wakes.as_ref()), |_| self.generation()) => sign,
                sign = woken(self.log.as_ref().map(|log| &log.file), |_| self.fork()) => sign,
                sign = woken(self.links.as_ref(), |links| self.announcement(links)) => sign,
            };
            match sign {
                None => {}
                Some(Sign::Gap(_) | Sign::Announced) if self.fork().is_some() => return Sign::Fork,
                Some(sign) => return sign,
            }
        }
    }

    /// Looks for a sign without waiting: when a connection comes or a program tells something. Asks slow clocks once
    /// a second at most.
    #[must_use]
    pub fn look(&self) -> Option<Sign> {
        self.generation().or_else(|| self.fork()).or_else(|| self.clocks.noticed_pause().map(Sign::Gap))
    }

    /// Takes what has been signalled up to now as known, after a repair; `resumed` when it was one after a resume. The
    /// kernel's line about that resume may be still to come, and is then known too.
    pub fn settle(&self, resumed: bool) {
        let _ = self.generation();
        if let Some(log) = &self.log {
            let came = log.forked();
            log.lateness().settle(came, resumed, Instant::now());
        }
        if let Some(links) = &self.links {
            let _ = announced(links);
        }
        self.clocks.mark();
    }

    /// Says what this guest can do for a resume, by name: rng, clock, sock_destroy, net, ptp, rtc, vmclock, vmgenid.
    ///
    /// Tries some of it, harmlessly, and may make the kernel load a module: not for a guest that stands still.
    #[must_use]
    pub fn capabilities(&self) -> Vec<(&'static str, bool)> {
        vec![
            ("rng", entropy::available()),
            ("clock", clock::available()),
            ("sock_destroy", sockets::available()),
            ("net", network::available()),
            ("ptp", self.clocks.has_ptp()),
            ("rtc", self.clocks.has_rtc()),
            ("vmclock", self.page.is_some()),
            ("vmgenid", self.vmgenid),
        ]
    }

    fn generation(&self) -> Option<Sign> {
        self.page.as_ref()?.change().map(Sign::Generation)
    }

    fn fork(&self) -> Option<Sign> {
        let log = self.log.as_ref().filter(|log| log.forked())?;
        let late = log.lateness().is_late(Instant::now());
        // One that slept meanwhile was resumed again.
        (!late || self.clocks.shows_pause()).then_some(Sign::Fork)
    }

    fn announcement(&self, links: &AsyncFd<OwnedFd>) -> Option<Sign> {
        // The announcement may come at any time: the limit on looks does not count.
        announced(links).then(|| self.clocks.surely_paused().map_or(Sign::Announced, Sign::Gap))
    }
}

impl Log {
    fn open() -> io::Result<Self> {
        let file = poll::register(kmsg::open_end()?, Interest::READABLE)?;
        Ok(Self { file, lateness: Mutex::default() })
    }

    /// Reads the log to its end; says whether the kernel told of a fork.
    fn forked(&self) -> bool {
        let mut buffer = [0; kmsg::LONGEST];
        let mut forked = false;
        while let Ok(Some(line)) = kmsg::next(self.file.get_ref(), &mut buffer) {
            forked |= line.starts_with(FORK);
        }
        forked
    }

    fn lateness(&self) -> MutexGuard<'_, Lateness> {
        self.lateness.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lateness {
    /// Takes a line in that came at `now`; says whether it is about a resume that was repaired before.
    fn is_late(&mut self, now: Instant) -> bool {
        let late = self.until.take().is_some_and(|until| now < until);
        self.came |= !late;
        late
    }

    /// A repair has ended; `came` when the line has come now.
    fn settle(&mut self, came: bool, resumed: bool, now: Instant) {
        let came = std::mem::take(&mut self.came) || came;
        if resumed {
            self.until = (!came).then_some(now + LATE);
        }
    }
}

impl Page {
    fn open() -> Option<Self> {
        let file = File::open(vmclock::DEVICE).ok()?;
        let page = vmclock::read(&file).ok()?;
        let wakes = || poll::register(file.try_clone().ok()?, Interest::READABLE).ok();
        // A driver without notices answers every poll at once, so it is not asked.
        let wakes = if page.notifies { wakes() } else { None };
        Some(Self { file, wakes, seen: Mutex::new(page.generation) })
    }

    /// Gives the generation when it is another one than at the last call.
    fn change(&self) -> Option<u64> {
        let found = vmclock::read(&self.file).ok()?.generation?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.replace(found) != Some(found)).then_some(found)
    }
}

/// Waits until a source has something and reads it empty; for ever where there is no source. Cancel-safe: what was
/// read is handed out at once.
async fn woken<T: poll::Owner>(
    source: Option<&AsyncFd<T>>,
    read: impl FnOnce(&AsyncFd<T>) -> Option<Sign>,
) -> Option<Sign> {
    let Some(source) = source else {
        return std::future::pending().await;
    };
    let Ok(mut ready) = source.readable().await else {
        // The runtime is on its way down.
        return std::future::pending().await;
    };
    let sign = read(source);
    // Something that came after the last read wakes us again.
    ready.clear_ready();
    sign
}

/// Reads all notices of links; says whether one was an announcement. Notices that were lost may have been one.
fn announced(links: &AsyncFd<OwnedFd>) -> bool {
    let mut buffer = Vec::with_capacity(NOTICE);
    let mut found = false;
    loop {
        let read = netlink::receive(links.get_ref().as_fd(), &mut buffer, |messages| {
            for message in messages {
                found |= link::is_announcement(message.kind, message.body);
            }
            Ok(true)
        });
        match read {
            Err(error) if is_lost(&error) => found = true,
            _ => return found,
        }
    }
}

fn is_lost(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::libc::ENOBUFS)
}

/// Says whether a generation id is there and has a driver, which shows as a link to the device beside that to the
/// module.
fn has_vmgenid() -> bool {
    let is_device =
        |entry: fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_symlink()) && entry.file_name() != "module";
    VMGENID.iter().filter_map(|driver| fs::read_dir(driver).ok()).any(|found| found.flatten().any(is_device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_machine_that_runs_on_shows_no_sign() {
        let signs = Signs::open(Arc::new(Clocks::open()));
        assert!(signs.log.is_some() && signs.links.is_some());
        // A program cannot forge the kernel's line; each wakes us once, and no more.
        for _ in 0..3 {
            fs::write("/dev/kmsg", [FORK, b"\n"].concat()).unwrap();
            let limit = Duration::from_millis(200);
            assert!(tokio::time::timeout(limit, signs.next()).await.is_err());
        }
        assert_eq!(signs.look(), None);
        signs.settle(false);
        assert_eq!(signs.look(), None);
    }

    #[test]
    fn a_line_is_late_once_after_the_repair_of_a_resume_that_had_none() {
        let now = Instant::now();
        let mut lateness = Lateness::default();
        assert!(!lateness.is_late(now), "the first");
        lateness.settle(false, true, now);
        assert!(!lateness.is_late(now), "the line had come before the repair");
        lateness.settle(false, true, now);
        lateness.settle(false, true, now);
        assert!(lateness.is_late(now + LATE / 2));
        assert!(!lateness.is_late(now + LATE / 2), "another resume");
        lateness.settle(true, true, now);
        assert!(!lateness.is_late(now), "it came at the end of the repair");
        lateness.settle(false, true, now);
        lateness.settle(false, true, now);
        assert!(!lateness.is_late(now + LATE), "too late");
        lateness.settle(false, false, now);
        assert!(!lateness.is_late(now), "a freeze was undone");
    }

    #[tokio::test]
    async fn capabilities_are_told_by_name() {
        let signs = Signs::open(Arc::new(Clocks::open()));
        let found = signs.capabilities();
        let names: Vec<_> = found.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["rng", "clock", "sock_destroy", "net", "ptp", "rtc", "vmclock", "vmgenid"]);
        let has = |name: &str| found.iter().any(|(found, has)| *found == name && *has);
        assert!(has("rng") && has("clock") && has("sock_destroy") && has("net"), "{found:?}");
    }
}
