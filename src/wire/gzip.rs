//! The one compression we speak, bounded in what it may inflate to.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderName};
use tonic::Status;

/// The compressions we read, for the headers and texts that list them.
pub(super) const ACCEPTED: &str = "gzip,identity";

/// Fast rather than small, since the CPU is the guest's: level 1 of zlib-rs hardly finds repetitions.
pub(super) const LEVEL: Compression = Compression::new(2);

/// Returns whether the header says gzip, or the status that refuses another compression.
pub(super) fn is_used(headers: &HeaderMap, name: &HeaderName) -> Result<bool, Status> {
    let Some(value) = headers.get(name) else {
        return Ok(false);
    };
    match value.as_bytes().trim_ascii() {
        b"" | b"identity" => Ok(false),
        b"gzip" => Ok(true),
        other => Err(Status::unimplemented(format!(
            "unknown compression \"{}\": supported encodings are {ACCEPTED}",
            other.escape_ascii()
        ))),
    }
}

/// Returns whether an accept header takes gzip.
pub(super) fn is_accepted(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts
            .filter_map(|part| part.strip_prefix("q="))
            .any(|weight| weight.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0));
        named && !refused
    })
}

/// Compresses a message.
///
/// Leaves `headroom` zero bytes in front. `None` when it would not get smaller.
pub(super) fn deflate(message: &[u8], headroom: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(message.len() / 4 + headroom + 64);
    out.resize(headroom, 0);
    let mut encoder = GzEncoder::new(out, LEVEL);
    let out = encoder.write_all(message).and_then(|()| encoder.finish()).ok()?;
    (out.len() < message.len() + headroom).then_some(out)
}

/// Inflates a message of at most `limit` bytes.
///
/// Stops right after the limit, whatever the input promises. An empty input is
/// an empty message: some clients do not compress nothing.
pub(super) fn inflate(message: &[u8], limit: usize) -> Result<Bytes, Status> {
    if message.is_empty() {
        return Ok(Bytes::new());
    }
    let mut out = Vec::with_capacity(message.len().saturating_mul(2).min(limit));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(message)
        .take(most)
        .read_to_end(&mut out)
        .map_err(|error| Status::invalid_argument(format!("decompress message: {error}")))?;
    if out.len() > limit {
        return Err(Status::resource_exhausted(format!(
            "message is larger than configured max {limit} after decompression"
        )));
    }
    Ok(Bytes::from(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    const NAME: HeaderName = http::header::ACCEPT_ENCODING;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(NAME, value.parse().unwrap())])
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = deflate(&vec![0; 1 << 20], 0).unwrap();
        assert!(bomb.len() < 1 << 13);
        assert_eq!(inflate(&bomb, 1 << 20).unwrap().len(), 1 << 20);
        let status = inflate(&bomb, (1 << 20) - 1).unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
    }

    #[test]
    fn garbage_is_the_callers_fault() {
        let code = inflate(b"not gzip", 100).unwrap_err().code();
        assert_eq!(code, Code::InvalidArgument);
    }

    #[test]
    fn only_gzip_and_identity_are_read() {
        assert!(is_used(&headers("gzip"), &NAME).unwrap());
        assert!(!is_used(&headers("identity"), &NAME).unwrap());
        assert!(!is_used(&HeaderMap::new(), &NAME).unwrap());
        let status = is_used(&headers("br"), &NAME).unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
        assert!(status.message().contains("gzip,identity"));
    }

    #[test]
    fn a_weight_of_zero_refuses_gzip() {
        for (value, accepted) in [
            ("gzip", true),
            ("br, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0, br", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(is_accepted(&headers(value), &NAME), accepted, "{value}");
        }
    }
}
