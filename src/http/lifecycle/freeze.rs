//! Stopping the workload and the disk, and letting them go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{StatusCode, header};
use serde_json::json;

use crate::http::status::Refusal;
use crate::snapshot::memory::{self, Collapsed};
use crate::snapshot::{Lifecycle, SnapshotError};
use crate::workload::{Counts, Mode};

pub(super) fn router(lifecycle: Lifecycle) -> Router {
    Router::new()
        .route("/freeze", post(freeze))
        .route("/unfreeze", post(unfreeze))
        .route("/fsfreeze", post(freeze_root))
        .route("/fsthaw", post(thaw_root))
        .route("/collapse", post(collapse))
        .with_state(lifecycle)
}

/// Stops the workload; with a positive `maxWaitMs` the answer tells how far that came.
async fn freeze(State(lifecycle): State<Lifecycle>, RawQuery(query): RawQuery) -> Response {
    let asked = match Asked::parse(query.as_deref().unwrap_or_default()) {
        Ok(asked) => asked,
        Err(name) => {
            return Refusal::new(StatusCode::BAD_REQUEST, format!("{name} is not a whole number")).into_response();
        }
    };
    match (lifecycle.freeze_workload(asked.mode, asked.wait).await, asked.wait) {
        (Err(error), _) => Refusal::from_failure(&error).into_response(),
        (Ok(_), None) => StatusCode::NO_CONTENT.into_response(),
        (Ok(counts), Some(_)) => json(&counted(&counts)),
    }
}

/// Lets the workload go. Goes on when the client leaves.
async fn unfreeze(State(lifecycle): State<Lifecycle>) -> Response {
    done(tokio::spawn(async move { lifecycle.thaw_workload().await }).await.unwrap_or(Err(SnapshotError::ShuttingDown)))
}

/// Freezes the filesystem of `/`.
async fn freeze_root(State(lifecycle): State<Lifecycle>) -> Response {
    done(lifecycle.freeze_root().await)
}

/// Thaws the filesystem of `/`. Goes on when the client leaves.
async fn thaw_root(State(lifecycle): State<Lifecycle>) -> Response {
    done(tokio::spawn(async move { lifecycle.thaw_root().await }).await.unwrap_or(Err(SnapshotError::ShuttingDown)))
}

/// Moves our own memory into huge pages; stops when the client leaves.
async fn collapse() -> Response {
    let left = Arc::new(AtomicBool::new(false));
    let _leaving = Leaving(Arc::clone(&left));
    let work = move || memory::collapse(|| left.load(Ordering::Relaxed));
    match tokio::task::spawn_blocking(work).await {
        Ok(collapsed) => json(&told(&collapsed)),
        Err(error) => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Tells work on another thread that nobody waits for it any more.
struct Leaving(Arc<AtomicBool>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Asked {
    mode: Mode,
    /// `None` where the caller does not want to wait.
    wait: Option<Duration>,
}

impl Asked {
    /// Reads the query; an unknown mode is the legacy one. An error names the parameter that is no number.
    fn parse(query: &str) -> Result<Self, &'static str> {
        let (mut hierarchy, mut max_cgroups, mut wait) = (false, 0i64, 0i64);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "mode" => hierarchy = value == "hierarchy",
                "maxCgroups" => max_cgroups = value.parse().or(Err("maxCgroups"))?,
                "maxWaitMs" => wait = value.parse().or(Err("maxWaitMs"))?,
                _ => {}
            }
        }
        let max_cgroups = usize::try_from(max_cgroups).unwrap_or_default();
        let mode = if hierarchy { Mode::Hierarchy { max_cgroups } } else { Mode::Legacy };
        let wait = u64::try_from(wait).ok().filter(|&wait| wait > 0).map(Duration::from_millis);
        Ok(Self { mode, wait })
    }
}

fn counted(counts: &Counts) -> serde_json::Value {
    let mode = match counts.mode {
        Mode::Legacy => "legacy",
        Mode::Hierarchy { .. } => "hierarchy",
    };
    json!({
        "mode": mode,
        "visited": counts.visited,
        "allowlisted": counts.allowlisted,
        "truncated": counts.truncated,
        "preFrozen": counts.pre_frozen,
        "requested": counts.requested,
        "frozen": counts.frozen,
        "notFrozen": counts.not_frozen,
        "failed": counts.failed,
        "unobservable": counts.unobservable,
        "sweepMs": milliseconds(counts.sweep),
        "waitMs": milliseconds(counts.wait),
    })
}

fn told(collapsed: &Collapsed) -> serde_json::Value {
    json!({
        "regions": collapsed.regions,
        "chunks": collapsed.chunks,
        "collapsed": collapsed.collapsed,
        "alreadyHuge": collapsed.already_huge,
        "skipped": collapsed.skipped,
        "elapsedMs": milliseconds(collapsed.elapsed),
    })
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn json(value: &serde_json::Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, value.to_string()).into_response()
}

fn done(result: Result<(), SnapshotError>) -> Response {
    match result {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        // Hosts know two answers here.
        Err(error) => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, crate::base::sentence(&error)).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_hosts_send_it() {
        let asked = Asked::parse("maxWaitMs=1500&mode=hierarchy&maxCgroups=512").unwrap();
        assert_eq!(asked.mode, Mode::Hierarchy { max_cgroups: 512 });
        assert_eq!(asked.wait, Some(Duration::from_millis(1500)));
        for query in ["", "mode=legacy", "mode=other&maxWaitMs=0", "maxWaitMs=-1"] {
            let asked = Asked::parse(query).unwrap();
            assert_eq!((asked.mode, asked.wait), (Mode::Legacy, None), "{query}");
        }
        assert!(Asked::parse("maxWaitMs=soon").is_err() && Asked::parse("maxCgroups=").is_err());
    }
}
