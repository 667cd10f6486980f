//! `X-Metadata-KEY` headers: what a client wants to be kept beside a file.

use std::collections::BTreeMap;

use http::HeaderMap;

use crate::fs::{FsError, Metadata};

/// Header prefix, in the lower case that header names have here.
const PREFIX: &str = "x-metadata-";
/// Collects the metadata of a request; of a repeated header the first value counts, and nameless ones are dropped.
///
/// # Errors
/// Bytes outside printable ASCII, or more than a file can carry.
pub(super) fn collect(headers: &HeaderMap) -> Result<Metadata, FsError> {
    let mut pairs = BTreeMap::new();
    for name in headers.keys() {
        let (Some(key), Some(value)) = (name.as_str().strip_prefix(PREFIX), headers.get(name)) else {
            continue;
        };
        if !key.is_empty() {
            // What is not UTF-8 becomes U+FFFD here, which is not printable ASCII either.
            pairs.insert(key.to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned());
        }
    }
    Metadata::checked(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&str, &[u8])]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        map
    }

    #[test]
    fn the_first_value_wins_and_keys_are_lower_case() {
        let found = collect(&headers(&[
            ("X-Metadata-Author", b"ann"),
            ("x-metadata-author", b"bob"),
            ("X-Metadata-", b"dropped"),
            ("X-Other", b"1"),
        ]));
        assert_eq!(found.unwrap().pairs().clone().into_iter().collect::<Vec<_>>(), [("author".into(), "ann".into())]);
    }

    #[test]
    fn what_a_file_cannot_carry_is_refused() {
        let key = |length: usize| format!("x-metadata-{}", "k".repeat(length));
        assert!(collect(&headers(&[(&key(246), b"v")])).is_ok());
        assert!(collect(&headers(&[(&key(1), &[b'v'; 4086])])).is_ok());
        let long = key(247);
        for bad in
            [(&*long, &b"v"[..]), ("x-metadata-k", &[b'v'; 4087]), ("x-metadata-k", b"\xff"), ("x-metadata-k", b"\t")]
        {
            assert!(collect(&headers(&[bad])).is_err(), "{bad:?}");
        }
    }
}
