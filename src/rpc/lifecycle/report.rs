//! Reports to messages.

use std::time::Duration;

use crate::base::sentence;
use crate::proto::thawd::v1 as pb;
use crate::snapshot::disk;
use crate::snapshot::hooks;
use crate::snapshot::{Report, Step};
use crate::workload::Straggler;

pub(super) fn message(report: &Report) -> pb::Report {
    pb::Report {
        steps: report.steps.iter().map(step).collect(),
        hooks: report.hooks.iter().map(hook).collect(),
        stragglers: report.stragglers.iter().map(straggler).collect(),
        filesystems: report.filesystems.iter().map(filesystem).collect(),
        degradations: report.degradations.clone(),
        total_us: micros(report.total),
        cgroups_frozen: count(report.cgroups_frozen),
        clock_step_ns: report.clock_step_ns,
        sockets_ended: count(report.sockets_ended),
        entropy: report.entropy.unwrap_or_default().to_owned(),
    }
}

fn step(step: &Step) -> pb::Step {
    pb::Step {
        name: step.name.to_owned(),
        start_us: micros(step.start),
        took_us: micros(step.took),
        error: step.error.clone().unwrap_or_default(),
    }
}

fn hook(hook: &hooks::Outcome) -> pb::Hook {
    pb::Hook {
        name: hook.name.clone(),
        took_us: micros(hook.took),
        exit_code: hook.exit_code.unwrap_or_default(),
        error: hook.error.as_ref().map(|error| sentence(error)).unwrap_or_default(),
    }
}

fn straggler(straggler: &Straggler) -> pb::Straggler {
    pb::Straggler {
        pid: straggler.pid,
        name: straggler.name.clone(),
        state: straggler.state.to_string(),
        waits_in: straggler.waits_in.clone(),
        cgroup: straggler.cgroup.clone(),
    }
}

fn filesystem(outcome: &disk::Outcome) -> pb::Filesystem {
    pb::Filesystem {
        mount: outcome.mount.path.display().to_string(),
        device: outcome.mount.device.to_string(),
        r#type: outcome.mount.kind.clone(),
        outcome: match &outcome.result {
            Ok(()) => String::from("frozen"),
            Err(refusal) => refusal.to_string(),
        },
        took_us: micros(outcome.took),
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
