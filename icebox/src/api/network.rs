//! What a client wants of the network, and what icebox can do of it.
//!
//! A sandbox has the whole network outside or none of it: rules for single addresses are refused, since a rule that is
//! dropped in silence is a hole.

use serde_json::Value;

use super::fields::Fields;
use super::refusal::Refusal;

/// Means every address.
const ALL: [&str; 2] = ["0.0.0.0/0", "::/0"];

/// What is left to wish for.
#[derive(Debug, PartialEq)]
pub(super) struct Network {
    /// May reach the network outside; the client did not say when `None`.
    pub(super) internet: Option<bool>,
    /// Ports are open to all.
    pub(super) public: bool,
    pub(super) mask: Option<String>,
    /// As it came.
    pub(super) told: Option<Value>,
}

impl Network {
    /// Reads the fields of a creation.
    pub(super) fn of_wish(fields: &Fields) -> Result<Self, Refusal> {
        let allowed = fields.truth("allow_internet_access")?;
        let object = fields.object("network")?;
        let told = fields.raw("network").cloned();
        let network = object.unwrap_or_default();
        network.lacks("httpsPorts")?;
        let internet = internet(&network, allowed)?;
        let public = network.truth("allowPublicTraffic")?.unwrap_or(true);
        let mask = network.text("maskRequestHost")?.map(str::to_owned);
        Ok(Self { internet, public, mask, told })
    }
}

/// Whether these rules leave the network outside; `allowed` is what is asked for beside them.
pub(super) fn internet(rules: &Fields, allowed: Option<bool>) -> Result<Option<bool>, Refusal> {
    for name in ["rules", "egressProxy", "dnsServers"] {
        rules.lacks(name)?;
    }
    let (allow, deny) = (rules.list("allowOut")?, rules.list("denyOut")?);
    let all = |list: &[&str]| list.iter().any(|address| ALL.contains(address));
    if all(&allow) {
        return Ok(Some(true));
    }
    let cut = all(&deny) || allowed == Some(false);
    if cut && !allow.is_empty() {
        return Err(rules.wrong("allowOut", "names single addresses; icebox lets a sandbox reach all of them or none"));
    }
    if !cut && !deny.is_empty() {
        return Err(rules.wrong("denyOut", "names single addresses; icebox keeps a sandbox from all of them or none"));
    }
    Ok(if cut { Some(false) } else { allowed })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> Result<Network, Refusal> {
        Network::of_wish(&Fields::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn a_sandbox_reaches_all_or_nothing_and_no_rule_is_dropped() {
        for (body, internet) in [
            ("{}", None),
            (r#"{"allow_internet_access":true}"#, Some(true)),
            (r#"{"allow_internet_access":false}"#, Some(false)),
            (r#"{"network":{}}"#, None),
            (r#"{"network":{"denyOut":[]}}"#, None),
            (r#"{"network":{"denyOut":["0.0.0.0/0"]}}"#, Some(false)),
            (r#"{"network":{"allowOut":["0.0.0.0/0"],"denyOut":["0.0.0.0/0"]}}"#, Some(true)),
            (r#"{"network":{"allowOut":["1.1.1.1"]}}"#, None),
            (r#"{"network":{"rules":{},"egressProxy":null,"httpsPorts":[]}}"#, None),
        ] {
            assert_eq!(of(body).unwrap().internet, internet, "{body}");
        }
        for (body, name) in [
            (r#"{"network":{"allowOut":["1.1.1.1"],"denyOut":["0.0.0.0/0"]}}"#, "network.allowOut"),
            (r#"{"allow_internet_access":false,"network":{"allowOut":["1.1.1.1"]}}"#, "network.allowOut"),
            (r#"{"network":{"denyOut":["1.1.1.1"]}}"#, "network.denyOut"),
            (r#"{"network":{"denyOut":"1.1.1.1"}}"#, "network.denyOut"),
            (r#"{"network":{"rules":{"a.b":[]}}}"#, "network.rules"),
            (r#"{"network":{"egressProxy":{"address":"x"}}}"#, "network.egressProxy"),
            (r#"{"network":{"httpsPorts":[443]}}"#, "network.httpsPorts"),
            (r#"{"network":{"allowPublicTraffic":"no"}}"#, "network.allowPublicTraffic"),
            (r#"{"network":[]}"#, "network"),
            (r#"{"allow_internet_access":"no"}"#, "allow_internet_access"),
        ] {
            let refusal = of(body).unwrap_err();
            assert!(refusal.status == 400 && refusal.message.starts_with(name), "{body}: {refusal:?}");
        }
    }

    #[test]
    fn ports_are_public_unless_told_otherwise() {
        assert!(of("{}").unwrap().public);
        let network = of(r#"{"network":{"allowPublicTraffic":false,"maskRequestHost":"localhost:${PORT}"}}"#).unwrap();
        assert!(!network.public);
        assert_eq!(network.mask.as_deref(), Some("localhost:${PORT}"));
        assert_eq!(network.told.unwrap()["allowPublicTraffic"], false);
    }
}
