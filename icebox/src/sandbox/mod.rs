//! Keeps sandboxes: VMs with an id, a deadline and a life that goes over many QEMUs.
//!
//! [`Sandboxes`] is the whole of them, and the only door: the control-plane API, the proxy and the page ask it and know
//! nothing of VMs. Each sandbox has one keeper task, which does one thing after another; who asks twice waits for the
//! first answer. What must survive a crash of icebox is written to the store before it is answered.
//!
//! ```text
//! creating ──► running ◄──► pausing/resuming ◄──► paused ──► (killed: gone)
//! ```

mod care;
mod copies;
mod create;
mod error;
mod face;
mod ground;
mod id;
mod idle;
mod keeper;
mod metrics;
mod open;
mod pausing;
mod record;
mod recover;
mod rules;
mod sandboxes;
mod stall;
mod start;
mod time;
mod types;
mod waking;

pub use copies::{LONGEST_NAME, MOST_COPIES};
pub use error::SandboxError;
pub use id::SandboxId;
pub use sandboxes::Sandboxes;
pub use types::{
    Create, Fork, Lifecycle, ListedSnapshot, Metric, OnTimeout, PauseMode, Phase, Reach, Settings, State, View,
};
