//! Bounds and priorities: the cgroup tree, limits of resources, and what the agent itself is worth.

use std::fs;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::report::Report;

/// Where the tree is.
const ROOT: &str = "/sys/fs/cgroup";
/// The agent's own place in it.
const AGENT: &str = "/sys/fs/cgroup/agent";
/// Controllers that bounds and reports of programs need; all others stay off.
const CONTROLLERS: [&str; 5] = ["cpuset", "cpu", "io", "memory", "pids"];
/// What the agent gets when programs leave nothing: the values of envd's unit.
const AGENT_BOUNDS: [(&str, &str); 4] =
    [("memory.min", "52428800"), ("memory.low", "104857600"), ("cpu.weight", "1000"), ("io.weight", "default 10000")];
/// Above all programs (envd's unit: Nice).
const NICE: i32 = -20;
/// Never killed for memory (envd's unit: OOMScoreAdjust).
const OOM_SCORE: &str = "-1000";
/// Open files that a program may ask for; what it gets unasked stays 1,024, since more breaks users of `select`.
const OPEN_FILES: u64 = 524_288;

/// Switches controllers on for the cgroups at the top, and makes the agent's.
pub(super) fn prepare(report: Report) {
    let there = fs::read_to_string(Path::new(ROOT).join("cgroup.controllers")).unwrap_or_default();
    for name in CONTROLLERS.iter().filter(|name| there.split_whitespace().any(|found| found == **name)) {
        let switched = fs::write(Path::new(ROOT).join("cgroup.subtree_control"), format!("+{name}"));
        report.step(&format!("switch the {name} controller on"), switched);
    }
}

/// Lifts the limits that every program inherits.
pub(super) fn limits(report: Report) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if hard < OPEN_FILES {
        report.step("lift the limit of open files", setrlimit(Resource::RLIMIT_NOFILE, soft, OPEN_FILES));
    }
}

/// Puts this process before all others; its children inherit that, and programs are put back by who starts them.
pub(super) fn precedence(report: Report) {
    report.step("set the priority", crate::sys::priority::raise(NICE));
    report.step("be spared when memory ends", fs::write("/proc/self/oom_score_adj", OOM_SCORE));
}

/// Places the agent in a cgroup of its own, where it has what it needs whatever programs do.
pub(super) fn place(agent: u32, report: Report) {
    if let Err(error) = fs::create_dir(AGENT)
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return report.failed("make the agent's cgroup", &error);
    }
    for (file, value) in AGENT_BOUNDS {
        let path = Path::new(AGENT).join(file);
        if path.exists() {
            report.step(&format!("set {file} of the agent"), fs::write(path, value));
        }
    }
    report.step("place the agent", fs::write(Path::new(AGENT).join("cgroup.procs"), agent.to_string()));
}
