//! A listing to one message, or, where that may be long and the client's protocol allows it, to pieces of one.

use bytes::Bytes;
use futures_util::stream::unfold;
use tokio_stream::Stream;
use tonic::Status;

use super::convert::Client;
use crate::fs::list::Walk;
use crate::fs::{Entry, Files, FsError};
use crate::identity::User;
use crate::proto::filesystem::{EntryInfo, ListDirResponse};
use crate::rpc::status;
use crate::wire::{Flow, Flowing, Pieces};

/// Entries of one piece: some 60 KiB of JSON, and 5 ms of looking at files.
const STEP: usize = 256;

/// Walks a directory step by step, so that a client that reads slowly holds no thread.
pub(super) struct Listing {
    pub(super) files: Files,
    pub(super) user: User,
    pub(super) client: Client,
}

impl Listing {
    /// Gives the whole, as a message where it is short or has to be one.
    pub(super) async fn answer(
        self,
        walk: Walk,
        flowing: Option<Flowing>,
    ) -> Result<(ListDirResponse, Option<Flow>), Status> {
        let (mut entries, mut rest) = self.step(walk).await?;
        while let Some(walk) = rest {
            if let Some(flowing) = flowing {
                let flow = flowing.answer(self.pieces(flowing.pieces(), entries, walk));
                return Ok((ListDirResponse::default(), Some(flow)));
            }
            let (more, then) = self.step(walk).await?;
            entries.extend(more);
            rest = then;
        }
        Ok((ListDirResponse { entries }, None))
    }

    /// Takes the next entries; gives the walk back unless that was the end.
    async fn step(&self, mut walk: Walk) -> Result<(Vec<EntryInfo>, Option<Walk>), Status> {
        let client = self.client;
        let work = move || {
            let entries: Vec<_> = walk.by_ref().take(STEP).map(|entry: Entry| client.entry(entry)).collect();
            let rest = (entries.len() == STEP).then_some(walk);
            (entries, rest)
        };
        self.files.run(&self.user, work).await.map_err(|error: FsError| status::from_failure(&error))
    }

    fn pieces(
        self,
        mut pieces: Pieces,
        entries: Vec<EntryInfo>,
        walk: Walk,
    ) -> impl Stream<Item = Result<Bytes, Status>> + Send + 'static {
        let first = pieces.part(&ListDirResponse { entries });
        let state = Some((self, pieces, walk, Some(first)));
        unfold(state, |state| async {
            let (listing, mut pieces, walk, first) = state?;
            if let Some(first) = first {
                let next = first.is_ok().then_some((listing, pieces, walk, None));
                return Some((first, next));
            }
            let (entries, rest) = match listing.step(walk).await {
                Ok(step) => step,
                Err(status) => return Some((Err(status), None)),
            };
            let part = if entries.is_empty() { Ok(Bytes::new()) } else { pieces.part(&ListDirResponse { entries }) };
            match (part, rest) {
                (Ok(part), Some(walk)) => Some((Ok(part), Some((listing, pieces, walk, None)))),
                (Ok(part), None) => Some((pieces.end().map(|end| [part, end].concat().into()), None)),
                (Err(status), _) => Some((Err(status), None)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::wire::{Format, json};

    fn message(names: &[&str]) -> ListDirResponse {
        let entry = |name: &&str| EntryInfo { name: (*name).into(), size: 7, ..Default::default() };
        ListDirResponse { entries: names.iter().map(entry).collect() }
    }

    fn sent(flowing: Flowing, parts: &[&[&str]]) -> Vec<u8> {
        let mut pieces = flowing.pieces();
        let mut sent: Vec<u8> = parts.iter().flat_map(|part| pieces.part(&message(part)).unwrap()).collect();
        sent.extend(pieces.end().unwrap());
        sent
    }

    #[test]
    fn the_pieces_are_the_message_in_every_format() {
        for parts in [&[][..], &[&["a"][..]], &[&["a", "b[", "]}"], &["c"], &["{\"entries\":["]]] {
            let whole = message(&parts.concat());
            let mut expected = Vec::new();
            json::write(&whole, &mut expected).unwrap();
            assert_eq!(sent(Flowing::of(Format::Json, false), parts), expected);
            assert_eq!(sent(Flowing::of(Format::Binary, false), parts), prost::Message::encode_to_vec(&whole));
            let packed = sent(Flowing::of(Format::Json, true), parts);
            let mut unpacked = Vec::new();
            flate2::read::MultiGzDecoder::new(&*packed).read_to_end(&mut unpacked).unwrap();
            assert_eq!(unpacked, expected);
        }
    }
}
