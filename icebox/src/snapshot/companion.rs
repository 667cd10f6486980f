//! What the guest is told before it stops and after it goes on.

use serde_json::{Value, json};

use crate::agent::{Agent, AgentError, Thaw};

/// Speaks to the guest around a pause.
pub trait Companion: Sync {
    /// Before the CPUs stop. What it returns is kept in the snapshot. An error stops the pause.
    fn freeze(&self, agent: Agent) -> impl Future<Output = Result<Option<Value>, AgentError>> + Send;

    /// After a pause that failed before the CPUs stopped.
    fn cancel(&self, agent: Agent) -> impl Future<Output = Result<(), AgentError>> + Send;

    /// After a resume, when the CPUs run in another QEMU, and after a pause that failed later than that, when they run
    /// again in the same one. `frozen` is what [`Companion::freeze`] returned. What it returns goes into the report; an
    /// error fails the resume.
    fn thaw(
        &self,
        agent: Agent,
        frozen: Option<Value>,
    ) -> impl Future<Output = Result<Option<Value>, AgentError>> + Send;
}

/// Tells the guest nothing: programs, filesystems and connections are stopped in the middle of whatever they do, and
/// the guest's clock is late after the resume.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Companion for Silent {
    async fn freeze(&self, _: Agent) -> Result<Option<Value>, AgentError> {
        Ok(None)
    }

    async fn cancel(&self, _: Agent) -> Result<(), AgentError> {
        Ok(())
    }

    async fn thaw(&self, _: Agent, _: Option<Value>) -> Result<Option<Value>, AgentError> {
        Ok(None)
    }
}

/// Has the agent freeze and thaw its guest. An agent without these is told the time by `/init`, and so is a guest that
/// was not frozen.
#[derive(Clone, Debug, Default)]
pub struct Guided {
    /// The `FreezeRequest`; the agent's defaults when `None`.
    pub freeze: Option<Value>,
    /// What the thaw says.
    pub thaw: Thaw,
    /// The access token of the agent.
    pub token: Option<String>,
    /// What `/init` brings beside the time, after each resume; no `/init` after a thaw when `None`.
    pub init: Option<Value>,
}

impl Guided {
    fn to(&self, agent: Agent) -> Agent {
        agent.with_token_of(self.token.as_ref())
    }
}

impl Companion for Guided {
    async fn freeze(&self, agent: Agent) -> Result<Option<Value>, AgentError> {
        let request = self.freeze.clone().unwrap_or_else(|| json!({}));
        match self.to(agent).freeze(&request).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.is_unknown() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn cancel(&self, agent: Agent) -> Result<(), AgentError> {
        match self.to(agent).cancel().await {
            Err(error) if !error.is_unknown() => Err(error),
            _ => Ok(()),
        }
    }

    async fn thaw(&self, agent: Agent, frozen: Option<Value>) -> Result<Option<Value>, AgentError> {
        let agent = self.to(agent);
        let mut thawed = None;
        if let Some(frozen) = &frozen {
            let asked = self.thaw.generation.or_else(|| generation(frozen));
            thawed = Some(agent.thaw(&Thaw { generation: asked, ..self.thaw.clone() }).await?);
        }
        if thawed.is_none() || self.init.is_some() {
            let more = self.init.clone().unwrap_or_else(|| json!({}));
            agent.init(&more).await?;
            if thawed.is_none() {
                // The time of the first call is as old as that call took, and it is the first one that this guest
                // answers after its resume (150 ms were seen under emulation); the second takes some milliseconds.
                agent.init(&more).await?;
            }
        }
        Ok(thawed)
    }
}

/// The freeze that an answer names; protobuf writes 64-bit numbers as strings.
pub(crate) fn generation(frozen: &Value) -> Option<u64> {
    frozen.get("generation")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests;
