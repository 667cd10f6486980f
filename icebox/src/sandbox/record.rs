//! What is written down about a sandbox.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Lifecycle, PauseMode, Phase, SandboxId, State, View};

/// A pause on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Name of its folder.
    pub(super) folder: String,
    pub(super) mode: PauseMode,
    /// When it was begun, in milliseconds since the epoch.
    pub(super) at_ms: u64,
    /// What it takes, in bytes; 0 while that is not known.
    pub(super) bytes: u64,
}

/// A sandbox, as the store keeps it. It is there from the first pause on; one that was never paused is gone with its VM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: SandboxId,
    pub(super) template: String,
    pub(super) alias: Option<String>,
    pub(super) started_ms: u64,
    pub(super) end_ms: u64,
    pub(super) timeout_s: u64,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) env_vars: BTreeMap<String, String>,
    pub(super) lifecycle: Lifecycle,
    pub(super) token: Option<String>,
    pub(super) traffic_token: Option<String>,
    pub(super) allow_internet: Option<bool>,
    pub(super) network: Option<Value>,
    pub(super) mask_request_host: Option<String>,
    pub(super) cpus: u32,
    pub(super) memory_mib: u32,
    pub(super) disk_mib: u64,
    pub(super) envd_version: String,
    pub(super) active_ms: u64,
    pub(super) last_pause: Vec<Phase>,
    pub(super) last_resume: Vec<Phase>,
    /// The last pause that is whole.
    pub(super) kept: Option<Kept>,
    /// The pause in progress. It counts as soon as its folder is there: that is the moment when a pause is done, and
    /// nothing needs to be written after it.
    pub(super) pausing: Option<Kept>,
    /// A VM ran when this was written.
    pub(super) runs: bool,
    /// The host paused it on its way down, with so much time left, in milliseconds.
    pub(super) left_ms: Option<u64>,
    pub(super) trouble: Option<String>,
}

impl Record {
    /// Shows what all may see.
    pub(super) fn view(&self, state: State) -> View {
        let asleep = matches!(state, State::Paused(_));
        View {
            id: self.id.clone(),
            template: self.template.clone(),
            alias: self.alias.clone(),
            state,
            started_ms: self.started_ms,
            end_ms: self.end_ms,
            timeout_s: self.timeout_s,
            metadata: self.metadata.clone(),
            lifecycle: self.lifecycle,
            token: self.token.clone(),
            traffic_token: self.traffic_token.clone(),
            allow_internet: self.allow_internet,
            network: self.network.clone(),
            mask_request_host: self.mask_request_host.clone(),
            cpus: self.cpus,
            memory_mib: self.memory_mib,
            disk_mib: self.disk_mib,
            envd_version: self.envd_version.clone(),
            active_ms: self.active_ms,
            last_pause: self.last_pause.clone(),
            last_resume: self.last_resume.clone(),
            snapshot_bytes: self.kept.as_ref().filter(|_| asleep).map(|kept| kept.bytes),
            trouble: self.trouble.clone(),
        }
    }

    /// What `/init` brings to its agent beside the time.
    pub(super) fn init(&self) -> Value {
        let mut init = json!({"envVars": self.env_vars, "defaultUser": DEFAULT_USER});
        if let (Some(init), Some(token)) = (init.as_object_mut(), &self.token) {
            init.insert("accessToken".into(), token.as_str().into());
        }
        init
    }
}

/// The account of programs whose client names none; every image has it (`rootfs/pack`).
const DEFAULT_USER: &str = "user";

#[cfg(test)]
pub(super) mod tests {
    use super::super::OnTimeout;
    use super::*;

    /// A record for tests.
    pub(in super::super) fn record(id: &str, kept: Option<&str>, pausing: Option<&str>) -> Record {
        let mode = PauseMode::Full;
        let kept_in = |folder: &str| Kept { folder: folder.into(), mode, at_ms: 5, bytes: 7 };
        Record {
            id: SandboxId::parse(id).unwrap(),
            template: "base".into(),
            alias: Some("base".into()),
            started_ms: 1,
            end_ms: 2,
            timeout_s: 3,
            metadata: BTreeMap::from([("a".into(), "b".into())]),
            env_vars: BTreeMap::from([("A".into(), "1".into())]),
            lifecycle: Lifecycle { on_timeout: OnTimeout::Pause(mode), auto_resume: true },
            token: Some("secret".into()),
            traffic_token: None,
            allow_internet: Some(false),
            network: Some(json!({"allowOut": []})),
            mask_request_host: None,
            cpus: 1,
            memory_mib: 256,
            disk_mib: 512,
            envd_version: "0.6.13".into(),
            active_ms: 4,
            last_pause: vec![Phase { name: "save".into(), took_us: 9 }],
            last_resume: Vec::new(),
            kept: kept.map(kept_in),
            pausing: pausing.map(kept_in),
            runs: false,
            left_ms: None,
            trouble: None,
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let it = record("ione", Some("ione-1"), Some("ione-2"));
        let text = serde_json::to_vec(&it).unwrap();
        assert_eq!(serde_json::from_slice::<Record>(&text).unwrap(), it);
    }

    #[test]
    fn an_agent_is_told_its_token_variables_and_user() {
        let it = record("ione", None, None);
        let init = json!({"accessToken": "secret", "defaultUser": "user", "envVars": {"A": "1"}});
        assert_eq!(it.init(), init);
        let open = Record { token: None, ..it };
        assert!(open.init().get("accessToken").is_none(), "null would be no token");
    }

    #[test]
    fn only_what_is_paused_takes_room() {
        let it = record("ione", Some("ione-1"), None);
        assert_eq!(it.view(State::Paused(PauseMode::Full)).snapshot_bytes, Some(7));
        assert_eq!(it.view(State::Running).snapshot_bytes, None);
    }
}
