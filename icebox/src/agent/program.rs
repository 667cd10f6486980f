//! Programs in the guest, as `process.Process` starts them.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::connect::Stream;
use super::{Agent, AgentError};

/// The header that asks for output from a byte on; counts all channels together.
const OFFSET: &str = "thawd-output-offset";

/// What to start.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The file to execute; looked up in the guest's `PATH`.
    pub command: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// As whom; the agent's default when `None`.
    pub user: Option<String>,
    /// A name to find it by.
    pub tag: Option<String>,
}

impl Program {
    /// Names a program and its arguments.
    #[must_use]
    pub fn new(command: &str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self { command: command.into(), arguments, ..Self::default() }
    }

    /// A line for the guest's shell.
    #[must_use]
    pub fn shell(line: &str) -> Self {
        Self::new("/bin/sh", &["-c", line])
    }

    /// Gives it a name to be found by.
    #[must_use]
    pub fn tagged(self, tag: &str) -> Self {
        Self { tag: Some(tag.into()), ..self }
    }
}

/// What a program wrote, and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// Its exit code; -1 after a signal.
    pub exit_code: i64,
}

/// A program, as one stream tells of it. Dropping it leaves the program running.
#[derive(Debug)]
pub struct Running {
    /// Its process id in the guest.
    pub pid: u64,
    stream: Stream,
    output: Output,
}

impl Agent {
    /// Starts a program and waits until it runs.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn start(&self, program: &Program) -> Result<Running, AgentError> {
        let mut message = json!({"process": {"cmd": program.command, "args": program.arguments}, "stdin": false});
        if let (Some(message), Some(tag)) = (message.as_object_mut(), &program.tag) {
            message.insert("tag".into(), tag.as_str().into());
        }
        let user = program.user.as_deref().map(|user| base64_simd::STANDARD.encode_to_string(format!("{user}:")));
        let user = user.map(|user| format!("Basic {user}"));
        let headers: Vec<_> = user.iter().map(|user| ("authorization", user.as_str())).collect();
        Running::open(self.stream("process.Process/Start", &headers, &message).await?).await
    }

    /// Attaches to a program by its process id: to its output from the byte `offset` on, as far back as the agent has
    /// kept it, or from now on when `None` or when the agent keeps none.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn attach(&self, pid: u64, offset: Option<u64>) -> Result<Running, AgentError> {
        let message = json!({"process": {"pid": pid}});
        let offset = offset.map(|offset| (OFFSET, offset.to_string()));
        let headers: Vec<_> = offset.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Running::open(self.stream("process.Process/Connect", &headers, &message).await?).await
    }

    /// Lists running programs: the `ProcessInfo`s.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn list(&self) -> Result<Vec<Value>, AgentError> {
        let answer = self.call("process.Process/List", &json!({}), super::CALL_LIMIT).await?;
        Ok(answer.get("processes").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// Runs a program to its end.
    ///
    /// # Errors
    /// [`AgentError`]; [`AgentError::Late`] when it does not end within `limit`: it then goes on in the guest.
    pub async fn run(&self, program: &Program, limit: Duration) -> Result<Output, AgentError> {
        let whole = async { self.start(program).await?.end().await };
        let late = || AgentError::Late { what: format!("run {}", program.command), limit };
        timeout(limit, whole).await.unwrap_or_else(|_| Err(late()))
    }
}

impl Running {
    async fn open(mut stream: Stream) -> Result<Self, AgentError> {
        let what = "start a program";
        let message = stream.next().await?.ok_or_else(|| AgentError::strange(what, "an empty stream"))?;
        let pid = message.pointer("/event/start/pid").and_then(Value::as_u64);
        let pid = pid.ok_or_else(|| AgentError::strange(what, format!("no start: {message}")))?;
        Ok(Self { pid, stream, output: Output::default() })
    }

    /// Reads to the end; returns all that was written since this was opened.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn end(mut self) -> Result<Output, AgentError> {
        while self.step().await? {}
        Ok(self.output)
    }

    /// Reads the next piece of standard output; `None` once the program ended. Cancelling loses nothing.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn stdout(&mut self) -> Result<Option<Vec<u8>>, AgentError> {
        while self.output.stdout.is_empty() {
            if !self.step().await? {
                return Ok(None);
            }
        }
        Ok(Some(std::mem::take(&mut self.output.stdout)))
    }

    async fn step(&mut self) -> Result<bool, AgentError> {
        let Some(message) = self.stream.next().await? else { return Ok(false) };
        let bytes = |path: &str| {
            let text = message.pointer(path).and_then(Value::as_str).unwrap_or_default();
            base64_simd::STANDARD.decode_to_vec(text).unwrap_or_default()
        };
        self.output.stdout.extend(bytes("/event/data/stdout"));
        self.output.stderr.extend(bytes("/event/data/stderr"));
        if let Some(end) = message.pointer("/event/end") {
            self.output.exit_code = end.get("exitCode").and_then(Value::as_i64).unwrap_or_default();
        }
        Ok(true)
    }
}
