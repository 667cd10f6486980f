//! What stands still at the resume, compared with what should.

use std::path::Path;

use super::cgroup::{self, Walk};
use super::sweep::{Place, Plan};

/// Counts cgroups just before a thaw; the meanings are envd's, whose hosts read them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Looked at.
    pub visited: usize,
    /// Standing still, by their own freeze or that of a cgroup above, the guest's own freezes included.
    pub frozen: usize,
    /// Running programs that should not: made after the sweep, not reached or not obeyed by it, or let go by somebody.
    pub escaped: usize,
    /// Standing still though they are the agent's chain or services that a resume waits for: a fault of ours.
    pub violations: usize,
    /// The bound was reached: the counts are lower limits.
    pub truncated: bool,
}

/// Compares the tree with the plan of a sweep, changing nothing.
///
/// The settled state is read, not what a cgroup was told: below a frozen one all stand still and none was told.
pub(super) fn audit(root: &Path, plan: &Plan, bound: usize) -> Audit {
    let mut audit = Audit::default();
    let mut walk = Walk::new(root, bound);
    for cgroup in walk.by_ref() {
        audit.visited += 1;
        // One that has gone is no finding.
        let Ok(events) = cgroup::events_at(&cgroup) else { continue };
        match plan.place(&cgroup) {
            Place::Through | Place::Spared if events.frozen => audit.violations += 1,
            Place::Through | Place::Spared => {}
            Place::Fixed | Place::Target if events.frozen => audit.frozen += 1,
            // In an empty cgroup nothing ran.
            Place::Fixed | Place::Target => audit.escaped += usize::from(events.populated),
        }
    }
    audit.truncated = walk.truncated();
    audit
}
