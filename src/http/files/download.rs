//! `GET` and `HEAD /files`.

use std::ffi::OsStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::response::Builder;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};

use super::body::{self, Stretch};
use super::condition::{self, Verdict};
use super::encoding::{self, Coding, NotAcceptable};
use super::query::Query;
use super::range::{Frame, Selection, Span, select};
use super::{Shared, disposition, media};
use crate::fs::ReadError;
use crate::fs::read::{self, Live, Opened, Packed, Source};
use crate::http::status::Refusal;
use crate::identity::signature::Operation;

/// Bytes read ahead where they are for judging the content only.
const SAMPLE: usize = 16 * 1024;
/// The type of what has no better one.
const UNKNOWN: &str = "application/octet-stream";

/// Answers with the content of a file.
pub(super) async fn handle(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let query = match Query::parse(uri.query()) {
        Ok(query) => query,
        Err(error) => return error.into_response(),
    };
    let asked = Asked { head: method == Method::HEAD, headers };
    answer(&shared, &query, asked).await.unwrap_or_else(IntoResponse::into_response)
}

/// Holds what the answer depends on beside the file.
struct Asked {
    head: bool,
    headers: HeaderMap,
}

async fn answer(shared: &Shared, query: &Query, asked: Asked) -> Result<Response, Refusal> {
    shared.admit(query, &asked.headers, Operation::Read)?;
    let user = shared.user(query.username.as_deref())?;
    let path = shared.path(query.path.as_deref().unwrap_or(""), &user)?;
    let part_only = asked.head || asked.headers.contains_key(header::RANGE);
    let ahead = if part_only { SAMPLE } else { read::open::AHEAD };
    let opened = read::open(&shared.files, &user, path, ahead).await;
    let opened = opened.map_err(|error| Refusal::from_failure(&error))?;
    let coding = match condition::needs_identity(&asked.headers) {
        true => encoding::identity_only(&asked.headers).map(|()| Coding::Identity),
        false => encoding::negotiate(&asked.headers),
    };
    let coding = coding.map_err(refuse_encoding)?;
    match opened.source {
        Source::Live(_) => stream(opened, &asked),
        _ => {
            let by_name = media::by_extension(&opened.path);
            let plain = by_name.clone().unwrap_or_else(|| media::by_content(&opened.start).to_owned());
            let pack = match coding {
                Coding::Identity => false,
                Coding::Gzip => true,
                Coding::GzipIfItPays => media::pays(&plain, opened.version.size, &opened.start),
            };
            if pack {
                compressed(opened, &asked, by_name.as_deref().unwrap_or(UNKNOWN)).await
            } else {
                identity(opened, &asked, &plain)
            }
        }
    }
}

/// Answers with something that has no length and no version.
fn stream(opened: Opened, asked: &Asked) -> Result<Response, Refusal> {
    encoding::identity_only(&asked.headers).map_err(refuse_encoding)?;
    let content_type = media::by_extension(&opened.path).unwrap_or_else(|| UNKNOWN.to_owned());
    let head = head(&opened, StatusCode::OK, &content_type);
    match opened.source {
        Source::Live(file) if !asked.head => {
            let live = Live::new(opened.start, file, opened.path).map_err(|error| refuse_read(&error))?;
            finish(head, body::live(live))
        }
        _ => finish(head, Body::empty()),
    }
}

async fn compressed(opened: Opened, asked: &Asked, content_type: &str) -> Result<Response, Refusal> {
    let mut head = versioned(&opened, StatusCode::OK, content_type, "W/").header(header::CONTENT_ENCODING, "gzip");
    if asked.head {
        return finish(head, Body::empty());
    }
    let file = match opened.source {
        Source::Regular(file) => Some(file),
        _ => None,
    };
    let whole = file.is_none();
    let mut packed = Packed::new(opened.start, file, opened.path);
    if !whole {
        return finish(head, body::packed(packed));
    }
    let bytes = packed.next().await.map_err(|error| refuse_read(&error))?.unwrap_or_default();
    head = head.header(header::CONTENT_LENGTH, bytes.len());
    finish(head, Body::from(bytes))
}

