//! Which cgroups a hierarchy freeze stops.
//!
//! A freeze stops everything below, so the agent's own chain cannot be frozen, and neither can a cgroup above one
//! that must go on. Those are walked *through*: each of their children is judged by itself.

use std::fs;
use std::path::{Path, PathBuf};

/// What is frozen in both modes, by its parent: the leaves below stand still with it.
pub(super) const FIXED: [&str; 2] = ["user", "ptys"];

/// Services that a resume waits for, relative to the root; envd's list, and our hooks.
///
/// Without init nothing can be restarted or started by socket; without journald loggers block; an NFS mount asks the
/// port mapper and rpc.statd, and hangs for 25 s where they do not answer. `socats` forwards ports.
const SPARED: [&str; 7] = [
    "init.scope",
    "lifecycle",
    "socats",
    "system.slice/systemd-journald.service",
    "system.slice/rpcbind.service",
    "system.slice/rpcbind.socket",
    "system.slice/rpc-statd.service",
];

/// Says what a hierarchy freeze does with a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is walked through: the agent, or something that goes on, is in it or below.
    Through,
    /// It is one of [`FIXED`], and handled before the walk.
    Fixed,
    /// It goes on, with all below.
    Spared,
    /// It is stopped, with all below.
    Target,
}

/// Judges cgroups by their place in the tree.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    root: PathBuf,
    through: Vec<PathBuf>,
}

impl Plan {
    /// Plans for an agent that runs in `own`, relative to the root.
    pub(super) fn new(root: &Path, own: &Path) -> Self {
        let above = SPARED.iter().filter_map(|spared| Path::new(spared).parent());
        let mut through = Vec::new();
        for deepest in std::iter::once(own).chain(above) {
            // From the root down, so that a walk sees parents first.
            let chain: Vec<_> = deepest.ancestors().collect();
            for relative in chain.into_iter().rev() {
                let path = root.join(relative);
                if !through.contains(&path) {
                    through.push(path);
                }
            }
        }
        Self { root: root.to_owned(), through }
    }

    /// Lists the cgroups whose children are judged, parents first.
    pub(super) fn through(&self) -> &[PathBuf] {
        &self.through
    }

    /// Judges a cgroup; one below a spared or fixed one counts as that.
    pub(super) fn place(&self, cgroup: &Path) -> Place {
        let relative = cgroup.strip_prefix(&self.root).unwrap_or(cgroup);
        if self.through.iter().any(|through| through == cgroup) {
            Place::Through
        } else if FIXED.iter().any(|fixed| relative.starts_with(fixed)) {
            Place::Fixed
        } else if SPARED.iter().any(|spared| relative.starts_with(spared)) {
            Place::Spared
        } else {
            Place::Target
        }
    }
}

/// Finds the agent's own cgroup relative to `root`; `None` when it is not below it.
///
/// `/proc/self/cgroup` counts from the root of our cgroup namespace, which need not be `root`; so the kernel is asked
/// whether we are really in there.
pub(super) fn own(root: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mut rest = Path::new(path).components();
    loop {
        let relative = rest.as_path();
        if holds_us(&root.join(relative)) {
            return Some(relative.to_owned());
        }
        rest.next()?;
    }
}

fn holds_us(cgroup: &Path) -> bool {
    let us = std::process::id().to_string();
    fs::read_to_string(cgroup.join("cgroup.procs")).is_ok_and(|procs| procs.lines().any(|pid| pid == us))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(own: &str, cgroup: &str) -> Place {
        Plan::new(Path::new("/root/"), Path::new(own)).place(&Path::new("/root").join(cgroup))
    }

    #[test]
    fn the_own_chain_and_what_is_above_a_spared_service_are_walked_through() {
        for cgroup in ["", "system.slice", "agents.slice", "agents.slice/thawd.service"] {
            assert_eq!(place("agents.slice/thawd.service", cgroup), Place::Through, "{cgroup}");
        }
        assert_eq!(place("", "system.slice"), Place::Through);
    }

    #[test]
    fn spared_and_fixed_cgroups_are_known_with_all_below() {
        assert_eq!(place("", "init.scope"), Place::Spared);
        assert_eq!(place("", "system.slice/systemd-journald.service/below"), Place::Spared);
        assert_eq!(place("", "lifecycle/hook"), Place::Spared);
        assert_eq!(place("", "ptys/thawd-1-0"), Place::Fixed);
    }

    #[test]
    fn everything_else_is_stopped() {
        for cgroup in ["user.slice", "system.slice/cron.service", "agent/child", "init.scope2", "users"] {
            assert_eq!(place("agent", cgroup), Place::Target, "{cgroup}");
        }
    }

    #[test]
    fn parents_are_walked_before_their_children() {
        let plan = Plan::new(Path::new("/r"), Path::new("a/b"));
        let wanted = ["/r", "/r/a", "/r/a/b", "/r/system.slice"].map(PathBuf::from);
        assert_eq!(plan.through(), wanted);
    }
}
