//! Watching for a sandbox that nobody uses.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::face::{Face, now_ms};
use super::keeper::Command;
use super::rules::milliseconds;
use crate::agent::{Agent, AgentError};

/// How long one question may take; then it is asked again.
const QUESTION: Duration = Duration::from_secs(600);
/// After an answer that is none.
const TRY_AGAIN: Duration = Duration::from_secs(10);
/// What the agent takes for a time, in milliseconds.
const SHORTEST: u64 = 100;
const LONGEST: u64 = 86_400_000;
/// Answers when nothing has happened in the guest for so long; `/metrics` and `/health` do not count.
const WAIT: &str = "thawd.v1.Activity/Wait";

/// A VM to watch.
pub(super) struct Watched {
    pub(super) agent: Agent,
    pub(super) after: Duration,
    pub(super) face: Arc<Face>,
    pub(super) number: u64,
}

impl Watched {
    /// Tells the keeper when the VM was idle for long enough, until the VM is gone.
    pub(super) async fn watch(self, keeper: mpsc::WeakSender<Command>, gone: CancellationToken) {
        let watching = async {
            loop {
                let asked = json!({"idleForMs": milliseconds(self.after).clamp(SHORTEST, LONGEST).to_string()});
                match self.agent.call(WAIT, &asked, QUESTION).await {
                    Ok(_) => {}
                    Err(error) if error.is_unknown() => {
                        tracing::warn!("the agent does not tell when it is idle: sandboxes are not paused for it");
                        return;
                    }
                    Err(AgentError::Late { .. }) => continue,
                    Err(error) => {
                        tracing::debug!(%error, "an agent was asked whether it is idle");
                        sleep(TRY_AGAIN).await;
                        continue;
                    }
                }
                // A client may have come through the proxy and be thinking.
                let quiet = Duration::from_millis(now_ms().saturating_sub(self.face.active_ms()));
                if quiet < self.after {
                    sleep(self.after.saturating_sub(quiet)).await;
                    continue;
                }
                let Some(keeper) = keeper.upgrade() else { return };
                drop(keeper.send(Command::Idle { number: self.number }).await);
                drop(keeper);
                // The VM is gone by then, or could not be paused.
                sleep(self.after.max(TRY_AGAIN)).await;
            }
        };
        gone.run_until_cancelled_owned(watching).await;
    }
}
