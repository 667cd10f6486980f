//! The task that keeps one sandbox.
//!
//! It owns the VM, or the snapshot, and does one thing after another: who asks while something is in progress waits for
//! its turn. A caller that goes away changes nothing. Only the wish to be rid of the sandbox breaks off what is in
//! progress, since a guest may hang.

use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::error::SandboxError;
use super::face::{Face, now_ms};
use super::ground::Ground;
use super::record::Record;
use super::{OnTimeout, PauseMode, Reach, State, View, idle, metrics, stall};
use crate::agent::Agent;
use crate::snapshot::Snapshot;
use crate::store::Shelf;
use crate::vm::Vm;

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, SandboxError>>;

/// What a keeper can be asked for; [`super::Sandboxes`] says what each means.
#[derive(Debug)]
pub(super) enum Command {
    Connect {
        timeout: Duration,
        memory: bool,
        reply: Reply<(View, bool)>,
    },
    Resume {
        timeout: Duration,
        on_timeout: Option<OnTimeout>,
        reply: Reply<View>,
    },
    Pause {
        mode: PauseMode,
        healthy: bool,
        reply: Reply<()>,
    },
    SetTimeout {
        timeout: Duration,
        only_later: bool,
        reply: Reply<()>,
    },
    Reach {
        port: u16,
        reply: Reply<Reach>,
    },
    Measure {
        reply: Reply<()>,
    },
    /// Gives the pause, or a pause made for it, another name.
    Share {
        to: PathBuf,
        reply: Reply<Shared>,
    },
    /// The VM of this number was idle for long enough.
    Idle {
        number: u64,
    },
    /// The VM of this number stands still, since there was no room for what its guest wrote.
    Stalled {
        number: u64,
    },
    /// The agent of the VM of this number answers without its token: it was started again, and knows nothing.
    Forgot {
        number: u64,
    },
    /// The host is on its way down.
    Suspend {
        reply: Reply<()>,
    },
    /// The host is up again.
    Wake,
}

/// What a shared snapshot is of.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) record: Record,
    pub(super) mode: PauseMode,
}

/// What there is of a sandbox.
#[derive(Debug)]
pub(super) enum Body {
    Running(Box<Running>),
    Paused(Box<Snapshot>, PauseMode),
    /// Nothing; the keeper ends.
    Gone,
}

/// A VM that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) vm: Vm,
    pub(super) deadline: Instant,
    /// Tells it from the VMs before.
    pub(super) number: u64,
    /// Among the VMs that may run; kept over a pause that ends at once.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

/// Keeps one sandbox.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) ground: Arc<Ground>,
    pub(super) record: Record,
    pub(super) body: Body,
    pub(super) face: Arc<Face>,
    commands: mpsc::Receiver<Command>,
    /// For the tasks of a VM.
    own: mpsc::WeakSender<Command>,
    /// VMs so far.
    number: u64,
    /// The store may know it.
    pub(super) written: bool,
}

enum Next {
    Command(Command),
    /// Nobody can ask any more.
    Alone,
    Deadline,
    Ended,
}

impl Keeper {
    pub(super) fn new(
        ground: Arc<Ground>,
        record: Record,
        face: Arc<Face>,
        commands: mpsc::Receiver<Command>,
        own: mpsc::WeakSender<Command>,
    ) -> Self {
        Self { ground, record, body: Body::Gone, face, commands, own, number: 0, written: false }
    }

    /// Works until the sandbox is gone, or nobody is left who could ask.
    pub(super) async fn run(mut self) {
        let (kill, stop) = (self.face.kill.clone(), self.face.stop.clone());
        let kept = kill.run_until_cancelled(stop.run_until_cancelled(self.keep())).await;
        match kept {
            // Killed, or nothing is left.
            None | Some(Some(true)) => self.remove().await,
            Some(None | Some(false)) => drop(self.without_vm().await),
        }
    }

    /// Works; says whether there is nothing left of the sandbox, or nobody who could ask.
    async fn keep(&mut self) -> bool {
        while !matches!(self.body, Body::Gone) {
            match self.next().await {
                Next::Alone => return false,
                next => self.obey(next).await,
            }
        }
        true
    }

