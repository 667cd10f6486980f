//! What a sandbox's agent is told around a pause.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::PauseMode;
use super::record::Record;
use crate::agent::{Agent, AgentError, Thaw};
use crate::snapshot::{Companion, generation};

/// How long a guest may take to say that it is well before it counts as hanging: 2 s were seen on a busy machine.
const HEALTH_LIMIT: Duration = Duration::from_secs(6);
/// How long the freeze may take in the guest, in milliseconds; the agent's own default.
const FREEZE_MS: u32 = 10_000;
/// How long the guest's clock may be set right by further calls while a client waits: `/init` brings the time once more.
const CLOCK_LIMIT: Duration = Duration::from_millis(300);
/// How long a guest that runs on may take to undo a freeze; it does so by itself when its lease ends.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);

/// Freezes and thaws the guest of one sandbox, and says `/init` after each start.
#[derive(Clone, Debug)]
pub(super) struct Care {
    /// What the agent answers to before.
    old: Option<String>,
    /// What it shall answer to, from the thaw on.
    token: Option<String>,
    /// What `/init` brings.
    init: Value,
    /// More for the thaw.
    more: Map<String, Value>,
    clone: bool,
    /// A guest that does not freeze stops the pause; else it is saved as it is.
    healthy: bool,
    /// Filesystems are frozen too, for a pause that keeps nothing else.
    disk: bool,
}

impl Care {
    /// For a sandbox that goes on as itself.
    pub(super) fn of(record: &Record) -> Self {
        let token = record.token.clone();
        let (old, more, init) = (token.clone(), Map::new(), record.init());
        Self { old, token, init, more, clone: false, healthy: false, disk: false }
    }

    /// For a copy of what answers to the token `old`: a name, a machine id, random numbers and a token of its own.
    pub(super) fn of_copy(record: &Record, old: Option<String>) -> Self {
        let mut identity = json!({"hostname": record.id.as_str()});
        if let (Some(identity), Some(token)) = (identity.as_object_mut(), &record.token) {
            identity.insert("accessToken".into(), token.as_str().into());
        }
        let more = Map::from_iter([("identity".into(), identity), ("requireEntropy".into(), true.into())]);
        Self { old, more, clone: true, ..Self::of(record) }
    }

    /// For a guest that has just booted from the disk of this sandbox, whose agent knows nothing.
    pub(super) fn of_boot(record: &Record) -> Self {
        let more = Map::from_iter([("identity".into(), json!({"hostname": record.id.as_str()}))]);
        Self { old: None, more, ..Self::of(record) }
    }

    /// For a guest that has just booted from a copy of another one's disk.
    pub(super) fn of_copied_disk(record: &Record) -> Self {
        Self { old: None, ..Self::of_copy(record, None) }
    }

    /// For a pause of this kind; `healthy` refuses a guest that does not freeze.
    pub(super) fn for_pause(self, healthy: bool, mode: PauseMode) -> Self {
        Self { healthy, disk: mode == PauseMode::Filesystem, ..self }
    }

    async fn is_well(agent: &Agent) -> bool {
        timeout(HEALTH_LIMIT, agent.well()).await.is_ok()
    }
}

impl Companion for Care {
    async fn freeze(&self, agent: Agent) -> Result<Option<Value>, AgentError> {
        let agent = agent.with_token_of(self.token.as_ref());
        let frozen = if Self::is_well(&agent).await {
            let scope = if self.disk { "SCOPE_DISK" } else { "SCOPE_MEMORY" };
            agent.freeze(&json!({"deadlineMs": FREEZE_MS, "scope": scope})).await
        } else {
            Err(AgentError::Late { what: "say that it is well".into(), limit: HEALTH_LIMIT })
        };
        match frozen {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.is_unknown() => Ok(None),
            Err(error) if self.healthy => Err(error),
            Err(error) => {
                tracing::warn!(%error, "a guest was not frozen: it is saved as it is");
                Ok(None)
            }
        }
    }

    async fn cancel(&self, agent: Agent) -> Result<(), AgentError> {
        let agent = agent.with_token_of(self.token.as_ref());
        match timeout(CANCEL_LIMIT, agent.cancel()).await {
            Ok(Err(error)) if !error.is_unknown() => Err(error),
            Ok(_) => Ok(()),
            Err(_) => Err(AgentError::Late { what: "undo a freeze".into(), limit: CANCEL_LIMIT }),
        }
    }

    async fn thaw(&self, agent: Agent, frozen: Option<Value>) -> Result<Option<Value>, AgentError> {
        let generation = frozen.as_ref().and_then(generation);
        let thaw = Thaw { generation, clone: self.clone, more: self.more.clone() };
        // Also one that was not frozen: it is repaired all the same.
        let thawed = match agent.clone().with_token_of(self.old.as_ref()).thaw_within(&thaw, CLOCK_LIMIT).await {
            Ok(thawed) => Some(thawed),
            Err(error) if error.is_unknown() && frozen.is_none() => None,
            Err(error) => return Err(error),
        };
        let agent = agent.with_token_of(self.token.as_ref());
        agent.init(&self.init).await?;
        if thawed.is_none() {
            // An agent that thaws by `/init` alone: the first time it is told is as old as its first answer took.
            agent.init(&self.init).await?;
        }
        Ok(thawed)
    }
}
