//! Which coding an answer may have, and which one a body has.

use http::{HeaderMap, header};

/// Says how to send a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// As it is.
    Identity,
    /// Compressed: the client prefers it, or accepts nothing else.
    Gzip,
    /// Compressed where that pays: the client takes either.
    GzipIfItPays,
}

/// Says that no coding of ours is acceptable: 406.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no acceptable encoding found, supported: [identity, gzip]")]
pub(super) struct NotAcceptable;

/// Holds the weights that `Accept-Encoding` gives, none where it does not name the coding.
#[derive(Clone, Copy, Debug, Default)]
struct Weights {
    gzip: Option<f32>,
    identity: Option<f32>,
    star: Option<f32>,
    others: bool,
}

/// Chooses the coding of an answer.
///
/// Published clients say `gzip, deflate` on every download because their HTTP library does, not because they want it;
/// obeying cost them more than it saved (8 against 220 MiB/s measured with an incompressible file). So a client that
/// takes either leaves the choice to us, and only one that names gzip alone or prefers it by weight is obeyed.
pub(super) fn negotiate(headers: &HeaderMap) -> Result<Coding, NotAcceptable> {
    let weights = Weights::read(headers);
    let identity = weights.identity.or(weights.star);
    if identity == Some(0.0) {
        let gzip = weights.gzip.or(weights.star).unwrap_or(0.0);
        return if gzip > 0.0 { Ok(Coding::Gzip) } else { Err(NotAcceptable) };
    }
    let Some(gzip) = weights.gzip.filter(|weight| *weight > 0.0) else {
        return Ok(Coding::Identity);
    };
    Ok(match identity {
        Some(identity) if gzip > identity => Coding::Gzip,
        Some(identity) if gzip < identity => Coding::Identity,
        Some(_) => Coding::GzipIfItPays,
        None if weights.others => Coding::GzipIfItPays,
        None => Coding::Gzip,
    })
}

/// Chooses the coding where only the plain bytes can answer (ranges, conditions).
pub(super) fn identity_only(headers: &HeaderMap) -> Result<(), NotAcceptable> {
    let weights = Weights::read(headers);
    if weights.identity.or(weights.star) == Some(0.0) { Err(NotAcceptable) } else { Ok(()) }
}

impl Weights {
    fn read(headers: &HeaderMap) -> Self {
        let mut weights = Self::default();
        let values = headers.get_all(header::ACCEPT_ENCODING);
        for item in values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')) {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next().unwrap_or("").to_ascii_lowercase();
            let weight = parts.find_map(weight).unwrap_or(1.0);
            match name.as_str() {
                "gzip" | "x-gzip" => weights.gzip = Some(weight),
                "identity" => weights.identity = Some(weight),
                "*" => weights.star = Some(weight),
                "" => {}
                _ => weights.others = true,
            }
        }
        weights
    }
}

/// Reads `q=0.5`; a weight that is none counts as 1, as in envd.
fn weight(parameter: &str) -> Option<f32> {
    let value = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))?;
    Some(value.trim().parse().ok().filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(1.0))
}

/// Says whether a request body is compressed; `Err` names a coding that is not supported.
pub(super) fn body_is_gzip(headers: &HeaderMap) -> Result<bool, String> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else {
        return Ok(false);
    };
    match String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(false),
        "gzip" => Ok(true),
        other => Err(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn the_table_of_the_contract_holds() {
        use Coding::{Gzip, GzipIfItPays, Identity};
        for (value, want) in [
            ("", Ok(Identity)),
            ("*", Ok(Identity)),
            ("br", Ok(Identity)),
            ("br, deflate", Ok(Identity)),
            ("gzip", Ok(Gzip)),
            ("GZIP", Ok(Gzip)),
            ("gzip;q=0.2", Ok(Gzip)),
            ("gzip;q=nonsense", Ok(Gzip)),
            ("gzip;q=0", Ok(Identity)),
            ("*;q=0", Err(NotAcceptable)),
            ("identity;q=0", Err(NotAcceptable)),
            ("identity;q=0, br", Err(NotAcceptable)),
            ("*;q=0,gzip", Ok(Gzip)),
            ("identity;q=0,*", Ok(Gzip)),
            ("identity, gzip;q=0.5", Ok(Identity)),
            ("gzip;q=0.8, identity;q=0.5", Ok(Gzip)),
            ("gzip;q=0.8, *;q=0.1", Ok(Gzip)),
            ("gzip, identity", Ok(GzipIfItPays)),
            ("gzip, deflate", Ok(GzipIfItPays)),
            ("gzip, deflate, br, zstd", Ok(GzipIfItPays)),
            ("gzip, *", Ok(GzipIfItPays)),
        ] {
            assert_eq!(negotiate(&headers(value)), want, "{value:?}");
        }
        assert_eq!(negotiate(&HeaderMap::new()), Ok(Identity));
    }

    #[test]
    fn ranges_need_identity() {
        for (value, want) in [("gzip", true), ("identity;q=0", false), ("*;q=0", false), ("*;q=0, identity", true)] {
            assert_eq!(identity_only(&headers(value)).is_ok(), want, "{value}");
        }
    }

    #[test]
    fn only_gzip_and_identity_bodies_are_taken() {
        let mut headers = HeaderMap::new();
        assert_eq!(body_is_gzip(&headers), Ok(false));
        for (value, want) in [("gzip", Ok(true)), ("Identity", Ok(false)), ("br", Err("br".to_owned()))] {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(body_is_gzip(&headers), want);
        }
    }
}
