//! Programs that die with this process, however it ends.
//!
//! The kernel sends the parent-death signal when the *thread* that forked ends (prctl(2), `PR_SET_PDEATHSIG`), and
//! threads of a runtime or of a test harness come and go. So one thread, which is never ended, does all the forking.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

struct Job {
    command: Command,
    /// The runtime that will wait for the child.
    runtime: Handle,
    answer: oneshot::Sender<io::Result<Child>>,
}

/// The way to the forking thread, once it was started.
static FORKER: Mutex<Option<Sender<Job>>> = Mutex::new(None);

/// Starts `command`; it is killed by the kernel when this process ends.
///
/// # Errors
/// What `fork` and `exec` said.
pub(crate) async fn spawn(mut command: Command) -> io::Result<Child> {
    tie_to(&mut command, getpid());
    let (answer, child) = oneshot::channel();
    let job = Job { command, runtime: Handle::current(), answer };
    forker()?.send(job).map_err(|_| io::Error::other("the forking thread ended"))?;
    child.await.map_err(|_| io::Error::other("the forking thread ended"))?
}

#[expect(unsafe_code, reason = "code between fork and exec")]
fn tie_to(command: &mut Command, parent: Pid) {
    let tie = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have ended before the line above: then nobody would send the signal any more.
        if getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    };
    // SAFETY: `pre_exec` wants a closure that is sound between fork and exec of a process with threads. This one makes
    // two system calls (prctl, getppid) without libc state, takes no lock, allocates nothing (the error is a plain
    // kind or code), and touches only its own copy of `parent`.
    unsafe { command.pre_exec(tie) };
}

fn forker() -> io::Result<Sender<Job>> {
    let mut forker = FORKER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sender) = &*forker {
        return Ok(sender.clone());
    }
    let (sender, jobs) = channel();
    thread::Builder::new().name("icebox-fork".into()).spawn(move || serve(&jobs))?;
    Ok(forker.insert(sender).clone())
}

fn serve(jobs: &Receiver<Job>) {
    for mut job in jobs {
        let _runtime = job.runtime.enter();
        let child = job.command.spawn();
        // Nobody waits any more: the child goes as its handle is dropped, by `kill_on_drop`.
        let _ = job.answer.send(child);
    }
}
