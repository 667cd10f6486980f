//! What stands still at the resume, compared with what should.

/// Counts cgroups just before a thaw; the meanings are envd's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Looked at.
    pub visited: usize,
    /// Standing still, by their own freeze or that of a cgroup above.
    pub frozen: usize,
    /// Running, and neither of the agent's chain nor on the list of services that go on.
    pub escaped: usize,
    /// Standing still though they are the agent's chain or on that list.
    pub violations: usize,
    /// The bound was reached: the counts are lower limits.
    pub truncated: bool,
}
