//! Sandboxes as clients read them. Optional objects are absent and never `null`: Python clients look into them.

use serde_json::{Map, Value, json};

use super::filter::Told;
use super::time::written;
use crate::sandbox::{ListedSnapshot, Metric, OnTimeout, PauseMode, State, View};

/// Said to be the place of every sandbox; some clients need one.
const CLIENT: &str = "local";

/// The answer to a creation, `connect` and `resume`.
pub(super) fn sandbox(view: &View, domain: Option<&str>) -> Value {
    let mut shape = named(view);
    shape.insert("envdAccessToken".into(), json!(view.token));
    shape.insert("trafficAccessToken".into(), json!(view.traffic_token));
    shape.insert("domain".into(), json!(domain));
    shape.into()
}

/// An entry of a list.
pub(super) fn listed(view: &View) -> Value {
    described(view).into()
}

/// All about one.
pub(super) fn detail(view: &View, domain: Option<&str>) -> Value {
    let mut shape = described(view);
    shape.insert("envdAccessToken".into(), json!(view.token));
    shape.insert("domain".into(), json!(domain));
    shape.insert("allowInternetAccess".into(), json!(view.allow_internet));
    let on_timeout = match view.lifecycle.on_timeout {
        OnTimeout::Kill => "kill",
        OnTimeout::Pause(_) => "pause",
    };
    shape.insert("lifecycle".into(), json!({"onTimeout": on_timeout, "autoResume": view.lifecycle.auto_resume}));
    if let Some(network) = view.network.as_ref().filter(|network| network.is_object()) {
        shape.insert("network".into(), network.clone());
    }
    if let State::Paused(mode) = view.state {
        let mode = match mode {
            PauseMode::Full => "full",
            PauseMode::Filesystem => "filesystem",
        };
        shape.insert("pauseMode".into(), mode.into());
    }
    shape.into()
}

fn named(view: &View) -> Map<String, Value> {
    let mut shape = Map::new();
    shape.insert("templateID".into(), view.template.as_str().into());
    shape.insert("sandboxID".into(), view.id.as_str().into());
    shape.insert("clientID".into(), CLIENT.into());
    shape.insert("envdVersion".into(), view.envd_version.as_str().into());
    if let Some(alias) = &view.alias {
        shape.insert("alias".into(), alias.as_str().into());
    }
    shape
}

fn described(view: &View) -> Map<String, Value> {
    let mut shape = named(view);
    let state = Told::of(view.state).unwrap_or(Told::Running).name();
    for (name, value) in [
        ("state", json!(state)),
        ("startedAt", json!(written(view.started_ms))),
        ("endAt", json!(written(view.end_ms))),
        ("cpuCount", json!(view.cpus)),
        ("memoryMB", json!(view.memory_mib)),
        ("diskSizeMB", json!(view.disk_mib)),
        ("metadata", json!(view.metadata)),
        ("volumeMounts", json!([])),
    ] {
        shape.insert(name.into(), value);
    }
    shape
}

/// One measurement.
pub(super) fn metric(metric: &Metric) -> Value {
    json!({
        "timestamp": written(metric.unix_s.saturating_mul(1000)),
        "timestampUnix": metric.unix_s,
        "cpuCount": metric.cpu_count,
        "cpuUsedPct": metric.cpu_used_pct,
        "memUsed": metric.mem_used,
        "memTotal": metric.mem_total,
        "memCache": metric.mem_cache,
        "diskUsed": metric.disk_used,
        "diskTotal": metric.disk_total,
    })
}

/// A snapshot; clients ignore what is beyond the first two.
pub(super) fn snapshot(snapshot: &ListedSnapshot) -> Value {
    json!({
        "snapshotID": snapshot.id,
        "names": snapshot.names,
        "sandboxID": snapshot.of.as_str(),
        "createdAt": written(snapshot.created_ms),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::sandbox::{Lifecycle, SandboxId};

    fn view() -> View {
        View {
            id: SandboxId::parse("i0123456789abcdefghi").unwrap(),
            template: "base".into(),
            alias: None,
            state: State::Running,
            started_ms: 1_000,
            end_ms: 301_500,
            timeout_s: 300,
            metadata: BTreeMap::from([("k".into(), "v".into())]),
            lifecycle: Lifecycle { on_timeout: OnTimeout::Kill, auto_resume: false },
            token: None,
            traffic_token: None,
            allow_internet: None,
            network: None,
            mask_request_host: None,
            cpus: 1,
            memory_mib: 512,
            disk_mib: 2048,
            envd_version: "0.6.13".into(),
            active_ms: 2_000,
            last_pause: Vec::new(),
            last_resume: Vec::new(),
            snapshot_bytes: None,
            trouble: None,
        }
    }

    #[test]
    fn a_created_sandbox_has_the_fields_that_clients_need() {
        let expected = json!({
            "templateID": "base", "sandboxID": "i0123456789abcdefghi", "clientID": "local", "envdVersion": "0.6.13",
            "envdAccessToken": null, "trafficAccessToken": null, "domain": null,
        });
        assert_eq!(sandbox(&view(), None), expected);
        let guarded = View { token: Some("t".into()), alias: Some("a".into()), ..view() };
        let shape = sandbox(&guarded, Some("localhost:1"));
        assert_eq!((&shape["envdAccessToken"], &shape["alias"]), (&json!("t"), &json!("a")));
        assert_eq!(shape["domain"], "localhost:1");
    }

    #[test]
    fn optional_objects_are_absent_and_not_null() {
        for shape in [detail(&view(), None), detail(&View { network: Some(Value::Null), ..view() }, None)] {
            for name in ["network", "pauseMode", "alias"] {
                assert!(shape.get(name).is_none(), "{name}");
            }
            assert_eq!(shape["lifecycle"], json!({"onTimeout": "kill", "autoResume": false}));
            assert_eq!(
                (&shape["startedAt"], &shape["endAt"]),
                (&json!("1970-01-01T00:00:01.000Z"), &json!("1970-01-01T00:05:01.500Z"))
            );
        }
        let network = json!({"allowPublicTraffic": false});
        let full = View { network: Some(network.clone()), state: State::Paused(PauseMode::Filesystem), ..view() };
        let shape = detail(&full, None);
        assert_eq!(
            (&shape["network"], &shape["pauseMode"], &shape["state"]),
            (&network, &json!("filesystem"), &json!("paused"))
        );
    }

    #[test]
    fn a_list_tells_no_token() {
        let shape = listed(&View { token: Some("secret".into()), traffic_token: Some("secret".into()), ..view() });
        assert!(!shape.to_string().contains("secret"), "{shape}");
        for (state, told) in [(State::Pausing, "running"), (State::Resuming, "paused"), (State::Running, "running")] {
            assert_eq!(listed(&View { state, ..view() })["state"], told);
        }
    }

    #[test]
    fn a_measurement_has_both_times() {
        let shape = metric(&Metric {
            unix_s: 60,
            cpu_count: 2,
            cpu_used_pct: 12.5,
            mem_used: 1,
            mem_total: 2,
            mem_cache: 3,
            disk_used: 4,
            disk_total: 5,
        });
        assert_eq!((&shape["timestamp"], &shape["timestampUnix"]), (&json!("1970-01-01T00:01:00.000Z"), &json!(60)));
        assert_eq!(
            (&shape["cpuUsedPct"], &shape["memCache"], &shape["diskTotal"]),
            (&json!(12.5), &json!(3), &json!(5))
        );
    }
}
