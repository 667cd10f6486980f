//! Calls about templates: there is `base`, which is the image, and there are snapshots.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::routes::{Api, Word};
use crate::sandbox::SandboxError;

/// The template that is always there.
const BASE: &str = "base";

/// Gives none: the list is of templates that the client's team has built.
pub(super) async fn list() -> Json<Value> {
    Json(json!([]))
}

/// Removes a snapshot, which is a template too.
pub(super) async fn delete(State(api): State<Api>, Word(id): Word) -> Result<StatusCode, Refusal> {
    api.sandboxes.delete_snapshot(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says whether there is a template of this name.
pub(super) async fn alias(State(api): State<Api>, Word(alias): Word) -> Result<Json<Value>, Refusal> {
    let found = api.sandboxes.snapshots().into_iter().find(|taken| taken.id == alias || taken.names.contains(&alias));
    let id = found.map(|taken| taken.id).or_else(|| (alias == BASE).then(|| BASE.to_owned()));
    let id = id.ok_or(SandboxError::NoTemplate(alias))?;
    Ok(Json(json!({"templateID": id, "public": true})))
}
