//! Which sandboxes a list is about, and which page of it.

use http::HeaderName;
use percent_encoding::percent_decode_str;

use super::query::Query;
use super::refusal::Refusal;
use super::time::read;
use crate::sandbox::{State, View};

/// Tells the token of the next page; absent on the last one.
pub(super) const NEXT: HeaderName = HeaderName::from_static("x-next-token");
/// Entries of a page, when the client does not say.
const PAGE: u64 = 100;
/// Most entries of a page; some kilobytes each at most.
const LONGEST_PAGE: u64 = 1000;

/// What E2B calls the state of a sandbox. One on its way is still what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Running,
    Paused,
}

impl Told {
    /// `None` for one that nobody knows yet.
    pub(super) fn of(state: State) -> Option<Self> {
        match state {
            State::Creating => None,
            State::Running | State::Pausing => Some(Self::Running),
            State::Paused(_) | State::Resuming => Some(Self::Paused),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
        }
    }
}

/// What a sandbox must be to be listed.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// One of these; any when empty.
    states: Vec<Told>,
    /// All of these.
    metadata: Vec<(String, String)>,
    template: Option<String>,
    started_after_ms: Option<u64>,
}

impl Filter {
    pub(super) fn read(query: &Query) -> Result<Self, Refusal> {
        let state = |word: &str| {
            let known = [Told::Running, Told::Paused].into_iter().find(|state| state.name() == word);
            known.ok_or_else(|| Refusal::invalid(format!("state {word:?} is neither running nor paused")))
        };
        let after = |text| read(text).ok_or_else(|| Refusal::invalid("startedAfter is not a time of RFC 3339"));
        Ok(Self {
            states: query.words("state").map(state).collect::<Result<_, _>>()?,
            metadata: query.one("metadata").map(metadata).transpose()?.unwrap_or_default(),
            template: query.one("template").map(str::to_owned),
            started_after_ms: query.one("startedAfter").map(after).transpose()?,
        })
    }

    /// The same for running ones alone.
    pub(super) fn running(self) -> Self {
        Self { states: vec![Told::Running], ..self }
    }

    pub(super) fn admits(&self, view: &View) -> bool {
        let state = Told::of(view.state).is_some_and(|state| self.states.is_empty() || self.states.contains(&state));
        let metadata = self.metadata.iter().all(|(key, value)| view.metadata.get(key) == Some(value));
        let is_template = |name: &String| *name == view.template || view.alias.as_ref() == Some(name);
        let after = self.started_after_ms.is_none_or(|after| view.started_ms > after);
        state && metadata && self.template.as_ref().is_none_or(is_template) && after
    }
}

/// Reads pairs that were encoded one by one, then as a form, then as one value of the query, which is decoded already.
fn metadata(value: &str) -> Result<Vec<(String, String)>, Refusal> {
    let decode = |text: &str| {
        let text = percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned);
        text.map_err(|_| Refusal::invalid("metadata is not UTF-8"))
    };
    form_urlencoded::parse(value.as_bytes()).map(|(key, value)| Ok((decode(&key)?, decode(&value)?))).collect()
}

/// A part of a list that is sorted by time. A page goes on after the last entry of the one before, whatever came or
/// went meanwhile.
#[derive(Debug)]
pub(super) struct Page {
    limit: usize,
    after: Option<Place>,
    ascending: bool,
}

/// Where an entry stands: its time in milliseconds, and its id for those of the same time.
pub(super) type Place = (u64, String);

impl Page {
    /// Reads which page; the newest entry comes first unless the client wants it otherwise.
    pub(super) fn read(query: &Query) -> Result<Self, Refusal> {
        let limit = query.whole("limit", 1..=LONGEST_PAGE)?.unwrap_or(PAGE);
        let ascending = match query.one("order") {
            None | Some("desc") => false,
            Some("asc") => true,
            Some(_) => return Err(Refusal::invalid("order is neither asc nor desc")),
        };
        let place = |token| place(token).ok_or_else(|| Refusal::invalid("nextToken is none that this host gave"));
        let after = query.one("nextToken").map(place).transpose()?;
        Ok(Self { limit: usize::try_from(limit).unwrap_or(usize::MAX), after, ascending })
    }