    async fn next(&mut self) -> Next {
        let running = match &self.body {
            Body::Running(running) => Some((running.deadline, running.vm.ended())),
            Body::Paused(..) | Body::Gone => None,
        };
        let over = async {
            match running {
                Some((deadline, ended)) => tokio::select! {
                    _ = ended => Next::Ended,
                    () = sleep_until(deadline) => Next::Deadline,
                },
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            next = over => next,
            command = self.commands.recv() => command.map_or(Next::Alone, Next::Command),
        }
    }

    async fn obey(&mut self, next: Next) {
        // Whoever went away has the answer dropped.
        match next {
            Next::Command(Command::Connect { timeout, memory, reply }) => {
                drop(reply.send(self.connect(timeout, memory).await));
            }
            Next::Command(Command::Resume { timeout, on_timeout, reply }) => {
                drop(reply.send(self.resume(timeout, on_timeout).await));
            }
            Next::Command(Command::Pause { mode, healthy, reply }) => {
                drop(reply.send(self.pause(mode, healthy, None).await));
            }
            Next::Command(Command::SetTimeout { timeout, only_later, reply }) => {
                drop(reply.send(self.set_timeout(timeout, only_later)));
            }
            Next::Command(Command::Reach { port, reply }) => drop(reply.send(self.reach(port).await)),
            Next::Command(Command::Measure { reply }) => drop(reply.send(self.measure().await)),
            Next::Command(Command::Share { to, reply }) => drop(reply.send(self.share(&to).await)),
            Next::Command(Command::Idle { number }) => self.idle(number).await,
            Next::Command(Command::Stalled { number }) => self.unstall(number).await,
            Next::Command(Command::Forgot { number }) => self.tell_again(number).await,
            Next::Command(Command::Suspend { reply }) => drop(reply.send(self.suspend().await)),
            Next::Command(Command::Wake) => self.wake_suspended().await,
            Next::Deadline => self.expire().await,
            Next::Ended => self.fall_back("its VM ended by itself").await,
            Next::Alone => {}
        }
    }

    /// Takes a VM over, whose time is up at the record's end.
    pub(super) fn run_vm(&mut self, vm: Vm, place: OwnedSemaphorePermit) {
        self.number += 1;
        let left = self.record.end_ms.saturating_sub(now_ms());
        let deadline = Instant::now() + Duration::from_millis(left);
        let gone = CancellationToken::new();
        let agent = self.agent(&vm);
        if let Some(address) = vm.address(crate::vm::AGENT_PORT) {
            self.face.open(gone.clone());
            self.face.add(crate::vm::AGENT_PORT, address);
        }
        let measured = metrics::Measured { agent: agent.clone(), face: Arc::clone(&self.face), number: self.number };
        tokio::spawn(gone.clone().run_until_cancelled_owned(measured.keep(self.own.clone())));
        let stalls = stall::watch(vm.qmp().events(), self.number, self.own.clone());
        tokio::spawn(gone.clone().run_until_cancelled_owned(stalls));
        if let Some(after) = self.ground.settings.pause_idle_after {
            let watched = idle::Watched { agent, after, face: Arc::clone(&self.face), number: self.number };
            tokio::spawn(watched.watch(self.own.clone(), gone));
        }
        self.body = Body::Running(Box::new(Running { vm, deadline, number: self.number, place: Some(place) }));
        self.show(State::Running);
    }

    /// The agent of a VM of this sandbox.
    pub(super) fn agent(&self, vm: &Vm) -> Agent {
        vm.agent().with_token_of(self.record.token.as_ref())
    }

    /// Shows what is known now.
    pub(super) fn show(&self, state: State) {
        self.face.show(self.record.view(state));
        self.ground.changed();
    }

    /// Writes the record down.
    pub(super) async fn write_down(&mut self) -> Result<(), SandboxError> {
        self.record.active_ms = self.face.active_ms();
        self.written = true;
        let written = self.ground.store.put(Shelf::Sandboxes, self.record.id.as_str(), &self.record).await;
        written.map_err(|error| SandboxError::saving(&self.record.id, &error))
    }

    /// Writes down what need not be: what the disk has without it leads to the same.
    pub(super) async fn note(&mut self) {
        if let Err(error) = self.write_down().await {
            tracing::warn!(id = %self.record.id, %error, "the record of a sandbox could not be written");
        }
    }

    async fn measure(&mut self) -> Result<(), SandboxError> {
        if let Body::Running(running) = &self.body {
            metrics::measure(&self.agent(&running.vm), &self.face).await;
        }
        Ok(())
    }

    /// Ends the VM, if there is one, and waits until it is gone.
    pub(super) async fn without_vm(&mut self) -> Body {
        self.face.shut();
        let body = std::mem::replace(&mut self.body, Body::Gone);
        if let Body::Running(running) = body {
            // It waits for the end of QEMU and removes files.
            drop(tokio::task::spawn_blocking(move || drop(running)).await);
        }
        Body::Gone
    }
}
