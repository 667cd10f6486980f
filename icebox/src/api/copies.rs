//! Calls that make one sandbox into more.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::fields::Fields;
use super::filter::Page;
use super::life::TIMEOUT;
use super::query::Query;
use super::refusal::Refusal;
use super::routes::{Api, Named};
use super::{look, shape};
use crate::sandbox::{Fork, LONGEST_NAME, MOST_COPIES, SandboxId};

type Answer = Result<(StatusCode, Json<Value>), Refusal>;

pub(super) async fn snapshot(State(api): State<Api>, Named(id): Named, fields: Fields) -> Answer {
    let name = fields.text("name")?;
    if name.is_some_and(|name| name.is_empty() || name.len() > LONGEST_NAME || name.contains(char::is_control)) {
        return Err(fields.wrong("name", "is empty, too long or has a control character"));
    }
    let taken = api.sandboxes.snapshot(&id, name.map(str::to_owned)).await?;
    Ok((StatusCode::CREATED, Json(shape::snapshot(&taken))))
}

pub(super) async fn snapshots(State(api): State<Api>, query: Query) -> Result<Response, Refusal> {
    let (page, of, name) = (Page::read(&query)?, query.one("sandboxID"), query.one("name"));
    let mut all = api.sandboxes.snapshots();
    all.retain(|taken| of.is_none_or(|of| taken.of.as_str() == of));
    all.retain(|taken| name.is_none_or(|name| taken.names.iter().any(|other| other == name)));
    let (part, next) = page.cut(all, |taken| (taken.created_ms, taken.id.clone()));
    Ok(look::answer(part.iter().map(shape::snapshot).collect(), next))
}

impl Api {
    async fn copy(&self, id: &SandboxId, fields: &Fields) -> Result<Vec<Fork>, Refusal> {
        let timeout = fields.seconds("timeout")?.unwrap_or(TIMEOUT);
        let count = usize::try_from(fields.whole("count")?.unwrap_or(1)).unwrap_or(usize::MAX);
        if !(1..=MOST_COPIES).contains(&count) {
            return Err(fields.wrong("count", &format!("is not from 1 to {MOST_COPIES}")));
        }
        Ok(self.sandboxes.fork(id, timeout, count).await?)
    }
}

pub(super) async fn fork(State(api): State<Api>, Named(id): Named, fields: Fields) -> Answer {
    let told = |copy: Fork| match copy {
        Ok(view) => json!({"sandbox": api.told(&view)}),
        Err(error) => json!({"error": Refusal::from(error).body()}),
    };
    let copies = api.copy(&id, &fields).await?;
    Ok((StatusCode::CREATED, Json(copies.into_iter().map(told).collect())))
}

/// Novita's fork: copies that failed are left out; with `strict` there are all of them or none.
pub(super) async fn clone(State(api): State<Api>, Named(id): Named, fields: Fields) -> Answer {
    let strict = fields.truth("strict")?.unwrap_or(false);
    let (mut made, mut failed) = (Vec::new(), None);
    for copy in api.copy(&id, &fields).await? {
        match copy {
            Ok(view) => made.push(view),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if strict || made.is_empty() => {
            for view in made {
                // It is gone by itself where this fails.
                let _ = api.sandboxes.kill(&view.id).await;
            }
            Err(error.into())
        }
        _ => {
            let sandboxes: Value = made.iter().map(|view| api.told(view)).collect();
            Ok((StatusCode::CREATED, Json(json!({"sandboxes": sandboxes, "snapshotTemplateId": null}))))
        }
    }
}
