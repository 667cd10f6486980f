//! Messages to options and back.

use std::time::{Duration, Instant};

use tonic::Status;
use zeroize::Zeroizing;

use super::report::count;
use crate::base::Phase;
use crate::identity::Secret;
use crate::proto::thawd::v1 as pb;
use crate::snapshot::resume::{clock, identity, network};
use crate::snapshot::{DEADLINE, Freeze, HOOKS, LEASE, Plan, Thaw};
use crate::workload::Mode;

/// Longest time that a request can ask for: a day.
const LONGEST: Duration = Duration::from_secs(86_400);
/// Most random bytes that are of use.
const ENTROPY_MAX: usize = 4096;
const MIB: u64 = 1 << 20;
const KIB_PER_MIB: u64 = 1024;
/// Linux's limit of a host name, in bytes.
const HOSTNAME_MAX: usize = 64;

/// Reads a request to freeze; nothing in it can be wrong.
pub(super) fn freeze(request: &pb::FreezeRequest) -> Freeze {
    let reclaim = request.reclaim.unwrap_or_default();
    Freeze {
        disk: request.scope() == pb::Scope::Disk,
        mode: match request.workload() {
            pb::Workload::All => Mode::Hierarchy { max_cgroups: crate::workload::MAX_CGROUPS },
            pb::Workload::Started | pb::Workload::Unspecified => Mode::Legacy,
        },
        deadline: time(request.deadline_ms, DEADLINE),
        lease: time(request.lease_ms, LEASE),
        hooks: time(request.hooks_ms, HOOKS),
        abort_on_hook: request.abort_on_hook,
        abort_on_straggler: request.abort_on_straggler,
        presync: !request.skip_presync,
        trim: reclaim.trim,
        drop_caches: reclaim.drop_caches,
        memory_target: (reclaim.memory_target_mib > 0).then_some(u64::from(reclaim.memory_target_mib) * MIB),
    }
}

/// Reads a request to thaw.
///
/// # Errors
/// `invalid_argument` for an identity or a network that cannot be.
pub(super) fn thaw(request: pb::ThawRequest, arrived: Instant) -> Result<Thaw, Box<Status>> {
    let sockets = request.sockets();
    let host = u64::try_from(request.host_unix_ns).ok().filter(|&sent| sent > 0);
    let host = host.map(|sent| clock::Stamp {
        sent: Duration::from_nanos(sent),
        round_trip: Duration::from_nanos(request.round_trip_ns.into()),
        arrived,
    });
    if request.host_unix_ns < 0 {
        return Err(refuse("host_unix_ns", "lies before 1970"));
    }
    if request.entropy.len() > ENTROPY_MAX {
        return Err(refuse("entropy", "is longer than 4096 bytes"));
    }
    let given = request.identity.unwrap_or_default();
    let token = (!given.access_token.is_empty()).then(|| Secret::new(given.access_token.clone()));
    Ok(Thaw {
        generation: (request.generation > 0).then_some(request.generation),
        host,
        entropy: Zeroizing::new(request.entropy.to_vec()),
        require_entropy: request.require_entropy,
        identity: identity(given, request.clone)?,
        token,
        network: network(request.network.unwrap_or_default())?,
        end_sockets: sockets != pb::Sockets::Keep,
        hooks: time(request.hooks_ms, HOOKS),
    })
}