fn identity(opened: Opened, asked: &Asked, content_type: &str) -> Result<Response, Refusal> {
    let version = opened.version;
    match condition::check_read(version, &asked.headers) {
        Verdict::Proceed => {}
        Verdict::NotModified => {
            return finish(versioned(&opened, StatusCode::NOT_MODIFIED, content_type, ""), Body::empty());
        }
        Verdict::Failed => {
            return Err(Refusal::new(StatusCode::PRECONDITION_FAILED, "the file is not the version asked for"));
        }
    }
    let range = asked.headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let selection = match range.filter(|_| condition::ranges_stand(version, &asked.headers)) {
        Some(range) => select(range, version.size),
        None => Selection::Whole,
    };
    match selection {
        Selection::Whole => {
            let head =
                versioned(&opened, StatusCode::OK, content_type, "").header(header::CONTENT_LENGTH, version.size);
            send(head, opened, asked, |start, size| {
                let have = start.len() as u64;
                vec![Stretch::Bytes(start.clone()), Stretch::File(have, size)]
            })
        }
        Selection::Unsatisfiable => {
            let refusal = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "invalid range: failed to overlap");
            let mut response = refusal.into_response();
            if let Ok(size) = HeaderValue::from_str(&format!("bytes */{}", version.size)) {
                response.headers_mut().insert(header::CONTENT_RANGE, size);
            }
            Ok(response)
        }
        Selection::Parts(spans) => parts(&spans, opened, asked, content_type),
    }
}

/// Answers with one range as it is, or with several in a frame.
fn parts(spans: &[Span], opened: Opened, asked: &Asked, content_type: &str) -> Result<Response, Refusal> {
    let size = opened.version.size;
    if let [span] = *spans {
        let head = versioned(&opened, StatusCode::PARTIAL_CONTENT, content_type, "")
            .header(header::CONTENT_LENGTH, span.len())
            .header(header::CONTENT_RANGE, span.content_range(size));
        return send(head, opened, asked, |start, _| vec![cut(start, span)]);
    }
    let frame = Frame::new(spans, size, content_type, opened.version.inode ^ size.rotate_left(32));
    let head = versioned(&opened, StatusCode::PARTIAL_CONTENT, &frame.content_type(), "")
        .header(header::CONTENT_LENGTH, frame.length(spans));
    send(head, opened, asked, |start, _| {
        let mut list = Vec::with_capacity(spans.len() * 2 + 1);
        for (span, text) in spans.iter().zip(&frame.heads) {
            list.push(Stretch::Bytes(text.clone().into()));
            list.push(cut(start, *span));
        }
        list.push(Stretch::Bytes(frame.tail.clone().into()));
        list
    })
}

/// Takes a range out of what was read ahead, or else from the file.
fn cut(start: &Bytes, span: Span) -> Stretch {
    match (usize::try_from(span.start), usize::try_from(span.end)) {
        (Ok(first), Ok(end)) if end <= start.len() => Stretch::Bytes(start.slice(first..end)),
        _ => Stretch::File(span.start, span.end),
    }
}

/// Sends the stretches that `list` makes of what was read ahead and the size.
fn send<L>(head: Builder, opened: Opened, asked: &Asked, list: L) -> Result<Response, Refusal>
where
    L: FnOnce(&Bytes, u64) -> Vec<Stretch>,
{
    if asked.head {
        return finish(head, Body::empty());
    }
    let mut list = list(&opened.start, opened.version.size);
    let body = match (opened.source, list.len()) {
        (Source::Regular(file), _) => body::stretches(list, file, opened.path),
        // All is at hand; a single stretch needs no copy.
        (_, 1 | 2) if matches!(list.first(), Some(Stretch::Bytes(_))) => match list.swap_remove(0) {
            Stretch::Bytes(bytes) => Body::from(bytes),
            Stretch::File(..) => Body::empty(),
        },
        _ => Body::from(list.iter().fold(Vec::new(), |mut all, stretch| {
            if let Stretch::Bytes(bytes) = stretch {
                all.extend_from_slice(bytes);
            }
            all
        })),
    };
    finish(head, body)
}

/// Begins an answer about any file.
fn head(opened: &Opened, status: StatusCode, content_type: &str) -> Builder {
    let name = opened.path.file_name().unwrap_or(OsStr::new("")).to_string_lossy();
    http::Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, content_type)
        .header(header::CONTENT_DISPOSITION, disposition::inline(&name))
        .header(header::VARY, "Accept-Encoding")
}

/// Begins an answer about a file that has versions; `weak` goes before its tag.
fn versioned(opened: &Opened, status: StatusCode, content_type: &str, weak: &str) -> Builder {
    let mut head = head(opened, status, content_type)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::ETAG, format!("{weak}{}", condition::etag(opened.version)));
    if let Some(modified) = condition::modified(opened.version) {
        head = head.header(header::LAST_MODIFIED, httpdate::fmt_http_date(modified));
    }
    head
}

fn finish(head: Builder, body: Body) -> Result<Response, Refusal> {
    head.body(body).map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

fn refuse_encoding(error: NotAcceptable) -> Refusal {
    Refusal::new(StatusCode::NOT_ACCEPTABLE, error.to_string())
}

fn refuse_read(error: &ReadError) -> Refusal {
    match error {
        ReadError::Fs(error) => Refusal::from_failure(error),
        shrunk @ ReadError::Shrunk(_) => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, shrunk.to_string()),
    }
}
