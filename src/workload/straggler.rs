//! Who keeps a cgroup from standing still.

/// Describes a thread that does not stand still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Straggler {
    /// Number of the thread.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// As in `/proc/PID/stat`: D or R.
    pub state: char,
    /// The kernel function in which it waits; empty when it runs or the kernel does not tell.
    pub waits_in: String,
    /// Its cgroup, relative to the root.
    pub cgroup: String,
}
