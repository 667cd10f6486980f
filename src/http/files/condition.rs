//! Validators of a file, and the request headers that depend on them (RFC 9110, 13).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, header};

use crate::fs::{Precondition, Version, Wanted};

/// Says what the conditions of a request lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Answer as if there were none.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Writes the entity tag of a version, with its quotes.
pub(super) fn etag(version: Version) -> String {
    format!("\"{}\"", version.tag())
}

/// Gives the modification time in whole seconds; none at the epoch, which stands for "unknown".
pub(super) fn modified(version: Version) -> Option<SystemTime> {
    let seconds = u64::try_from(version.modified / 1_000_000_000).ok()?;
    (seconds > 0).then(|| UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Checks the conditions of a GET or HEAD, in the order of RFC 9110, 13.2.2.
pub(super) fn check_read(version: Version, headers: &HeaderMap) -> Verdict {
    let modified = modified(version);
    if let Some(named) = tags(headers, &header::IF_MATCH) {
        if !named.names(version) {
            return Verdict::Failed;
        }
    } else if let (Some(limit), Some(modified)) = (date(headers, &header::IF_UNMODIFIED_SINCE), modified)
        && modified > limit
    {
        return Verdict::Failed;
    }
    if let Some(known) = tags(headers, &header::IF_NONE_MATCH) {
        if known.names(version) {
            return Verdict::NotModified;
        }
    } else if let (Some(since), Some(modified)) = (date(headers, &header::IF_MODIFIED_SINCE), modified)
        && modified <= since
    {
        return Verdict::NotModified;
    }
    Verdict::Proceed
}

/// Says whether `If-Range`, when there, lets the ranges stand.
pub(super) fn ranges_stand(version: Version, headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::IF_RANGE) else {
        return true;
    };
    let value = value.to_str().unwrap_or("").trim();
    value == etag(version) || httpdate::parse_http_date(value).is_ok_and(|date| Some(date) == modified(version))
}

/// Reads the conditions of an upload.
pub(super) fn precondition(headers: &HeaderMap) -> Precondition {
    Precondition { is: tags(headers, &header::IF_MATCH), is_not: tags(headers, &header::IF_NONE_MATCH) }
}

/// Says whether a download can only be answered with the plain bytes.
pub(super) fn needs_identity(headers: &HeaderMap) -> bool {
    [header::RANGE, header::IF_MODIFIED_SINCE, header::IF_NONE_MATCH, header::IF_RANGE]
        .iter()
        .any(|name| headers.contains_key(name))
}

/// Reads a list of entity tags.
///
/// `W/` is not looked at: our tag names a version of the file, and the weak form only says that the answer was
/// compressed on the way.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<Wanted> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let tags: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    if tags.contains(&"*") {
        return Some(Wanted::Any);
    }
    let bare = |tag: &&str| tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"').to_owned();
    (!tags.is_empty()).then(|| Wanted::OneOf(tags.iter().map(bare).collect()))
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const FILE: Version = Version { inode: 0xab, size: 16, modified: 1_700_000_000_123_456_789 };

    fn verdict(pairs: &[(HeaderName, &str)]) -> Verdict {
        check_read(FILE, &map(pairs))
    }

    fn map(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn at(offset: i64) -> String {
        let seconds = u64::try_from(1_700_000_000 + offset).unwrap();
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn tags_win_over_dates() {
        let tag = etag(FILE);
        assert_eq!(tag, "\"ab-10-17979cfe3d85cd15\"");
        assert_eq!(verdict(&[(header::IF_NONE_MATCH, &tag)]), Verdict::NotModified);
        assert_eq!(verdict(&[(header::IF_NONE_MATCH, "\"x\", W/\"ab-10-17979cfe3d85cd15\"")]), Verdict::NotModified);
        assert_eq!(verdict(&[(header::IF_NONE_MATCH, "*")]), Verdict::NotModified);
        assert_eq!(
            verdict(&[(header::IF_NONE_MATCH, "\"x\""), (header::IF_MODIFIED_SINCE, &at(10))]),
            Verdict::Proceed
        );
        assert_eq!(verdict(&[(header::IF_MATCH, "\"x\"")]), Verdict::Failed);
        assert_eq!(verdict(&[(header::IF_MATCH, &tag), (header::IF_UNMODIFIED_SINCE, &at(-10))]), Verdict::Proceed);
    }

    #[test]
    fn dates_count_in_whole_seconds() {
        assert_eq!(verdict(&[(header::IF_MODIFIED_SINCE, &at(0))]), Verdict::NotModified);
        assert_eq!(verdict(&[(header::IF_MODIFIED_SINCE, &at(-1))]), Verdict::Proceed);
        assert_eq!(verdict(&[(header::IF_UNMODIFIED_SINCE, &at(0))]), Verdict::Proceed);
        assert_eq!(verdict(&[(header::IF_UNMODIFIED_SINCE, &at(-1))]), Verdict::Failed);
        assert_eq!(verdict(&[(header::IF_MODIFIED_SINCE, "not a date")]), Verdict::Proceed);
    }

    #[test]
    fn ranges_stand_only_for_the_same_version() {
        for (value, want) in [(etag(FILE), true), (at(0), true), (at(-1), false), ("\"x\"".into(), false)] {
            assert_eq!(ranges_stand(FILE, &map(&[(header::IF_RANGE, &value)])), want, "{value}");
        }
        assert!(!ranges_stand(FILE, &map(&[(header::IF_RANGE, &format!("W/{}", etag(FILE)))])));
        assert!(ranges_stand(FILE, &HeaderMap::new()));
    }

    #[test]
    fn an_upload_may_ask_for_a_version_or_for_absence() {
        let tag = etag(FILE);
        for (name, value, current, want) in [
            (header::IF_MATCH, tag.as_str(), Some(FILE), true),
            (header::IF_MATCH, "*", Some(FILE), true),
            (header::IF_MATCH, "*", None, false),
            (header::IF_MATCH, "\"x\"", Some(FILE), false),
            (header::IF_NONE_MATCH, "*", None, true),
            (header::IF_NONE_MATCH, "*", Some(FILE), false),
            (header::IF_NONE_MATCH, &tag, Some(FILE), false),
            (header::IF_NONE_MATCH, "\"x\"", Some(FILE), true),
        ] {
            let condition = precondition(&map(&[(name.clone(), value)]));
            assert_eq!(condition.holds(current), want, "{name} {value} {current:?}");
        }
        assert_eq!(precondition(&HeaderMap::new()), Precondition::default());
    }
}
