//! Answers that come from files.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use crate::fs::ReadError;
use crate::fs::read::{Live, Packed, Pieces};

/// Holds one stretch of an answer.
#[derive(Debug)]
pub(super) enum Stretch {
    /// Bytes that are at hand.
    Bytes(Bytes),
    /// A part of the file, `start` inclusive, `end` exclusive.
    File(u64, u64),
}

/// Where the bytes of an answer come from; each error ends the connection, so that no answer looks whole that is not.
#[derive(Debug)]
enum Flow {
    Stretches(VecDeque<Stretch>, Pieces),
    /// In a place of its own: it is three times as large as the others.
    Packed(Box<Packed>),
    Live(Live),
}

/// Makes a body of stretches of one file.
pub(super) fn stretches(list: Vec<Stretch>, file: File, path: PathBuf) -> Body {
    let pieces = Pieces::new(Arc::new(file), path, 0, 0);
    body(Flow::Stretches(list.into(), pieces))
}

/// Makes a compressed body.
pub(super) fn packed(packed: Packed) -> Body {
    body(Flow::Packed(Box::new(packed)))
}

/// Makes a body whose end is not known.
pub(super) fn live(live: Live) -> Body {
    body(Flow::Live(live))
}

fn body(flow: Flow) -> Body {
    Body::from_stream(stream::unfold(Some(flow), |flow| async {
        let mut flow = flow?;
        match flow.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(flow))),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(error = %error, "download cut off");
                Some((Err(error), None))
            }
        }
    }))
}

impl Flow {
    async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        match self {
            Self::Packed(packed) => packed.next().await,
            Self::Live(live) => live.next().await,
            Self::Stretches(list, pieces) => loop {
                if let Some(piece) = pieces.next().await? {
                    return Ok(Some(piece));
                }
                match list.pop_front() {
                    None => return Ok(None),
                    Some(Stretch::Bytes(bytes)) if bytes.is_empty() => {}
                    Some(Stretch::Bytes(bytes)) => return Ok(Some(bytes)),
                    Some(Stretch::File(start, end)) => pieces.turn_to(start, end),
                }
            },
        }
    }
}
