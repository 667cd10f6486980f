//! From a checked wish to a child with its files, its place and its handle.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::deadline::Deadline;
use super::files::Files;
use super::input::Input;
use super::output::{self, Log};
use super::spec::{SpawnSpec, Stdio};
use super::task::Child;
use super::{Handle, ProcessError};
use crate::activity::Pulse;
use crate::base::{Lives, Tasks};
use crate::sys::spawn::Image;
use crate::workload::{self, Class, Workload};

/// Opens what the program needs, starts it, and closes its side of everything. Cancelling kills it.
pub(super) async fn launch(
    spec: SpawnSpec,
    output: output::Settings,
    (workload, tasks): (Arc<Workload>, Tasks),
    (lives, pulse): (Lives, Pulse),
) -> Result<Child, ProcessError> {
    let strings = spec.strings()?;
    let Files { terminal, theirs, input, output: sources } = Files::open(&spec)?;
    let class = match spec.stdio {
        _ if spec.system => Class::System,
        Stdio::Terminal(_) => Class::Pty,
        Stdio::Pipes { .. } => Class::User,
    };
    let image = Image {
        candidates: strings.candidates,
        argv: strings.argv,
        envp: strings.envp,
        cwd: strings.cwd,
        credentials: spec.credentials(),
        stdio: theirs,
        terminal: terminal.is_some(),
    };
    // The host's own programs run on while all others stand still, and are nobody's use of the guest.
    let (lives, pulse) = if spec.system { (Lives::always(), Pulse::default()) } else { (lives, pulse) };
    let refused = |source| ProcessError::Start { program: spec.command.program.clone(), source };
    let mut deadline = Deadline::new(lives.clone(), spec.timeout);
    // A dead mount can hold an exec for ever, and a frozen cgroup for a while.
    let started = deadline.by(workload::start(image, workload.place(class), &tasks)).await;
    let (spawned, leaf) = started.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())).map_err(refused)?;
    let handle = Handle {
        pid: spawned.pid,
        command: spec.command,
        tag: spec.tag,
        log: Log::new(output, lives, pulse.clone()),
        input: Input::new(input, tasks),
        terminal,
        pidfd: Arc::new(spawned.pidfd),
        leaf: leaf.map(Arc::new),
        workload,
        killed: AtomicBool::new(false),
        system: spec.system,
        pulse,
    };
    Ok(Child {
        handle: Arc::new(handle),
        failure: spawned.failure,
        output: sources,
        cwd: spec.cwd,
        user: spec.user.name,
        deadline,
    })
}
