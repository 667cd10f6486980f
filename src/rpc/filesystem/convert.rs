//! Values to messages, and how much of them an old client gets.

use tonic::Response;
use tonic::metadata::{MetadataMap, MetadataValue};

use crate::fs::Entry;
use crate::fs::entry::Sort;
use crate::fs::watch::{Change, Event};
use crate::proto::filesystem as pb;

/// The one client that rejects fields it does not know, by the whole of its User-Agent.
const LEGACY_CLIENT: &str = "connect-python";
/// Says in the answer that it was reduced.
const LEGACY_HEADER: &str = "x-e2b-legacy-sdk";

/// Says how much a client understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// Everything.
    Current,
    /// Name, type and path.
    Legacy,
}

impl Client {
    pub(super) fn of(metadata: &MetadataMap) -> Self {
        let legacy = metadata.get("user-agent").is_some_and(|agent| agent == LEGACY_CLIENT);
        if legacy { Self::Legacy } else { Self::Current }
    }

    /// Makes an answer, marked where it is reduced.
    pub(super) fn answer<M>(self, message: M) -> Response<M> {
        let mut response = Response::new(message);
        if self == Self::Legacy {
            response.metadata_mut().insert(LEGACY_HEADER, MetadataValue::from_static("true"));
        }
        response
    }

    pub(super) fn entry(self, entry: Entry) -> pb::EntryInfo {
        let kind = match entry.sort {
            Sort::File => pb::FileType::File,
            Sort::Directory => pb::FileType::Directory,
            Sort::Other => pb::FileType::Unspecified,
        };
        let reduced = pb::EntryInfo { name: entry.name, r#type: kind.into(), path: entry.path, ..Default::default() };
        match self {
            Self::Legacy => reduced,
            Self::Current => pb::EntryInfo {
                size: i64::try_from(entry.size).unwrap_or(i64::MAX),
                mode: entry.mode,
                permissions: entry.permissions,
                owner: entry.owner,
                group: entry.group,
                modified_time: entry.modified.map(Into::into),
                symlink_target: entry.symlink_target,
                metadata: entry.metadata,
                ..reduced
            },
        }
    }

    pub(super) fn event(self, event: Event) -> pb::FilesystemEvent {
        let change = match event.change {
            Change::Create => pb::EventType::Create,
            Change::Write => pb::EventType::Write,
            Change::Remove => pb::EventType::Remove,
            Change::Rename => pb::EventType::Rename,
            Change::Chmod => pb::EventType::Chmod,
        };
        // An old client knows no entries in events, reduced or not.
        let entry = event.entry.filter(|_| self == Self::Current).map(|entry| self.entry(*entry));
        pb::FilesystemEvent { name: event.name, r#type: change.into(), entry }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(agent: &'static str) -> Client {
        let mut metadata = MetadataMap::new();
        metadata.insert("user-agent", MetadataValue::from_static(agent));
        Client::of(&metadata)
    }

    fn entry() -> Entry {
        Entry {
            name: "f".into(),
            sort: Sort::File,
            path: "/f".into(),
            size: 1,
            mode: 0o644,
            permissions: "-rw-r--r--".into(),
            owner: "root".into(),
            group: "root".into(),
            modified: Some(std::time::SystemTime::now()),
            symlink_target: None,
            metadata: [("k".to_owned(), "v".to_owned())].into(),
        }
    }

    #[test]
    fn an_old_client_gets_reduced_entries_and_a_mark() {
        let old = client("connect-python");
        let reduced = old.entry(entry());
        let want = pb::EntryInfo { name: "f".into(), r#type: 1, path: "/f".into(), ..Default::default() };
        assert_eq!(reduced, want);
        let event = Event { name: "f".into(), change: Change::Write, entry: Some(Box::new(entry())) };
        assert_eq!(old.event(event.clone()).entry, None);
        assert_eq!(old.answer(()).metadata().get(LEGACY_HEADER).unwrap(), "true");
        for agent in ["connect-python/0.9", "e2b", ""] {
            let current = client(agent);
            assert_eq!(current.entry(entry()).size, 1, "{agent}");
            assert!(current.event(event.clone()).entry.is_some());
            assert!(current.answer(()).metadata().is_empty());
        }
    }
}
