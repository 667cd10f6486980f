//! Calls that only look.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use serde_json::{Map, Value, json};

use super::filter::{Filter, NEXT, Page};
use super::query::Query;
use super::refusal::Refusal;
use super::routes::{Api, Named};
use super::shape;
use crate::agent::unix_time;
use crate::sandbox::{SandboxError, SandboxId, View};

/// How old the measurement may be that stands for now.
const RECENT: Duration = Duration::from_secs(60);
/// Most sandboxes that are asked for in one call, as E2B has it.
const MOST: usize = 100;

/// A page of a list.
pub(super) fn answer(entries: Vec<Value>, next: Option<String>) -> Response {
    let mut response = Json(entries).into_response();
    // An empty token would be one to some clients.
    if let Some(next) = next.and_then(|next| HeaderValue::try_from(next).ok()) {
        response.headers_mut().insert(NEXT, next);
    }
    response
}

impl Api {
    fn all(&self, filter: &Filter) -> Vec<View> {
        self.sandboxes.views().into_iter().filter(|view| filter.admits(view)).collect()
    }

    fn view(&self, id: SandboxId) -> Result<View, Refusal> {
        self.sandboxes.view(&id).ok_or_else(|| SandboxError::NotFound(id).into())
    }
}

/// The list of the first version: what runs, on one page.
pub(super) async fn running(State(api): State<Api>, query: Query) -> Result<Response, Refusal> {
    let filter = Filter::read(&query)?.running();
    let mut views = api.all(&filter);
    views.sort_by_key(|view| std::cmp::Reverse(view.started_ms));
    Ok(answer(views.iter().map(shape::listed).collect(), None))
}

pub(super) async fn list(State(api): State<Api>, query: Query) -> Result<Response, Refusal> {
    let (filter, page) = (Filter::read(&query)?, Page::read(&query)?);
    let (views, next) = page.cut(api.all(&filter), |view| (view.started_ms, view.id.as_str().to_owned()));
    Ok(answer(views.iter().map(shape::listed).collect(), next))
}

pub(super) async fn detail(State(api): State<Api>, Named(id): Named) -> Result<Json<Value>, Refusal> {
    Ok(Json(shape::detail(&api.view(id)?, api.door.domain.as_deref())))
}

pub(super) async fn metrics(State(api): State<Api>, Named(id): Named, query: Query) -> Result<Json<Value>, Refusal> {
    let from = query.whole("start", 0..=u64::MAX)?.unwrap_or(0);
    let to = query.whole("end", 0..=u64::MAX)?.unwrap_or(u64::MAX);
    let metrics = api.sandboxes.metrics(&id, from, to).await?;
    Ok(Json(metrics.iter().map(shape::metric).collect()))
}

/// Gives the last measurement of each; who has none is left out.
pub(super) async fn metrics_of_many(State(api): State<Api>, query: Query) -> Result<Json<Value>, Refusal> {
    let ids: Vec<_> = query.words("sandbox_ids").collect();
    if ids.len() > MOST {
        return Err(Refusal::invalid(format!("sandbox_ids names more than {MOST}")));
    }
    let from = unix_time().saturating_sub(RECENT).as_secs();
    let mut last = Map::new();
    for id in ids.into_iter().filter_map(SandboxId::parse) {
        let metrics = api.sandboxes.metrics(&id, from, u64::MAX).await.unwrap_or_default();
        last.extend(metrics.last().map(|metric| (id.as_str().to_owned(), shape::metric(metric))));
    }
    Ok(Json(json!({"sandboxes": last})))
}

/// Gives no lines: what programs write is theirs, and goes to whoever started them.
pub(super) async fn logs(State(api): State<Api>, Named(id): Named) -> Result<Json<Value>, Refusal> {
    api.view(id)?;
    Ok(Json(json!({"logs": [], "logEntries": []})))
}
