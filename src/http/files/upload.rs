//! `POST /files`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use http::request::Parts;
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::feed::{Feed, FeedError};
use super::gather::Gather;
use super::query::Query;
use super::{Shared, condition, encoding, metadata, multipart};
use crate::base::{Failure, Kind};
use crate::fs::{Metadata, Order, Precondition, Upload, WriteError};
use crate::http::status::Refusal;
use crate::identity::User;
use crate::identity::signature::Operation;

/// Writes the files that a request carries.
pub(super) async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = match Query::parse(parts.uri.query()) {
        Ok(query) => query,
        Err(error) => {
            Feed::new(body, false).linger(expects_continue(&parts)).await;
            return error.into_response();
        }
    };
    let mut body = Some(body);
    let accepted = accept(&shared, &parts, &query, &mut body);
    let (feed, outcome) = match accepted {
        Ok((intake, feed)) => {
            let outcome = intake.receive(&feed).await;
            (Some(feed), outcome)
        }
        Err(refusal) => (body.map(|body| Feed::new(body, false)), Err(refusal)),
    };
    match outcome {
        Ok(entries) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], entries.to_string()).into_response(),
        Err(refusal) => {
            if let Some(feed) = feed {
                feed.linger(expects_continue(&parts)).await;
            }
            refusal.into_response()
        }
    }
}

/// Holds an accepted request: everything but its body is checked.
pub(super) struct Intake<'a> {
    shared: &'a Shared,
    user: User,
    metadata: Metadata,
    precondition: Precondition,
    form: Form,
    /// `path` of the query.
    pub(super) path: Option<&'a str>,
    length: Option<u64>,
}

/// Says how the content is wrapped.
enum Form {
    Raw(PathBuf),
    Multipart(String),
}

/// Checks everything that can be checked without the body, in the order that published clients rely on.
fn accept<'a>(
    shared: &'a Shared,
    parts: &Parts,
    query: &'a Query,
    body: &mut Option<Body>,
) -> Result<(Intake<'a>, Feed), Refusal> {
    let headers = &parts.headers;
    let bad = |message: String| Refusal::new(StatusCode::BAD_REQUEST, message);
    shared.admit(query, headers, Operation::Write)?;
    let gzip = encoding::body_is_gzip(headers)
        .map_err(|coding| bad(format!("unsupported content encoding '{coding}', supported: [identity, gzip]")))?;
    let user = shared.user(query.username.as_deref())?;
    let metadata = metadata::collect(headers).map_err(|error| Refusal::from_failure(&error))?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let form = if kind == "application/octet-stream" {
        let raw = query.path.as_deref().ok_or_else(|| bad("path is required for application/octet-stream".into()))?;
        Form::Raw(shared.path(raw, &user)?)
    } else if kind.starts_with("multipart/") {
        Form::Multipart(multipart::boundary(content_type)?)
    } else {
        let message = "unsupported content type, expected application/octet-stream or multipart/form-data";
        return Err(bad(format!("{message}: '{kind}'")));
    };
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let precondition = condition::precondition(headers);
    let feed = Feed::new(body.take().unwrap_or_default(), gzip);
    Ok((Intake { shared, user, metadata, precondition, form, path: query.path.as_deref(), length }, feed))
}

impl Intake<'_> {
    async fn receive(&self, feed: &Feed) -> Result<Value, Refusal> {
        match &self.form {
            Form::Raw(path) => self.receive_raw(path, feed.clone()).await,
            Form::Multipart(boundary) => multipart::receive(self, boundary, feed.clone()).await,
        }
    }

    async fn receive_raw(&self, path: &Path, mut feed: Feed) -> Result<Value, Refusal> {
        let mut upload = self.begin(path);
        let mut gather = Gather::default();
        while let Some(frame) = feed.next().await {
            if gather.push(&frame.map_err(refuse_feed)?) {
                upload.write(gather.take()).await.map_err(|error| self.refuse(&error))?;
            }
        }
        Ok(json!([self.finish(path, upload, gather).await?]))
    }

    /// Resolves the path of a part.
    pub(super) fn resolve(&self, raw: &str) -> Result<PathBuf, Refusal> {
        self.shared.path(raw, &self.user)
    }

    /// Begins the upload of one file.
    pub(super) fn begin(&self, path: &Path) -> Upload {
        Upload::new(Order {
            files: self.shared.files.clone(),
            user: self.user.clone(),
            path: path.to_owned(),
            metadata: self.metadata.clone(),
            precondition: self.precondition.clone(),
        })
    }

    /// Ends the upload of one file and describes it.
    pub(super) async fn finish(&self, path: &Path, upload: Upload, mut rest: Gather) -> Result<Value, Refusal> {
        let pairs = upload.finish(rest.take()).await.map_err(|error| self.refuse(&error))?;
        Ok(entry(path, pairs))
    }

    /// Says why a file was not written.
    pub(super) fn refuse(&self, error: &WriteError) -> Refusal {
        refuse_write(error, self.length)
    }
}

/// Describes a written file.
pub(super) fn entry(path: &Path, pairs: BTreeMap<String, String>) -> Value {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut entry = json!({"name": name, "path": path.to_string_lossy(), "type": "file"});
    if !pairs.is_empty() {
        entry["metadata"] = json!(pairs);
    }
    entry
}

/// Says why a file was not written; `length` is what the request announced.
pub(super) fn refuse_write(error: &WriteError, length: Option<u64>) -> Refusal {
    match error {
        WriteError::Unmet(_) => Refusal::new(StatusCode::PRECONDITION_FAILED, error.to_string()),
        WriteError::NoInodes => Refusal::from_failure(error),
        _ if error.kind() == Kind::NoSpace => {
            let attempt = length.map(|length| format!("attempted to write {length} bytes: ")).unwrap_or_default();
            Refusal::new(StatusCode::INSUFFICIENT_STORAGE, format!("{attempt}{}", WriteError::NoSpace))
        }
        WriteError::Fs(error) => Refusal::from_failure(error),
        _ => Refusal::from_failure(error),
    }
}

/// Says why a body could not be read: the client's fault in each case.
pub(super) fn refuse_feed(error: FeedError) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, error.to_string())
}

fn expects_continue(parts: &Parts) -> bool {
    parts.headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
