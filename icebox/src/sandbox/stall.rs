//! Guests that cannot write since the disk of the host is full.
//!
//! QEMU stops such a guest in the middle of its write (`werror=enospc`, the default of drives), and writes again when
//! it is let go on: nothing is lost if somebody does that once there is room.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::State;
use super::keeper::{Body, Command, Keeper};
use crate::qmp::Events;

/// Until the guest is let try again.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// QEMU's state of a guest that it stopped for this.
const STALLED: &str = "io-error";
/// Said of the sandbox.
const FULL: &str = "the disk of the host was full when it wrote to its own: it stands still until there is room";

/// Tells the keeper of each stop, until the VM is gone.
pub(super) async fn watch(mut events: Events, number: u64, keeper: mpsc::WeakSender<Command>) {
    while let Some(event) = events.next().await {
        let stops = event.data.get("action").and_then(Value::as_str) == Some("stop");
        if event.name != "BLOCK_IO_ERROR" || !stops {
            continue;
        }
        let Some(keeper) = keeper.upgrade() else { return };
        drop(keeper.send(Command::Stalled { number }).await);
        drop(keeper);
        sleep(TRY_AGAIN).await;
    }
}

impl Keeper {
    /// Lets a guest try again to write.
    pub(super) async fn unstall(&mut self, number: u64) {
        let Body::Running(running) = &self.body else { return };
        let stands = running.number == number && running.vm.status().await.is_ok_and(|status| status == STALLED);
        if !stands {
            return;
        }
        if let Err(error) = running.vm.cont().await {
            tracing::warn!(id = %self.record.id, %error, "a stalled guest was not let go on");
        }
        if self.record.trouble.as_deref() != Some(FULL) {
            tracing::warn!(id = %self.record.id, FULL);
            self.record.trouble = Some(FULL.into());
            self.show(State::Running);
        }
    }
}
