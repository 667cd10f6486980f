//! Queries of requests.

use std::ops::RangeInclusive;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::refusal::Refusal;

/// The pairs of a query, decoded, in order. Those that nobody asks for are ignored.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    pub(super) fn parse(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// Gives the first value of this name; an empty one is as good as none.
    pub(super) fn one<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Gives the words of a list, written with commas, by repetition, or both.
    pub(super) fn words<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(name).flat_map(|value| value.split(',')).map(str::trim).filter(|word| !word.is_empty())
    }

    /// Gives a whole number of this range.
    pub(super) fn whole(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.one(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        let wrong = || format!("{name} is not a whole number from {} to {}", range.start(), range.end());
        number.map(Some).ok_or_else(|| Refusal::invalid(wrong()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_with_commas_or_again_and_again() {
        for query in ["s=a,b", "s=a&s=b", "s=a%2Cb", "s=&s=a,,+b&t=c", "s=a&s=b&&=&%"] {
            assert_eq!(Query::parse(query).words("s").collect::<Vec<_>>(), ["a", "b"], "{query}");
        }
        assert_eq!(Query::parse("").words("s").count(), 0);
    }

    #[test]
    fn numbers_are_numbers_of_the_range() {
        for (query, expected) in [("", None), ("n=", None), ("n=1", Some(1)), ("n=100&n=x", Some(100))] {
            assert_eq!(Query::parse(query).whole("n", 1..=100).unwrap(), expected, "{query}");
        }
        for query in ["n=0", "n=101", "n=-1", "n=1.0", "n=x", "n=%001", "n=99999999999999999999"] {
            assert!(Query::parse(query).whole("n", 1..=100).unwrap_err().message.starts_with("n is not"), "{query}");
        }
    }
}
