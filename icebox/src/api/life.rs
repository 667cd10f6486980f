//! Calls that change the life of a sandbox.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::fields::Fields;
use super::network::internet;
use super::refusal::Refusal;
use super::routes::{Api, Named};
use super::wish::{self, Version};
use super::{repeat, shape};
use crate::sandbox::{PauseMode, SandboxError, View};

/// The time of a sandbox that is connected to, when the client does not say.
pub(super) const TIMEOUT: Duration = Duration::from_secs(300);
/// The time that a refresh gives when it does not say.
const REFRESH: Duration = Duration::from_secs(15);

type Answer = Result<(StatusCode, Json<Value>), Refusal>;

impl Api {
    /// Writes a sandbox for the client that gets it.
    pub(super) fn told(&self, view: &View) -> Value {
        shape::sandbox(view, self.door.domain.as_deref())
    }

    async fn make(&self, headers: &HeaderMap, fields: &Fields, version: Version) -> Answer {
        let wish = wish::read(fields, version)?;
        let sandboxes = self.sandboxes.clone();
        let make = async move { sandboxes.create(wish).await.map_err(Refusal::from) };
        let view = match repeat::key(headers)? {
            Some(key) => self.repeats.once(key, fields, make).await?,
            None => make.await?,
        };
        Ok((StatusCode::CREATED, Json(self.told(&view))))
    }
}

pub(super) async fn create(State(api): State<Api>, headers: HeaderMap, fields: Fields) -> Answer {
    api.make(&headers, &fields, Version::One).await
}

pub(super) async fn create_v2(State(api): State<Api>, headers: HeaderMap, fields: Fields) -> Answer {
    api.make(&headers, &fields, Version::Two).await
}

/// Says by its status whether the sandbox had to be resumed.
pub(super) async fn connect(State(api): State<Api>, Named(id): Named, fields: Fields) -> Answer {
    let timeout = fields.seconds("timeout")?.unwrap_or(TIMEOUT);
    let memory = fields.truth("memory")?.unwrap_or(true);
    let (view, resumed) = api.sandboxes.connect(&id, timeout, memory).await?;
    let status = if resumed { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(api.told(&view))))
}

pub(super) async fn resume(State(api): State<Api>, Named(id): Named, fields: Fields) -> Answer {
    let timeout = fields.seconds("timeout")?.unwrap_or(TIMEOUT);
    let view = api.sandboxes.resume(&id, timeout, wish::on_timeout(&fields)?).await?;
    Ok((StatusCode::CREATED, Json(api.told(&view))))
}

pub(super) async fn pause(State(api): State<Api>, Named(id): Named, fields: Fields) -> Result<StatusCode, Refusal> {
    let mode = match fields.truth("memory")? {
        Some(false) => PauseMode::Filesystem,
        Some(true) | None => PauseMode::Full,
    };
    let healthy = fields.truth("requireHealthyGuest")?.unwrap_or(false);
    api.sandboxes.pause(&id, mode, healthy).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn kill(State(api): State<Api>, Named(id): Named) -> Result<StatusCode, Refusal> {
    api.sandboxes.kill(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn timeout(State(api): State<Api>, Named(id): Named, fields: Fields) -> Result<StatusCode, Refusal> {
    let timeout = fields.needed("timeout", fields.seconds("timeout")?)?;
    api.sandboxes.set_timeout(&id, timeout, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn refresh(State(api): State<Api>, Named(id): Named, fields: Fields) -> Result<StatusCode, Refusal> {
    let more = fields.seconds("duration")?.unwrap_or(REFRESH);
    api.sandboxes.set_timeout(&id, more, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Agrees to what is so already; the network of a VM is fixed when it starts.
pub(super) async fn network(State(api): State<Api>, Named(id): Named, fields: Fields) -> Result<StatusCode, Refusal> {
    let wanted = internet(&fields, fields.truth("allow_internet_access")?)?.unwrap_or(true);
    let view = api.sandboxes.view(&id).ok_or(SandboxError::NotFound(id))?;
    if wanted == view.allow_internet.unwrap_or(true) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Refusal::missing("way to change the network of a sandbox that is there: create one with the network it needs"))
}
