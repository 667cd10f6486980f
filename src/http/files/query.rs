//! The query of a `/files` URL, parsed strictly.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use percent_encoding::percent_decode;

/// Holds what a `/files` URL says; each value as it was sent, decoded once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// `path`; `Some("")` and `None` mean the same path but not the same multipart rule.
    pub(super) path: Option<String>,
    /// `username`.
    pub(super) username: Option<String>,
    /// `signature`.
    pub(super) signature: Option<String>,
    /// `signature_expiration`, seconds since the epoch.
    pub(super) expiration: Option<i64>,
}

/// Says which parameter is wrong; answered as plain text, as published clients know it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum QueryError {
    /// The same parameter twice: which one was signed would be a guess.
    #[error("Invalid format for parameter {0}: multiple values for single value parameter '{0}'")]
    Repeated(&'static str),
    /// A `%` without two hex digits, or bytes that are not UTF-8.
    #[error("Invalid format for parameter {0}: invalid URL escape or not UTF-8")]
    Malformed(String),
    /// `signature_expiration` is not a number.
    #[error("Invalid format for parameter signature_expiration: not an integer")]
    Expiration,
}

impl IntoResponse for QueryError {
    fn into_response(self) -> Response {
        let headers =
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
        (StatusCode::BAD_REQUEST, headers, format!("{self}\n")).into_response()
    }
}

impl Query {
    /// Parses the part of the URL after `?`; parameters of other names are ignored.
    pub(super) fn parse(raw: Option<&str>) -> Result<Self, QueryError> {
        let mut query = Self::default();
        let mut expiration = None;
        for pair in raw.unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = decode(name, value)?;
            let (name, slot) = match decode(name, name)?.as_ref() {
                "path" => ("path", &mut query.path),
                "username" => ("username", &mut query.username),
                "signature" => ("signature", &mut query.signature),
                "signature_expiration" => ("signature_expiration", &mut expiration),
                _ => continue,
            };
            if slot.is_some() {
                return Err(QueryError::Repeated(name));
            }
            *slot = Some(decoded.into_owned());
        }
        query.expiration = match expiration {
            Some(text) => Some(text.parse().map_err(|_| QueryError::Expiration)?),
            None => None,
        };
        Ok(query)
    }
}

/// Decodes one name or value as a form does: `+` is a space, `%XX` a byte, the whole UTF-8.
fn decode<'a>(name: &str, text: &'a str) -> Result<Cow<'a, str>, QueryError> {
    let bytes = text.as_bytes();
    let broken = bytes.iter().enumerate().any(|(at, byte)| {
        *byte == b'%' && !bytes.get(at + 1..at + 3).is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit))
    });
    let malformed = || QueryError::Malformed(name.to_owned());
    if broken {
        return Err(malformed());
    }
    if !bytes.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode(spaced.as_bytes()).decode_utf8().map_err(|_| malformed())?;
    Ok(Cow::Owned(decoded.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_once_and_strangers_ignored() {
        let query = Query::parse(Some("path=%2Fa+b%2Bc%25&x=1&x=2&username=&signature_expiration=-5")).unwrap();
        assert_eq!(query.path.as_deref(), Some("/a b+c%"));
        assert_eq!((query.username.as_deref(), query.expiration), (Some(""), Some(-5)));
        assert_eq!(Query::parse(None), Ok(Query::default()));
    }

    #[test]
    fn a_repeated_or_malformed_parameter_is_refused() {
        assert_eq!(Query::parse(Some("path=a&path=a")), Err(QueryError::Repeated("path")));
        for bad in ["path=%", "path=%4", "path=%zz", "path=%ff", "path=ok&%zz=1", "x=%zz"] {
            assert!(matches!(Query::parse(Some(bad)), Err(QueryError::Malformed(_))), "{bad}");
        }
        assert_eq!(Query::parse(Some("signature_expiration=soon")), Err(QueryError::Expiration));
    }
}
