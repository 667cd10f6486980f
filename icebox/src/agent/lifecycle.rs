//! Freeze and thaw, as messages of `thawd.v1.Lifecycle` (`proto/thawd/v1/lifecycle.proto`).

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::{Agent, AgentError, unix_time};
use crate::folder::random;

/// How much longer we wait than the deadline that the agent was given: its answer has to get here.
const GRACE: Duration = Duration::from_secs(10);
/// What the agent takes for a freeze that names no deadline.
const FREEZE_LIMIT: Duration = Duration::from_secs(10);
/// How long a thaw may take: it has hooks of 5 s, and an emulated CPU on a busy machine.
const THAW_LIMIT: Duration = Duration::from_secs(30);
/// Times that a clock is corrected: on a busy machine one question in some takes long.
const CORRECTIONS: usize = 8;
/// How long all corrections may take; as long as they last.
const CORRECTION_LIMIT: Duration = Duration::from_secs(3_600);
/// A question that took no longer says what time it is to half of that.
const SURE_WITHIN: Duration = Duration::from_millis(40);
/// A clock that is off by less is right.
const CLOSE: Duration = Duration::from_millis(5);
/// Fresh random bytes for a thaw.
const ENTROPY: usize = 64;

/// What a thaw says beside time and random bytes.
#[derive(Clone, Debug, Default)]
pub struct Thaw {
    /// Refuses to thaw another freeze than this one.
    pub generation: Option<u64>,
    /// The guest is one of several copies.
    pub clone: bool,
    /// Any other field of `ThawRequest`, by its JSON name.
    pub more: Map<String, Value>,
}

impl Agent {
    /// Stops the workload; `request` is a `FreezeRequest`. Returns the `FreezeResponse`.
    ///
    /// # Errors
    /// [`AgentError`]; [`AgentError::is_unknown`] when the agent has no such service. Giving up cancels the freeze.
    pub async fn freeze(&self, request: &Value) -> Result<Value, AgentError> {
        let asked = request.get("deadlineMs").and_then(Value::as_u64).filter(|limit| *limit > 0);
        let limit = asked.map_or(FREEZE_LIMIT, Duration::from_millis);
        self.call("thawd.v1.Lifecycle/Freeze", request, limit + GRACE).await
    }

    /// Repairs the guest and lets the workload go: brings our time, half of the round trip and fresh random bytes.
    /// Returns the `ThawResponse`.
    ///
    /// # Errors
    /// As [`Agent::freeze`].
    pub async fn thaw(&self, thaw: &Thaw) -> Result<Value, AgentError> {
        self.thaw_within(thaw, CORRECTION_LIMIT).await
    }

    /// Thaws as [`Agent::thaw`] does, and begins no correction of the clock once `corrections` are over: on a busy
    /// machine none is sure, and each costs some calls.
    ///
    /// # Errors
    /// As [`Agent::freeze`].
    pub async fn thaw_within(&self, thaw: &Thaw, corrections: Duration) -> Result<Value, AgentError> {
        let round_trip = self.round_trip().await?;
        let mut entropy = [0; ENTROPY];
        random(&mut entropy).map_err(|error| AgentError::strange("thaw", format!("no random bytes: {error}")))?;
        let mut request = json!({
            "roundTripNs": u32::try_from(round_trip.as_nanos()).unwrap_or(u32::MAX),
            "entropy": base64_simd::STANDARD.encode_to_string(entropy),
        });
        if let Some(fields) = request.as_object_mut() {
            fields.extend(thaw.more.clone());
            fields.extend(thaw.generation.map(|generation| ("generation".into(), generation.to_string().into())));
            fields.extend(thaw.clone.then(|| ("clone".into(), true.into())));
            // Last, so that it is as young as can be. 64-bit numbers are strings in JSON of protobuf.
            fields.insert("hostUnixNs".into(), unix_time().as_nanos().to_string().into());
        }
        let sent = unix_time();
        let answer = self.call("thawd.v1.Lifecycle/Thaw", &request, THAW_LIMIT).await?;
        // From now on the guest answers to the token that it was just given.
        let token = thaw.more.get("identity").and_then(|identity| identity.get("accessToken")).and_then(Value::as_str);
        let agent = token.map_or_else(|| self.clone(), |token| self.clone().with_token(token));
        agent.correct_clock(&answer, sent, Instant::now() + corrections).await?;
        Ok(answer)
    }

    /// Sends our time once more while the guest's clock may be wrong: what took long came late.
    async fn correct_clock(&self, thawed: &Value, mut sent: Duration, until: Instant) -> Result<(), AgentError> {
        let mut answer = thawed.clone();
        for _ in 0..CORRECTIONS {
            let came = unix_time();
            let told = answer.get("guestUnixNs").and_then(Value::as_str).and_then(|text| text.parse().ok());
            // An agent that does not tell its time cannot be corrected.
            let Some(guest) = told.map(Duration::from_nanos) else { return Ok(()) };
            let took = came.saturating_sub(sent);
            let off = guest.abs_diff(sent + took / 2);
            if took <= SURE_WITHIN && off <= took / 2 + CLOSE {
                return Ok(());
            }
            if Instant::now() >= until {
                return Ok(());
            }
            let round_trip = u32::try_from(self.round_trip().await?.as_nanos()).unwrap_or(u32::MAX);
            sent = unix_time();
            let request = json!({"roundTripNs": round_trip, "hostUnixNs": sent.as_nanos().to_string()});
            answer = self.call("thawd.v1.Lifecycle/Thaw", &request, THAW_LIMIT).await?;
        }
        Ok(())
    }

    /// Undoes a freeze.
    ///
    /// # Errors
    /// As [`Agent::freeze`].
    pub async fn cancel(&self) -> Result<Value, AgentError> {
        self.call("thawd.v1.Lifecycle/Cancel", &json!({}), THAW_LIMIT).await
    }

    /// Asks where the guest is; the `StatusResponse`.
    ///
    /// # Errors
    /// As [`Agent::freeze`].
    pub async fn status(&self) -> Result<Value, AgentError> {
        self.call("thawd.v1.Lifecycle/Status", &json!({}), super::CALL_LIMIT).await
    }

    /// Measures one small question and its answer, the second of two: the first one after a resume meets cold pages.
    async fn round_trip(&self) -> Result<Duration, AgentError> {
        self.status().await?;
        let from = Instant::now();
        self.status().await?;
        Ok(from.elapsed())
    }
}
