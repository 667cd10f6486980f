//! What the proxy asks about sandboxes.

use crate::sandbox::{Reach, SandboxError, SandboxId, Sandboxes, View};

/// Knows sandboxes and the ways to them; tests have one without VMs.
pub(super) trait Directory: Clone + Send + Sync + 'static {
    /// Gives what is known of a sandbox.
    fn view(&self, id: &SandboxId) -> Option<View>;
    /// Gives all.
    fn views(&self) -> Vec<View>;
    /// Leads to a port, and wakes the sandbox where that is meant to be.
    fn reach(&self, id: &SandboxId, port: u16) -> impl Future<Output = Result<Reach, SandboxError>> + Send;
}

impl Directory for Sandboxes {
    fn view(&self, id: &SandboxId) -> Option<View> {
        Sandboxes::view(self, id)
    }

    fn views(&self) -> Vec<View> {
        Sandboxes::views(self)
    }

    fn reach(&self, id: &SandboxId, port: u16) -> impl Future<Output = Result<Reach, SandboxError>> + Send {
        Sandboxes::reach(self, id, port)
    }
}
