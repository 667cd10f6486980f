//! The protocols on the one port, and what each calls the same thing.

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName};

use super::codec::Format;
use super::method::Method;

const CONNECT_ENCODING: HeaderName = HeaderName::from_static("connect-content-encoding");
const CONNECT_ACCEPT: HeaderName = HeaderName::from_static("connect-accept-encoding");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// A protocol that a client may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// One bare message each way, the outcome in the HTTP status.
    ConnectUnary,
    /// Envelopes each way, the outcome in a last envelope of JSON.
    ConnectStream,
    /// Envelopes each way, the outcome in HTTP trailers.
    Grpc,
    /// Envelopes each way, the outcome in a last envelope of header lines.
    GrpcWeb,
    /// The same in base64, for clients that can only read text.
    GrpcWebText,
}

/// A content type: the dialect and the form of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentType {
    pub(super) dialect: Dialect,
    pub(super) format: Format,
    /// Its text, which the answer repeats.
    pub(super) name: &'static str,
}

/// Every content type we speak.
const CONTENT_TYPES: [ContentType; 13] = {
    use Dialect::{ConnectStream, ConnectUnary, Grpc, GrpcWeb, GrpcWebText};
    use Format::{Binary, Json};
    const fn of(name: &'static str, dialect: Dialect, format: Format) -> ContentType {
        ContentType { dialect, format, name }
    }
    [
        of("application/json", ConnectUnary, Json),
        of("application/proto", ConnectUnary, Binary),
        of("application/connect+json", ConnectStream, Json),
        of("application/connect+proto", ConnectStream, Binary),
        of("application/grpc", Grpc, Binary),
        of("application/grpc+proto", Grpc, Binary),
        of("application/grpc+json", Grpc, Json),
        of("application/grpc-web", GrpcWeb, Binary),
        of("application/grpc-web+proto", GrpcWeb, Binary),
        of("application/grpc-web+json", GrpcWeb, Json),
        of("application/grpc-web-text", GrpcWebText, Binary),
        of("application/grpc-web-text+proto", GrpcWebText, Binary),
        of("application/grpc-web-text+json", GrpcWebText, Json),
    ]
};

impl ContentType {
    /// Reads the content type of a request; parameters such as a charset are ignored.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let essence = text.split(';').next().unwrap_or(text).trim();
        CONTENT_TYPES.into_iter().find(|known| known.name.eq_ignore_ascii_case(essence))
    }

    /// Returns whether `method` can be called this way.
    pub(super) fn suits(self, method: &Method) -> bool {
        let shape = match self.dialect {
            Dialect::ConnectUnary => method.unary(),
            Dialect::ConnectStream => !method.unary(),
            _ => true,
        };
        shape && (method.json() || self.format == Format::Binary)
    }

    /// Returns the content types that `method` can be called with, comma-separated.
    pub(super) fn accepted(method: &Method) -> String {
        let names: Vec<_> = CONTENT_TYPES.iter().filter(|known| known.suits(method)).map(|known| known.name).collect();
        names.join(", ")
    }
}

impl Dialect {
    /// Returns whether this is gRPC or gRPC-Web, which share header names.
    pub(super) fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc | Self::GrpcWeb | Self::GrpcWebText)
    }

    /// Returns the header that names the compression of the messages.
    pub(super) fn encoding(self) -> HeaderName {
        match self {
            Self::ConnectUnary => CONTENT_ENCODING,
            Self::ConnectStream => CONNECT_ENCODING,
            _ => GRPC_ENCODING,
        }
    }

    /// Returns the header that lists the compressions the sender reads.
    pub(super) fn accept_encoding(self) -> HeaderName {
        match self {
            Self::ConnectUnary => ACCEPT_ENCODING,
            Self::ConnectStream => CONNECT_ACCEPT,
            _ => GRPC_ACCEPT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<ContentType> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, text.parse().unwrap());
        ContentType::of(&headers)
    }

    #[test]
    fn parameters_and_case_do_not_matter() {
        let plain = of("application/json");
        assert!(plain.is_some());
        assert_eq!(of("application/json; charset=utf-8"), plain);
        assert_eq!(of("Application/JSON"), plain);
        assert_eq!(of("application/jsonx"), None);
        assert_eq!(of("text/plain"), None);
    }

    #[test]
    fn connect_has_one_content_type_family_per_shape() {
        let unary = Method::new("/a.B/C", false, false);
        let stream = Method::new("/a.B/D", false, true);
        let (bare, enveloped) = (of("application/json").unwrap(), of("application/connect+json").unwrap());
        assert!(bare.suits(&unary) && !bare.suits(&stream));
        assert!(!enveloped.suits(&unary) && enveloped.suits(&stream));
        assert!(!bare.suits(&unary.clone().binary_only()));
        assert!(!ContentType::accepted(&unary.binary_only()).contains("json"));
    }
}
