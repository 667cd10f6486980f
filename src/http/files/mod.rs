//! `/files`: downloads, uploads and composition over plain HTTP.
//!
//! - `download` `GET` and `HEAD /files`
//! - `upload` `POST /files`, with `multipart` forms
//! - `compose` `POST /files/compose`
//! - `asked` what all of them ask first: query, proof, user, path
//! - `feed` a request body as it arrives, `inflate` unpacked, `gather` in batches
//! - `body` answers that come from files
//! - `condition`, `range`, `encoding`, `disposition`, `media`, `metadata`, `query` one header each

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::fs::Files;
use crate::identity::{Accounts, Defaults, Gate};

mod asked;
mod body;
mod compose;
mod condition;
mod disposition;
mod download;
mod encoding;
mod feed;
mod gather;
mod inflate;
mod media;
mod metadata;
mod multipart;
mod query;
mod range;
mod upload;

/// Holds what the handlers share with the rest of the agent.
#[derive(Clone, Debug)]
pub struct Shared {
    /// With whose rights files are touched.
    pub files: Files,
    /// Who exists.
    pub accounts: Arc<Accounts>,
    /// Who is meant when a request names nobody.
    pub defaults: Arc<Defaults>,
    /// Which token is in force.
    pub gate: Arc<Gate>,
}

/// Makes the routes; `/files` checks its own proof, and a layer outside guards `/files/compose` with the token.
pub fn router(shared: Shared) -> Router {
    Router::new()
        .route("/files", get(download::handle).post(upload::handle))
        .route("/files/compose", post(compose::handle))
        .with_state(Arc::new(shared))
}
