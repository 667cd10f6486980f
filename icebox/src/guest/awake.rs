//! A guest that runs.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use super::{Asleep, Choice, runtime, told};
use crate::agent::{Agent, Output, Program};
use crate::host::Qemu;
use crate::snapshot::{Companion, Guided, Pause};
use crate::template::Templates;
use crate::vm::Vm;

/// How long a program in a guest may take.
const RUN_LIMIT: Duration = Duration::from_secs(60);

/// A running VM in the hands of a test.
#[derive(Debug)]
pub struct Guest {
    vm: Vm,
    qemu: Qemu,
    templates: Templates,
}

impl Guest {
    /// Starts a copy of the template of this image.
    ///
    /// # Panics
    /// When that fails, as everything here.
    #[must_use]
    #[track_caller]
    pub fn start(flavour: &str) -> Self {
        Choice::of(flavour).start()
    }

    pub(super) fn new(vm: Vm, qemu: Qemu, templates: Templates) -> Self {
        Self { vm, qemu, templates }
    }

    /// Runs a line of shell to its end, at most 60 s.
    ///
    /// # Panics
    /// When it cannot be run; how it ends is in the output.
    #[track_caller]
    pub fn run(&self, line: &str) -> Output {
        told(self.block_on(self.agent().run(&Program::shell(line), RUN_LIMIT)), "running a line in the guest")
    }

    /// Runs a line of shell that must succeed; returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn sh(&self, line: &str) -> String {
        let output = self.run(line);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.exit_code, 0, "{line} in the guest: {stderr}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Starts a line of shell and leaves it running; returns its process id.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn spawn(&self, line: &str) -> u64 {
        told(self.block_on(self.agent().start(&Program::shell(line))), "starting a line in the guest").pid
    }

    /// The agent in it.
    #[must_use]
    pub fn agent(&self) -> Agent {
        self.vm.agent()
    }

    /// Waits for something asynchronous, such as a call of the agent.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        runtime().block_on(work)
    }

    /// Where a port of the guest is reached; forwards it first if need be.
    ///
    /// # Panics
    /// When that fails.
    #[track_caller]
    pub fn address(&mut self, port: u16) -> SocketAddr {
        told(runtime().block_on(self.vm.forward(port)), "forwarding a port")
    }

    /// The VM, for all else.
    pub fn vm(&mut self) -> &mut Vm {
        &mut self.vm
    }

    /// What the guest said on its serial line, at last.
    #[must_use]
    pub fn console(&self) -> String {
        self.vm.console()
    }

    /// Freezes the guest, if its agent can, and pauses it to files; QEMU is gone then.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    #[track_caller]
    pub fn pause(self) -> Asleep {
        self.pause_with(&Guided::default())
    }

    /// Pauses it with this companion; [`Silent`](crate::snapshot::Silent) tells the guest nothing.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    #[track_caller]
    pub fn pause_with(mut self, companion: &impl Companion) -> Asleep {
        let folder = told(self.templates.new_folder("asleep"), "making a folder for a snapshot");
        let to = folder.path().join("snapshot");
        let pausing = self.vm.pause(&to, Pause { durable: false }, companion);
        let paused = told(runtime().block_on(pausing), "pausing a guest");
        Asleep::new(paused, folder, self.qemu.clone(), self.templates.clone())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the console of the guest in {}:\n{}", self.vm.folder().display(), self.vm.console());
        }
    }
}
