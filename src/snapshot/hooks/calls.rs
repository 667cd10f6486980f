//! One hook after another.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::time::{Instant, timeout};

use super::post::post;
use super::run::{Program, run};
use super::scan::{Found, Hook, Which, scan};
use super::server::Server;
use super::{HookError, Outcome};
use crate::base::{Tasks, sentence};
use crate::workload::Workload;

/// Says where hooks are and how long one may take.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the files are; hooks of QEMU's guest agent run unchanged.
    pub folder: PathBuf,
    /// For one hook, unless its file says otherwise; never more than is left of the budget of all.
    pub each: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { folder: PathBuf::from("/etc/thawd/hooks.d"), each: Duration::from_secs(1) }
    }
}

/// Says what hooks are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The life that ends (freeze) or begins (thaw).
    pub generation: u64,
    /// How long the machine stood still; zero before a freeze and after a cancelled one.
    pub paused: Duration,
    /// The guest is one of several copies.
    pub clone: bool,
    /// Asks no further hook once one has failed.
    pub stop_at_failure: bool,
}

/// Calls the hooks in a folder; which there are is read at each call.
#[derive(Clone, Debug)]
pub struct Hooks {
    settings: Settings,
    workload: Arc<Workload>,
    tasks: Tasks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Freeze,
    Thaw,
}

/// What hooks find in `PATH`: they are written for a root shell, and the agent's own may be anything.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Less than this is no time to do anything in.
const LEAST: Duration = Duration::from_millis(1);
/// Bytes of a hook's output in a log line.
const LOGGED: usize = 512;

impl Hooks {
    /// Keeps what is needed to call hooks, and does nothing.
    #[must_use]
    pub fn new(settings: Settings, workload: Arc<Workload>, tasks: Tasks) -> Self {
        Self { settings, workload, tasks }
    }

    /// Calls all hooks with `freeze`, one after another in the order of their names, while the workload still runs.
    ///
    /// It returns at most 50 ms after `budget` has passed, whatever hooks do. Dropping it kills what runs.
    pub async fn freeze(&self, budget: Duration, context: &Context) -> Vec<Outcome> {
        self.call_all(Event::Freeze, Which::All, budget, context).await
    }

    /// Calls the programs with `thaw`, the last name first, before the workload is let go. As [`Hooks::freeze`] else.
    pub async fn thaw_before(&self, budget: Duration, context: &Context) -> Vec<Outcome> {
        self.call_all(Event::Thaw, Which::Programs, budget, context).await
    }

    /// Calls the servers with `thaw`, the last name first, once the workload runs. As [`Hooks::freeze`] else.
    pub async fn thaw_after(&self, budget: Duration, context: &Context) -> Vec<Outcome> {
        self.call_all(Event::Thaw, Which::Servers, budget, context).await
    }

    async fn call_all(&self, event: Event, which: Which, budget: Duration, context: &Context) -> Vec<Outcome> {
        let deadline = Instant::now() + budget;
        let mut found = scan(&self.settings.folder, which);
        if event == Event::Thaw {
            found.reverse();
        }
        let mut outcomes = Vec::new();
        for Found { name, hook } in found {
            let outcome = match hook {
                Err(error) => Some(Outcome::at_once(name, error)),
                // Most guests have none: its place is made only here, not in every freeze and thaw.
                Ok(hook) => Box::pin(self.call(event, name, hook, deadline, context)).await,
            };
            let Some(outcome) = outcome else { continue };
            log(event, &outcome);
            let stop = context.stop_at_failure && outcome.failed();
            outcomes.push(outcome);
            if stop {
                break;
            }
        }
        outcomes
    }

    /// Calls one hook; `None` for a server that has nothing to do with this event.
    async fn call(
        &self,
        event: Event,
        name: String,
        hook: Hook,
        deadline: Instant,
        context: &Context,
    ) -> Option<Outcome> {
        let left = deadline.saturating_duration_since(Instant::now());
        match hook {
            Hook::Server(server) if server.address(event).is_none() => None,
            _ if left < LEAST => Some(Outcome::at_once(name, HookError::NoTime)),
            Hook::Server(server) => {
                let limit = server.timeout.unwrap_or(self.settings.each).min(left);
                Some(ask(event, name, &server, limit, context).await)
            }
            Hook::Program(path) => {
                let limit = self.settings.each.min(left);
                Some(match program(event, &path, limit, context) {
                    Some(program) => run(name, &program, limit, &self.workload, &self.tasks).await,
                    None => Outcome::at_once(name, HookError::NotRegular),
                })
            }
        }
    }
}

impl Server {
    fn address(&self, event: Event) -> Option<&super::server::Address> {
        match event {
            Event::Freeze => self.freeze.as_ref(),
            Event::Thaw => self.thaw.as_ref(),
        }
    }
}

impl Event {
    fn name(self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Thaw => "thaw",
        }
    }
}

/// Lays out the call of a program; `None` for a path with a NUL, which no file has.
fn program(event: Event, path: &Path, limit: Duration, context: &Context) -> Option<Program> {
    let mut environment = vec![
        PATH.to_owned(),
        format!("THAWD_GENERATION={}", context.generation),
        format!("THAWD_DEADLINE_MS={}", limit.as_millis()),
    ];
    if event == Event::Thaw {
        environment.push(format!("THAWD_PAUSED_MS={}", context.paused.as_millis()));
        environment.push(format!("THAWD_CLONE={}", u8::from(context.clone)));
    }
    Some(Program {
        path: CString::new(path.as_os_str().as_bytes()).ok()?,
        argument: CString::new(event.name()).ok()?,
        environment: environment.into_iter().map(CString::new).collect::<Result<_, _>>().ok()?,
    })
}

/// What a server is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    event: &'static str,
    generation: u64,
    paused_ms: u64,
    clone: bool,
    deadline_ms: u64,
}

async fn ask(event: Event, name: String, server: &Server, limit: Duration, context: &Context) -> Outcome {
    let began = Instant::now();
    let message = Message {
        event: event.name(),
        generation: context.generation,
        paused_ms: millis(context.paused),
        clone: context.clone,
        deadline_ms: millis(limit),
    };
    let mut output = Bytes::new();
    let answered = match (server.address(event), serde_json::to_vec(&message)) {
        (Some(address), Ok(body)) => timeout(limit, post(address, &body, &mut output)).await,
        // Neither happens: the caller has looked, and the message has nothing that JSON cannot say.
        _ => Ok(Ok(())),
    };
    let error = answered.unwrap_or(Err(HookError::Late(limit))).err();
    Outcome { name, took: began.elapsed(), exit_code: None, error, output }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn log(event: Event, outcome: &Outcome) {
    let (event, hook, took) = (event.name(), &outcome.name, outcome.took);
    let output = &outcome.output[outcome.output.len().saturating_sub(LOGGED)..];
    let output = String::from_utf8_lossy(output);
    match &outcome.error {
        None => tracing::debug!(event, hook, ?took, %output, "a hook did its work"),
        Some(error) if error.is_failure() => {
            tracing::warn!(event, hook, ?took, error = sentence(error), %output, "a hook failed");
        }
        Some(error) => tracing::debug!(event, hook, error = sentence(error), "a file is no hook"),
    }
}
