//! Facts to messages.

use std::time::Duration;

use tonic::Status;

use crate::activity::{Facts, Happening, Hold, Holder, Load, Port, Reason, State, Verdict};
use crate::proto::thawd::v1 as pb;

/// Reads what a client waits for.
///
/// # Errors
/// `invalid_argument` for active, which needs no waiting, and for numbers without a name.
pub(super) fn until(until: i32) -> Result<Verdict, Box<Status>> {
    match pb::Verdict::try_from(until) {
        Ok(pb::Verdict::Unspecified | pb::Verdict::Idle) => Ok(Verdict::Idle),
        Ok(pb::Verdict::Quiet) => Ok(Verdict::Quiet),
        _ => Err(Box::new(Status::invalid_argument("until must be VERDICT_QUIET or VERDICT_IDLE"))),
    }
}

/// Writes everything about one moment.
pub(super) fn state(state: State) -> pb::ActivityState {
    let State { generation, now, ran, paused, facts, ports, load, judgement } = state;
    let verdict = match judgement.verdict {
        Verdict::Active => pb::Verdict::Active,
        Verdict::Quiet => pb::Verdict::Quiet,
        Verdict::Idle => pb::Verdict::Idle,
    };
    pb::ActivityState {
        generation,
        now_unix_ns: i64::try_from(now.as_nanos()).unwrap_or(i64::MAX),
        running_ms: millis(ran),
        paused_total_ms: millis(paused),
        verdict: verdict.into(),
        idle_for_ms: millis(judgement.idle_for),
        why: judgement.why.into_iter().map(reason).collect(),
        last: Some(last(&facts)),
        open: Some(pb::OpenActivity {
            streams: count(facts.streams),
            ptys: count(facts.programs.ptys),
            foreground_commands: count(facts.programs.foreground),
            background_commands: count(facts.programs.background),
            uploads: count(facts.uploads),
        }),
        user_ports: ports.listening.iter().map(port).collect(),
        cpu: Some(cpu(&load)),
        outbound: Some(pb::Outbound {
            established: count(ports.outbound),
            last_data_ms: ports.last_outbound.map(millis),
        }),
        holds: facts.holds.into_iter().map(hold).collect(),
    }
}

fn reason(reason: Reason) -> pb::ActivityReason {
    pb::ActivityReason { signal: reason.signal.to_owned(), text: reason.text }
}

fn last(facts: &Facts) -> pb::LastActivity {
    let ago = |happening| facts.age(happening).map(millis);
    pb::LastActivity {
        rpc_ms_ago: ago(Happening::Rpc),
        stdin_ms_ago: ago(Happening::Stdin),
        output_ms_ago: ago(Happening::Output),
        background_output_ms_ago: ago(Happening::BackgroundOutput),
        file_write_ms_ago: ago(Happening::FileWrite),
        inbound_tcp_ms_ago: ago(Happening::Inbound),
        outbound_tcp_ms_ago: ago(Happening::Outbound),
        tty_key_ms_ago: ago(Happening::TtyKey),
        touch_ms_ago: ago(Happening::Touch),
        resume_ms_ago: Some(millis(facts.since)),
    }
}

fn port(port: &Port) -> pb::UserPort {
    pb::UserPort {
        port: port.port.into(),
        established: count(port.established),
        last_data_recv_ms: port.last_received.map(millis),
        bytes_rx: port.bytes_received,
    }
}

fn cpu(load: &Load) -> pb::Cpu {
    pb::Cpu { cores: load.cores, over_ms: millis(load.over), runnable: count(load.runnable), psi_some10: load.pressure }
}

fn hold(hold: Hold) -> pb::ActiveHold {
    let holder = match hold.holder {
        Holder::Client => "client".to_owned(),
        Holder::Program { pid: Some(pid), .. } => format!("program {pid}"),
        Holder::Program { pid: None, .. } => "program".to_owned(),
    };
    pb::ActiveHold { id: hold.id, reason: hold.reason, ttl_ms: millis(hold.left), holder }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
