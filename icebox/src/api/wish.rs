//! The body of a creation.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fields::Fields;
use super::network::Network;
use super::refusal::Refusal;
use crate::sandbox::{Create, Lifecycle, OnTimeout, PauseMode};

/// Which creation: they differ in what holds when nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// `POST /sandboxes`: old SDKs, Novita, command lines.
    One,
    /// `POST /v2/sandboxes`: always guarded by a token.
    Two,
}

/// A key in metadata that means more than itself.
const AUTO_RESUME: &str = "auto_resume";

/// Reads what is wished for.
pub(super) fn read(fields: &Fields, version: Version) -> Result<Create, Refusal> {
    // Accepting these without having them would hand out another sandbox than the client asked for.
    for name in ["volumeMounts", "secrets", "iam"] {
        fields.lacks(name)?;
    }
    let template = fields.needed("templateID", fields.text("templateID")?)?;
    if template.is_empty() {
        return Err(fields.wrong("templateID", "is empty"));
    }
    let (secure, timeout) = (fields.truth("secure")?, fields.seconds("timeout")?);
    let (secure, default) = match version {
        Version::One => (secure.unwrap_or(false), Duration::from_secs(15)),
        Version::Two => (true, Duration::from_secs(300)),
    };
    let network = Network::of_wish(fields)?;
    let metadata = fields.texts("metadata")?;
    Ok(Create {
        template: template.into(),
        timeout: timeout.unwrap_or(default),
        env_vars: variables(fields)?,
        lifecycle: lifecycle(fields, &metadata)?,
        metadata,
        secure,
        allow_internet: network.internet,
        allow_public_traffic: network.public,
        network: network.told,
        mask_request_host: network.mask,
    })
}

fn variables(fields: &Fields) -> Result<BTreeMap<String, String>, Refusal> {
    let variables = fields.texts("envVars")?;
    let is_bad =
        |(name, value): (&String, &String)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0');
    if variables.iter().any(is_bad) {
        return Err(fields.wrong("envVars", "has a name that is empty or has a =, or a NUL"));
    }
    Ok(variables)
}

fn lifecycle(fields: &Fields, metadata: &BTreeMap<String, String>) -> Result<Lifecycle, Refusal> {
    let on_timeout = on_timeout(fields)?.unwrap_or(OnTimeout::Kill);
    let resume = fields.object("autoResume")?.unwrap_or_default();
    let auto_resume = resume.truth("enabled")?.unwrap_or(false);
    if auto_resume && on_timeout == OnTimeout::Kill {
        let how = "is true, but the sandbox is killed at its timeout (autoPause): nothing is left to be resumed";
        return Err(resume.wrong("enabled", how));
    }
    // The older way to say it, which Novita's documentation has; it also holds for pauses that a client asks for.
    let auto_resume = auto_resume || metadata.get(AUTO_RESUME).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    Ok(Lifecycle { on_timeout, auto_resume })
}

