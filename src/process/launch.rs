//! From a checked wish to a child with its files, its place and its handle.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

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

/// Opens what the program needs, forks it, and closes its side of everything.
pub(super) fn launch(
    spec: SpawnSpec,
    output: output::Settings,
    workload: &Arc<Workload>,
    tasks: &Tasks,
    (lives, pulse): (&Lives, &Pulse),
) -> Result<Child, ProcessError> {
    let strings = spec.strings()?;
    let files = Files::open(&spec)?;
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
        stdio: files.theirs(),
        terminal: files.terminal.is_some(),
    };
    let refused = |source| ProcessError::Start { program: spec.command.program.clone(), source };
    let (spawned, leaf) = workload::start(&image, workload.place(class)).map_err(refused)?;
    drop(image);
    let Files { terminal, input, output: sources, .. } = files;
    // The host's own programs run on while all others stand still, and are nobody's use of the guest.
    let (lives, pulse) = if spec.system { (Lives::always(), Pulse::default()) } else { (lives.clone(), pulse.clone()) };
    let handle = Handle {
        pid: spawned.pid,
        command: spec.command,
        tag: spec.tag,
        log: Log::new(output, lives.clone(), pulse.clone()),
        input: Input::new(input, tasks.clone()),
        terminal,
        pidfd: Arc::new(spawned.pidfd),
        leaf: leaf.map(Arc::new),
        workload: Arc::clone(workload),
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
        timeout: spec.timeout,
        lives,
    })
}