fn identity(given: pb::Identity, clone: bool) -> Result<identity::Wanted, Box<Status>> {
    let hostname = Some(given.hostname).filter(|name| !name.is_empty());
    let machine_id = Some(given.machine_id).filter(|id| !id.is_empty());
    if hostname.as_ref().is_some_and(|name| name.len() > HOSTNAME_MAX || !name.bytes().all(is_host_byte)) {
        return Err(refuse("identity.hostname", "is not a host name"));
    }
    let is_id = |id: &String| id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if machine_id.as_ref().is_some_and(|id| !is_id(id)) {
        return Err(refuse("identity.machine_id", "is not 32 lowercase hexadecimal digits"));
    }
    Ok(identity::Wanted { hostname, machine_id, clone })
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

fn network(given: pb::Network) -> Result<network::Wanted, Box<Status>> {
    let address = |text: String| text.parse().map_err(|_| refuse("network.dns", &format!("{text:?} is no address")));
    let dns = given.dns.into_iter().map(address).collect::<Result<_, _>>()?;
    let interfaces = given.interfaces.into_iter().map(interface).collect::<Result<_, _>>()?;
    Ok(network::Wanted { interfaces, dns })
}

fn interface(given: pb::Interface) -> Result<network::Interface, Box<Status>> {
    let wrong =
        |field: &str, text: &str| refuse(&format!("network.interfaces.{field}"), &format!("cannot be {text:?}"));
    if given.name.is_empty() {
        return Err(wrong("name", ""));
    }
    let addresses = given.addresses.iter().map(|text| text.parse().map_err(|_| wrong("addresses", text)));
    let gateway = Some(&given.gateway).filter(|text| !text.is_empty());
    Ok(network::Interface {
        addresses: addresses.collect::<Result<_, _>>()?,
        gateway: gateway.map(|text| text.parse().map_err(|_| wrong("gateway", text))).transpose()?,
        name: given.name,
    })
}

fn refuse(field: &str, why: &str) -> Box<Status> {
    Box::new(Status::invalid_argument(format!("{field} {why}")))
}

fn time(milliseconds: u32, default: Duration) -> Duration {
    match milliseconds {
        0 => default,
        given => Duration::from_millis(given.into()).min(LONGEST),
    }
}

/// Counts nanoseconds since the epoch, as far as a signed number goes (the year 2262).
pub(super) fn nanoseconds(since_epoch: Duration) -> i64 {
    i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
}

pub(super) fn phase(phase: Phase) -> pb::Phase {
    match phase {
        Phase::Running => pb::Phase::Running,
        Phase::Freezing => pb::Phase::Freezing,
        Phase::Frozen => pb::Phase::Frozen,
        Phase::Thawing => pb::Phase::Thawing,
    }
}

pub(super) fn plan(plan: &Plan) -> pb::PlanResponse {
    let memory = &plan.memory;
    let used = memory.total_kib.saturating_sub(memory.free_kib);
    let mib = |kib: u64| u32::try_from(kib / KIB_PER_MIB).unwrap_or(u32::MAX);
    pb::PlanResponse {
        dirty_kib: memory.dirty_kib,
        cache_kib: memory.cache_kib,
        anonymous_kib: memory.anonymous_kib,
        free_kib: memory.free_kib,
        uninterruptible: count(memory.uninterruptible),
        network_mounts: count(plan.network_mounts),
        estimated_freeze_ms: u32::try_from(plan.freeze.as_millis()).unwrap_or(u32::MAX),
        estimated_snapshot_mib: mib(used),
        estimated_snapshot_without_cache_mib: mib(used.saturating_sub(memory.cache_kib)),
        vetoes: plan.vetoes.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_request_means_the_defaults() {
        let options = freeze(&pb::FreezeRequest::default());
        assert!(!options.disk && options.presync && !options.abort_on_hook);
        assert_eq!((options.mode, options.deadline, options.lease), (Mode::Legacy, DEADLINE, LEASE));
        let options = thaw(pb::ThawRequest::default(), Instant::now()).unwrap();
        assert!(options.generation.is_none() && options.host.is_none() && options.end_sockets);
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_field() {
        let identity = |hostname: &str, machine_id: &str| pb::ThawRequest {
            identity: Some(pb::Identity {
                hostname: hostname.into(),
                machine_id: machine_id.into(),
                access_token: String::new(),
            }),
            ..pb::ThawRequest::default()
        };
        let network = |address: &str, gateway: &str, dns: &str| pb::ThawRequest {
            network: Some(pb::Network {
                interfaces: vec![pb::Interface {
                    name: "eth0".into(),
                    addresses: vec![address.into()],
                    gateway: gateway.into(),
                }],
                dns: vec![dns.into()],
            }),
            ..pb::ThawRequest::default()
        };
        for request in [
            identity("a b", ""),
            identity(&"a".repeat(65), ""),
            identity("", "0123"),
            network("10.0.0.2", "", "1.1.1.1"),
            network("10.0.0.2/33", "", "1.1.1.1"),
            network("10.0.0.2/24", "x", "1.1.1.1"),
            network("10.0.0.2/24", "", "x"),
            pb::ThawRequest { host_unix_ns: -1, ..pb::ThawRequest::default() },
        ] {
            let refused = thaw(request.clone(), Instant::now()).err();
            assert_eq!(refused.map(|status| status.code()), Some(tonic::Code::InvalidArgument), "{request:?}");
        }
        assert!(thaw(network("10.0.0.2/24", "10.0.0.1", "1.1.1.1"), Instant::now()).is_ok());
        assert!(thaw(identity("box-1.example", &"0a".repeat(16)), Instant::now()).is_ok());
    }
}