/// Reads what happens at the deadline; `None` when nothing is said.
pub(super) fn on_timeout(fields: &Fields) -> Result<Option<OnTimeout>, Refusal> {
    let mode = match fields.truth("autoPauseMemory")? {
        Some(false) => PauseMode::Filesystem,
        Some(true) | None => PauseMode::Full,
    };
    let pause = fields.truth("autoPause")?;
    Ok(pause.map(|pause| if pause { OnTimeout::Pause(mode) } else { OnTimeout::Kill }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str, version: Version) -> Result<Create, Refusal> {
        read(&Fields::parse(body.as_bytes()).unwrap(), version)
    }

    #[test]
    fn what_is_not_said_is_as_the_version_has_it() {
        let one = of(r#"{"templateID":"base"}"#, Version::One).unwrap();
        let two = of(r#"{"templateID":"base","secure":false}"#, Version::Two).unwrap();
        assert_eq!((one.timeout.as_secs(), one.secure), (15, false));
        assert_eq!((two.timeout.as_secs(), two.secure), (300, true));
        assert!(of(r#"{"templateID":"base","secure":true}"#, Version::One).unwrap().secure);
        let kill = Lifecycle { on_timeout: OnTimeout::Kill, auto_resume: false };
        assert_eq!((one.lifecycle, one.allow_internet, one.allow_public_traffic), (kill, None, true));
    }

    #[test]
    fn everything_that_is_said_is_kept() {
        let body = r#"{"templateID":"base","timeout":60,"metadata":{"k":"v"},"envVars":{"A":"1=2"},"autoPause":true,
            "autoPauseMemory":true,"autoResume":{"enabled":true},"secure":true,"allow_internet_access":true,
            "network":{"allowPublicTraffic":false},"mcp":{},"volumeMounts":[],"nodeID":"n","future":[{}]}"#;
        let wish = of(body, Version::One).unwrap();
        assert_eq!(wish.timeout.as_secs(), 60);
        assert_eq!((wish.metadata["k"].as_str(), wish.env_vars["A"].as_str()), ("v", "1=2"));
        assert_eq!(wish.lifecycle, Lifecycle { on_timeout: OnTimeout::Pause(PauseMode::Full), auto_resume: true });
        assert_eq!((wish.allow_internet, wish.allow_public_traffic), (Some(true), false));
    }

    #[test]
    fn metadata_may_say_that_requests_resume() {
        for (value, expected) in [("true", true), ("True", true), ("false", false), ("1", false)] {
            let body = format!(r#"{{"templateID":"base","metadata":{{"auto_resume":"{value}"}}}}"#);
            assert_eq!(of(&body, Version::One).unwrap().lifecycle.auto_resume, expected, "{value}");
        }
    }

    #[test]
    fn what_happens_at_the_deadline_is_told_in_three_fields() {
        let pause = |mode| Some(OnTimeout::Pause(mode));
        for (body, expected) in [
            ("{}", None),
            (r#"{"autoPause":false}"#, Some(OnTimeout::Kill)),
            (r#"{"autoPause":null}"#, None),
            (r#"{"autoPause":true}"#, pause(PauseMode::Full)),
            (r#"{"autoPause":true,"autoPauseMemory":true}"#, pause(PauseMode::Full)),
            (r#"{"autoPause":true,"autoPauseMemory":false}"#, pause(PauseMode::Filesystem)),
            (r#"{"autoPauseMemory":false}"#, None),
        ] {
            assert_eq!(on_timeout(&Fields::parse(body.as_bytes()).unwrap()).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn a_wish_that_makes_no_sense_is_refused_with_the_field_that_is_wrong() {
        for (fields, message) in [
            (r#""x":1"#, "templateID is missing"),
            (r#""templateID":"""#, "templateID is empty"),
            (r#""templateID":7"#, "templateID is not a string"),
            (r#""templateID":"base","timeout":"60""#, "timeout is not a whole number"),
            (r#""templateID":"base","timeout":1.5"#, "timeout is not a whole number"),
            (r#""templateID":"base","timeout":-1"#, "timeout is not a whole number"),
            (r#""templateID":"base","timeout":1e9"#, "timeout is not a whole number"),
            (r#""templateID":"base","timeout":99999999999"#, "timeout is more than 31536000 seconds"),
            (r#""templateID":"base","metadata":{"a":{"b":1}}"#, "metadata.a is not a string"),
            (r#""templateID":"base","metadata":[]"#, "metadata is not an object"),
            (r#""templateID":"base","envVars":{"a":1}"#, "envVars.a is not a string"),
            (r#""templateID":"base","envVars":{"":"1"}"#, "envVars has a name"),
            (r#""templateID":"base","envVars":{"a=b":"1"}"#, "envVars has a name"),
            (r#""templateID":"base","envVars":{"a":"\u0000"}"#, "envVars has a name"),
            (r#""templateID":"base","autoPause":"yes""#, "autoPause is not true or false"),
            (r#""templateID":"base","autoResume":true"#, "autoResume is not an object"),
            (r#""templateID":"base","autoResume":{"enabled":1}"#, "autoResume.enabled is not true"),
            (r#""templateID":"base","autoResume":{"enabled":true}"#, "autoResume.enabled is true, but"),
            (
                r#""templateID":"base","autoPause":false,"autoResume":{"enabled":true}"#,
                "autoResume.enabled is true, but",
            ),
            (r#""templateID":"base","secure":"x""#, "secure is not true or false"),
            (r#""templateID":"base","volumeMounts":[{"name":"v","path":"/v"}]"#, "volumeMounts is something"),
            (r#""templateID":"base","secrets":{"A":"b"}"#, "secrets is something"),
        ] {
            for version in [Version::One, Version::Two] {
                let refusal = of(&format!("{{{fields}}}"), version).unwrap_err();
                assert!(refusal.status == 400 && refusal.message.starts_with(message), "{fields}: {refusal:?}");
            }
        }
    }
}
