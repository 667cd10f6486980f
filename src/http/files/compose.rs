//! `POST /files/compose`.

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde_json::Value;

use super::upload::{entry, refuse_write};
use super::{Shared, condition};
use crate::fs::compose::{ComposeError, compose};
use crate::fs::{Metadata, Order};
use crate::http::status::Refusal;

/// Most bytes of a request: some ten thousand paths.
const MOST: usize = 1024 * 1024;

/// What a request says.
#[derive(Debug, Deserialize)]
struct Wish {
    #[serde(default)]
    source_paths: Vec<String>,
    #[serde(default)]
    destination: String,
    username: Option<String>,
}

/// Makes one file of several.
pub(super) async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let precondition = condition::precondition(request.headers());
    let wish = match read(request.into_body()).await {
        Ok(wish) => wish,
        Err(refusal) => return refusal.into_response(),
    };
    let orders = order(&shared, &wish).map(|(order, sources)| (Order { precondition, ..order }, sources));
    match orders {
        Ok((order, sources)) => carry_out(order, sources).await.map_or_else(IntoResponse::into_response, respond),
        Err(refusal) => refusal.into_response(),
    }
}

async fn read(body: Body) -> Result<Wish, Refusal> {
    let bad = |message: String| Refusal::new(StatusCode::BAD_REQUEST, message);
    let body = Limited::new(body, MOST).collect().await;
    let body = body.map_err(|error| bad(format!("error reading request body: {error}")))?.to_bytes();
    let wish: Wish = serde_json::from_slice(&body).map_err(|error| bad(format!("invalid request body: {error}")))?;
    match (wish.source_paths.is_empty(), wish.destination.is_empty()) {
        (true, _) => Err(bad("source_paths must not be empty".into())),
        (_, true) => Err(bad("destination must not be empty".into())),
        _ => Ok(wish),
    }
}

fn order(shared: &Shared, wish: &Wish) -> Result<(Order, Vec<PathBuf>), Refusal> {
    let user = shared.user(wish.username.as_deref())?;
    let path = shared.path(&wish.destination, &user)?;
    let sources: Result<_, _> = wish.source_paths.iter().map(|source| shared.path(source, &user)).collect();
    let (files, metadata) = (shared.files.clone(), Metadata::default());
    Ok((Order { files, user, path, metadata, precondition: Default::default() }, sources?))
}

async fn carry_out(order: Order, sources: Vec<PathBuf>) -> Result<Value, Refusal> {
    let path = order.path.clone();
    match compose(order, sources).await {
        Ok(pairs) => Ok(entry(&path, pairs)),
        Err(ComposeError::Destination(error)) => Err(refuse_write(&error, None)),
        Err(ComposeError::Source(error)) => Err(Refusal::from_failure(&error)),
        Err(error) => Err(Refusal::from_failure(&error)),
    }
}

fn respond(entry: Value) -> Response {
    let content_type = [(http::header::CONTENT_TYPE, "application/json")];
    (content_type, entry.to_string()).into_response()
}