    /// Cuts the page out of all entries; with the token of the next one.
    pub(super) fn cut<T>(&self, all: Vec<T>, place: impl Fn(&T) -> Place) -> (Vec<T>, Option<String>) {
        let mut all: Vec<_> = all.into_iter().map(|entry| (place(&entry), entry)).collect();
        all.sort_by(|(one, _), (other, _)| if self.ascending { one.cmp(other) } else { other.cmp(one) });
        let beyond = |place: &Place, after| if self.ascending { place > after } else { place < after };
        all.retain(|(place, _)| self.after.as_ref().is_none_or(|after| beyond(place, after)));
        let more = all.len() > self.limit;
        all.truncate(self.limit);
        let token = all.last().filter(|_| more).map(|(place, _)| token(place));
        (all.into_iter().map(|(_, entry)| entry).collect(), token)
    }
}

fn token((ms, id): &Place) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(format!("{ms}.{id}"))
}

fn place(token: &str) -> Option<Place> {
    let text = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(token).ok()?;
    let (ms, id) = std::str::from_utf8(&text).ok()?.split_once('.')?;
    Some((ms.parse().ok()?, id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_decoded_as_often_as_it_was_encoded() {
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        for (sent, expected) in [
            ("sp%252520ace%3Dv%25252F1", pairs(&[("sp ace", "v/1")])),
            ("a%3Db%26c%3Dd", pairs(&[("a", "b"), ("c", "d")])),
            ("a%3D%25253D%252526%25252B", pairs(&[("a", "=&+")])),
            ("a%3D%2525C3%2525A9", pairs(&[("a", "é")])),
            ("a%3D", pairs(&[("a", "")])),
            ("a", pairs(&[("a", "")])),
            ("", pairs(&[])),
        ] {
            let filter = Filter::read(&Query::parse(&format!("metadata={sent}"))).unwrap();
            assert_eq!(filter.metadata, expected, "{sent}");
        }
        assert!(Filter::read(&Query::parse("metadata=a%3D%2525FF")).is_err());
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_refused() {
        for query in ["state=dead", "state=running,Paused", "startedAfter=yesterday"] {
            assert_eq!(Filter::read(&Query::parse(query)).unwrap_err().status, 400, "{query}");
        }
        for query in
            ["limit=0", "limit=1001", "order=up", "nextToken=x", "nextToken=%00", "nextToken=YQ", "nextToken=MS4="]
        {
            assert_eq!(Page::read(&Query::parse(query)).unwrap_err().status, 400, "{query}");
        }
    }

    #[test]
    fn pages_hold_each_entry_once_though_others_come_and_go() {
        let all = |entries: &[u64]| entries.iter().map(|ms| (ms / 10, format!("i{ms}"))).collect::<Vec<_>>();
        for (order, later) in [("asc", 99), ("desc", 1)] {
            let mut seen = Vec::new();
            let mut token = String::new();
            // Two of the same time are told apart by their id.
            let mut entries = vec![30, 21, 22, 40, 50];
            loop {
                let page = Page::read(&Query::parse(&format!("limit=2&order={order}&nextToken={token}"))).unwrap();
                let (part, next) = page.cut(all(&entries), Clone::clone);
                assert!(part.len() <= 2);
                seen.extend(part);
                let Some(next) = next else { break };
                token = next;
                // What was seen goes, and what comes is beyond.
                entries.retain(|ms| *ms != 22);
                entries.push(later);
                entries.dedup();
            }
            let mut sorted = all(&[30, 21, 22, 40, 50, later]);
            sorted.sort();
            if order == "desc" {
                sorted.reverse();
                // It had gone before its page came.
                sorted.retain(|(_, id)| id != "i22");
            }
            assert_eq!(seen, sorted, "{order}");
        }
    }
}
