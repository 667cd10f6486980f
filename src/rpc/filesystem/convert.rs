//! Values to messages, and how much of them an old client gets.

use tonic::Response;
use tonic::metadata::{MetadataMap, MetadataValue};

use crate::fs::Entry;
use crate::fs::entry::Sort;
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
}
