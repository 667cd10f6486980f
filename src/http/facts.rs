//! What the machine is and how it does: `/health`, `/metrics`, `/envs`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};

use crate::host::{Environment, Metrics, Sampler};

const NO_STORE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");
const JSON: (header::HeaderName, &str) = (header::CONTENT_TYPE, "application/json");
const MIB: u64 = 1 << 20;

/// Serves the three routes.
pub fn router(environment: Arc<Environment>) -> Router {
    let envs = get(envs).with_state(environment);
    let metrics = get(metrics).with_state(Arc::new(Sampler::default()));
    Router::new().route("/health", get(health)).route("/metrics", metrics).route("/envs", envs)
}

async fn health() -> Response {
    (StatusCode::NO_CONTENT, [NO_STORE]).into_response()
}

async fn envs(State(environment): State<Arc<Environment>>) -> Response {
    match serde_json::to_string(&environment.all()) {
        Ok(json) => ([NO_STORE, JSON], json).into_response(),
        Err(error) => failed(&error),
    }
}

/// Reads the machine; hosts give this 100 ms, and nothing here waits.
async fn metrics(State(sampler): State<Arc<Sampler>>) -> Response {
    match sampler.sample() {
        Ok(metrics) => ([NO_STORE, JSON], body(&metrics)).into_response(),
        Err(error) => failed(&error),
    }
}

fn body(metrics: &Metrics) -> String {
    serde_json::json!({
        "ts": metrics.timestamp,
        "cpu_count": metrics.cpus,
        "cpu_used_pct": metrics.cpu_used_percent,
        "mem_total_mib": metrics.memory_total / MIB,
        "mem_used_mib": metrics.memory_used / MIB,
        "mem_total": metrics.memory_total,
        "mem_used": metrics.memory_used,
        "mem_cache": metrics.memory_cache,
        "disk_used": metrics.disk_used,
        "disk_total": metrics.disk_total,
    })
    .to_string()
}

fn failed(error: &dyn std::error::Error) -> Response {
    tracing::warn!(%error, "cannot tell about the machine");
    (StatusCode::INTERNAL_SERVER_ERROR, [NO_STORE]).into_response()
}
