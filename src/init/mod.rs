//! The first process: what a machine without any other init needs, and nothing of what the agent does.
//!
//! # Theory of operation
//! The kernel panics when process 1 ends, so the agent is never process 1: a small supervisor is, which has one
//! thread, no runtime and nothing to crash on, and the agent is its child, restarted when it ends. Both are this
//! program; [`enter`] finds out at the very start which part it plays:
//!
//! - *Not process 1*: the agent, and nothing here runs. `thawd supervise FLAGS` keeps an agent alive under any init,
//!   until it ends with 0, or with 2 for flags that it does not understand.
//! - *Process 1 of a machine*, which is so in the first PID namespace and nowhere else: on an initramfs it loads
//!   modules, mounts `root=`, moves there and becomes the init that it finds there, often this program again.
//!   Off an initramfs it does the whole duty list (`duties`, `introduce`) and supervises. A signal ends in power-off.
//! - *Process 1 of a container*: the same list, but only what is missing and permitted, and silently. It ends when the
//!   agent ends, with the agent's code; only an agent that crashed is restarted.
//!
//! A step that fails is told on the kernel's log and does not stop the rest: a machine with an agent and without
//! `/dev/shm` can still be looked at.
//!
//! - [`cmdline`] the words of `/proc/cmdline`; `address`, `volume` the two that have a grammar of their own
//! - `mounts`, `files`, `network`, `control` the duty list; `modules`, `root` what an initramfs does before it
//! - `supervisor` the loop, `backoff` when to start again, `shutdown` the way down
//! - `report` the kernel's log

mod address;
mod backoff;
pub mod cmdline;
mod control;
mod files;
mod modules;
mod mounts;
mod network;
mod report;
mod root;
mod shutdown;
mod supervisor;
mod volume;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use cmdline::Cmdline;
use report::Report;
use supervisor::{Place, Supervisor};

/// First argument of a supervisor that is not process 1.
const SUPERVISE: &str = "supervise";
/// Variable that tells the next init, which may be this program again, that the initramfs did [`introduce`].
const INTRODUCED: &str = "THAWD_INTRODUCED";
/// The link to the PID namespace, and what it says in the first one: the kernel gives that one a fixed number
/// (`PROC_PID_INIT_INO`), every other a larger one.
const NAMESPACE: (&str, &str) = ("/proc/self/ns/pid", "pid:[4026531836]");

/// Says what is left to do for `main`.
#[derive(Debug)]
pub enum Entered {
    /// Be the agent, with this command line.
    Agent(Vec<OsString>),
    /// The work of this process is done; exit with this code.
    Ended(u8),
}

/// Plays the part that this process has; returns at once where it is simply the agent.
///
/// Call it before any thread starts.
#[must_use]
pub fn enter(mut line: Vec<OsString>) -> Entered {
    if line.get(1).is_some_and(|word| word == SUPERVISE) {
        line.remove(1);
        return Entered::Ended(Supervisor::new(line, Place::Child).run());
    }
    if std::process::id() != 1 {
        return Entered::Agent(line);
    }
    mounts::kernel(Report::Silent);
    if is_machine() { machine(line) } else { container(line) }
}

/// Says whether the kernel command line is about us: so in the first PID namespace, and not in a container, which
/// only sees that of its host.
#[must_use]
pub fn is_machine() -> bool {
    std::fs::read_link(NAMESPACE.0).is_ok_and(|link| link.as_os_str() == NAMESPACE.1)
}

fn container(line: Vec<OsString>) -> Entered {
    duties(Report::Silent);
    introduce(&Cmdline::default(), Report::Silent);
    Entered::Ended(Supervisor::new(line, Place::Container).run())
}

fn machine(mut line: Vec<OsString>) -> Entered {
    let report = Report::Kernel;
    // Again, and this time whoever watches the console is told what cannot be had.
    mounts::kernel(report);
    let cmdline = Cmdline::read();
    // The kernel mixes words that it does not know into our arguments; what is meant for us stands behind `--`.
    line.truncate(1);
    line.extend(cmdline.init_arguments().map(OsString::from));
    if root::on_initramfs() {
        modules::load(report);
        if root::switch(&cmdline, report) {
            introduce(&cmdline, report);
            root::become_init(&cmdline, &line, report);
        }
    }
    duties(report);
    if std::env::var_os(INTRODUCED).is_none() {
        introduce(&cmdline, report);
    }
    if let Some(init) = cmdline.value("thawd.init") {
        hand_over(init, &line, report);
    }
    Entered::Ended(Supervisor::new(line, Place::Machine).run())
}

/// Finds this program again. Its name is better than the link that always works: processes are shown by it.
fn own_program() -> PathBuf {
    let link = PathBuf::from("/proc/self/exe");
    std::fs::read_link(&link).ok().filter(|path| path.exists()).unwrap_or(link)
}

/// Does what the host asks of this one machine, and what no other init would do: the address, the names, more drives.
fn introduce(cmdline: &Cmdline, report: Report) {
    network::configure(cmdline, report);
    files::hostname(cmdline, report);
    files::name_service(cmdline, report);
    for volume in cmdline.values("thawd.mount") {
        mounts::volume(volume, report);
    }
}

/// Does what is the same for every machine. Each step first looks whether somebody did it already.
fn duties(report: Report) {
    mounts::user(report);
    files::devices(report);
    control::prepare(report);
    control::limits(report);
}

/// Makes another program process 1, with a supervisor and its agent as that program's child. The arguments are the
/// other's: flags of the agent are on the kernel command line.
fn hand_over(init: &str, line: &[OsString], report: Report) {
    let mut supervisor = Command::new(own_program());
    supervisor.arg0("thawd").arg(SUPERVISE);
    match supervisor.spawn() {
        Ok(_) => {}
        Err(error) => report.failed("start a supervisor", &error),
    }
    report.failed(&format!("become {init}"), &Command::new(init).args(&line[1..]).exec());
}
