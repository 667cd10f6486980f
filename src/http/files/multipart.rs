//! Forms with files.

use std::collections::BTreeSet;
use std::path::PathBuf;

use http::{StatusCode, header};
use multer::{Field, Multipart};
use serde_json::Value;

use super::disposition;
use super::feed::{Feed, FeedError};
use super::gather::Gather;
use super::upload::{Intake, refuse_feed};
use crate::fs::Upload;
use crate::http::status::Refusal;

/// The form field whose parts are files; others are skipped.
const FIELD: &str = "file";

/// Holds a part that is complete as far as it goes: what follows it may still show that the form is broken.
struct Pending {
    path: PathBuf,
    upload: Upload,
    rest: Gather,
}

/// Reads the boundary of any multipart type; the parser itself knows only forms.
pub(super) fn boundary(content_type: &str) -> Result<String, Refusal> {
    let parameters = content_type.split_once(';').map_or("", |(_, parameters)| parameters);
    multer::parse_boundary(format!("multipart/form-data;{parameters}")).map_err(|error| malformed(&error))
}

/// Writes each file of a form once the form goes on well after it; the last one once the body ended well.
pub(super) async fn receive(intake: &Intake<'_>, boundary: &str, mut feed: Feed) -> Result<Value, Refusal> {
    let mut form = Multipart::new(feed.clone(), boundary);
    let mut seen = BTreeSet::new();
    let mut entries = Vec::new();
    let mut pending: Option<Pending> = None;
    loop {
        feed.expect_head();
        let field = form.next_field().await.map_err(|error| refuse(&error))?;
        feed.expect_content();
        if field.is_none() {
            feed.finish().await.map_err(refuse_feed)?;
        }
        if let Some(Pending { path, upload, rest }) = pending.take() {
            entries.push(intake.finish(&path, upload, rest).await?);
        }
        let Some(field) = field else {
            return Ok(Value::Array(entries));
        };
        pending = part(intake, field, &mut seen).await?;
    }
}

/// Reads one part to its end.
async fn part(
    intake: &Intake<'_>,
    mut field: Field<'_>,
    seen: &mut BTreeSet<PathBuf>,
) -> Result<Option<Pending>, Refusal> {
    let head = field.headers().get(header::CONTENT_DISPOSITION);
    let head = head.map(|value| disposition::parse(value.as_bytes())).unwrap_or_default();
    if head.name.as_deref() != Some(FIELD) {
        while field.chunk().await.map_err(|error| refuse(&error))?.is_some() {}
        return Ok(None);
    }
    let bad = |message: String| Refusal::new(StatusCode::BAD_REQUEST, message);
    let raw = match intake.path.or(head.filename.as_deref()) {
        Some(raw) if !raw.is_empty() => raw,
        _ => return Err(bad("multipart part 'file' has no filename, and the request no path".into())),
    };
    let path = intake.resolve(raw)?;
    if !seen.insert(path.clone()) {
        return Err(bad(format!("you cannot upload multiple files to the same path '{}'", path.display())));
    }
    let mut upload = intake.begin(&path);
    let mut rest = Gather::default();
    while let Some(chunk) = field.chunk().await.map_err(|error| refuse(&error))? {
        if rest.push(&chunk) {
            upload.write(rest.take()).await.map_err(|error| intake.refuse(&error))?;
        }
    }
    Ok(Some(Pending { path, upload, rest }))
}

fn refuse(error: &multer::Error) -> Refusal {
    if let multer::Error::StreamReadFailed(cause) = error
        && let Some(cause) = cause.downcast_ref::<FeedError>()
    {
        return refuse_feed(cause.clone());
    }
    malformed(error)
}

/// Refuses a form that is none; 500 because published clients were built against an agent that says so.
fn malformed(error: &multer::Error) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("error parsing multipart form: {error}"))
}
