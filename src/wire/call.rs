//! One call as its request head negotiates it.

use http::header::ALLOW;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method as Verb, Response, StatusCode, Version};
use tonic::Status;
use tonic::body::Body;

use super::check::Rules;
use super::codec::Format;
use super::deadline::Deadline;
use super::dialect::{ContentType, Dialect};
use super::flow::Flowing;
use super::method::{Method, Methods};
use super::reply::deadline_exceeded;
use super::settings::Settings;
use super::status::Outcome;
use super::timeout::{self, Timeout};
use super::{gzip, refusal};

const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const CONNECT_VERSION: HeaderName = HeaderName::from_static("connect-protocol-version");
const CONNECT_TIMEOUT: HeaderName = HeaderName::from_static("connect-timeout-ms");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// What was agreed on before the first message.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) content_type: ContentType,
    /// What the messages of the request must obey.
    pub(super) rules: Rules,
    /// When the call ends by itself.
    pub(super) deadline: Option<Deadline>,
    /// Messages of the answer from this size on are compressed.
    pub(super) gzip_from: Option<usize>,
}

impl Call {
    /// Checks a request head and makes it one that a gRPC service understands.
    ///
    /// Fails with the answer that refuses the call.
    pub(super) fn accept(
        parts: &mut Parts,
        methods: &Methods,
        settings: &Settings,
    ) -> Result<Self, Box<Response<Body>>> {
        let content_type = ContentType::of(&parts.headers);
        let Some(method) = methods.get(parts.uri.path()) else {
            return Err(Box::new(unknown(parts, content_type)));
        };
        let content_type = check_http(parts, method, content_type)?;
        let fail = |status| Box::new(refusal::answer(content_type, Outcome::from(status)));
        Self::negotiate(parts, method, settings, content_type).map_err(fail)
    }

    fn negotiate(
        parts: &mut Parts,
        method: &Method,
        settings: &Settings,
        content_type: ContentType,
    ) -> Result<Self, Status> {
        let dialect = content_type.dialect;
        check_version(parts, dialect)?;
        let timeout = read_timeout(parts, dialect)?;
        let compressed = read_encoding(parts, dialect)?;
        let accepts = gzip::is_accepted(&parts.headers, &dialect.accept_encoding());
        let from = match method.unary() {
            true => settings.gzip_unary_from,
            false => settings.gzip_stream_from,
        };
        if let Some(timeout) = timeout {
            parts.extensions.insert(Timeout(timeout));
        }
        let gzip_from = from.filter(|_| accepts);
        if dialect == Dialect::ConnectUnary {
            parts.extensions.insert(Flowing { format: content_type.format, gzip: gzip_from.is_some() });
        }
        to_grpc(parts, dialect);
        Ok(Self {
            content_type,
            rules: Rules { limit: settings.max_request_message, compressed, single: !method.client_streaming() },
            deadline: timeout.map(|timeout| Deadline::new(&settings.lives, timeout)),
            gzip_from,
        })
    }

    /// Returns the form of the messages.
    pub(super) fn format(&self) -> Format {
        self.content_type.format
    }

    /// Returns the answer to a call that failed here.
    pub(super) fn fail(&self, status: Status) -> Response<Body> {
        refusal::answer(self.content_type, Outcome::from(status))
    }
}

/// An unknown path is not found on the web, and an unimplemented method in gRPC.
fn unknown(parts: &Parts, content_type: Option<ContentType>) -> Response<Body> {
    match content_type.filter(|known| known.dialect.is_grpc() && parts.method == Verb::POST) {
        Some(content_type) => {
            let status = Status::unimplemented(format!("unknown method {}", parts.uri.path()));
            refusal::answer(content_type, Outcome::from(status))
        }
        None => refusal::not_found(),
    }
}

/// The checks that HTTP has statuses for.
fn check_http(
    parts: &Parts,
    method: &Method,
    content_type: Option<ContentType>,
) -> Result<ContentType, Box<Response<Body>>> {
    if parts.method != Verb::POST {
        let hint = Some((ALLOW, HeaderValue::from_static("POST")));
        return Err(Box::new(refusal::bare(StatusCode::METHOD_NOT_ALLOWED, hint)));
    }
    let Some(content_type) = content_type.filter(|known| known.suits(method)) else {
        let hint = HeaderValue::try_from(ContentType::accepted(method)).ok();
        let hint = hint.map(|accepted| (ACCEPT_POST, accepted));
        return Err(Box::new(refusal::bare(StatusCode::UNSUPPORTED_MEDIA_TYPE, hint)));
    };
    if content_type.dialect == Dialect::Grpc && parts.version < Version::HTTP_2 {
        // Its outcome is in trailers, which no HTTP/1.1 client would get.
        return Err(Box::new(refusal::bare(StatusCode::HTTP_VERSION_NOT_SUPPORTED, None)));
    }
    Ok(content_type)
}

fn check_version(parts: &Parts, dialect: Dialect) -> Result<(), Status> {
    match parts.headers.get(CONNECT_VERSION) {
        Some(version) if !dialect.is_grpc() && version != "1" => Err(Status::invalid_argument(format!(
            "connect-protocol-version must be \"1\": got \"{}\"",
            version.as_bytes().escape_ascii()
        ))),
        _ => Ok(()),
    }
}

/// Reads how long the client waits; a call without any time is over.
fn read_timeout(parts: &Parts, dialect: Dialect) -> Result<Option<std::time::Duration>, Status> {
    let (name, read): (_, fn(&[u8]) -> _) = match dialect.is_grpc() {
        true => (GRPC_TIMEOUT, timeout::grpc),
        false => (CONNECT_TIMEOUT, timeout::connect),
    };
    let Some(text) = parts.headers.get(&name) else {
        return Ok(None);
    };
    match read(text.as_bytes()) {
        Some(timeout) if timeout.is_zero() => Err(deadline_exceeded()),
        Some(timeout) => Ok(Some(timeout)),
        None => Err(Status::invalid_argument(format!("invalid {name}: \"{}\"", text.as_bytes().escape_ascii()))),
    }
}

fn read_encoding(parts: &Parts, dialect: Dialect) -> Result<bool, Status> {
    gzip::is_used(&parts.headers, &dialect.encoding()).map_err(|mut status| {
        // The list goes into the header that a client would look at, too.
        let mut headers = http::HeaderMap::new();
        headers.insert(dialect.accept_encoding(), HeaderValue::from_static(gzip::ACCEPTED));
        *status.metadata_mut() = tonic::metadata::MetadataMap::from_headers(headers);
        status
    })
}

/// Leaves nothing in the head that a gRPC service would stumble over.
fn to_grpc(parts: &mut Parts, dialect: Dialect) {
    let headers = &mut parts.headers;
    headers.remove(http::header::CONTENT_LENGTH);
    headers.remove(dialect.encoding());
    headers.remove(Dialect::Grpc.encoding());
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
}
