//! A regular file, compressed piece by piece.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::ReadError;
use crate::fs::FsError;
use crate::sys::file;

/// Bytes read at a time.
const READ: usize = 128 * 1024;
/// Least bytes of a piece that is handed on: Node's `fetch` unpacks in time quadratic in the number of HTTP chunks
/// (48 MiB took it 31 s in 4 KiB chunks, 1.1 s in chunks of 64 KiB and more).
const PIECE: usize = 128 * 1024;
/// Most bytes read for one piece, so that very compressible content does not hold a thread for long.
const MOST_READ: u64 = 4 * 1024 * 1024;
/// Level 1 of zlib-rs takes a tenth to a third less CPU, and makes a quarter (programs) to two fifths (text of much
/// repetition) more; 3 and above save 1 to 8 %, and are slower than most links.
const LEVEL: u32 = 2;

/// Compresses `start` and then a file from there to its end, as it is found.
#[derive(Debug)]
pub struct Packed {
    path: PathBuf,
    state: Option<State>,
}

#[derive(Debug)]
struct State {
    file: Option<File>,
    at: u64,
    buffer: Vec<u8>,
    encoder: GzEncoder<Vec<u8>>,
}

impl Packed {
    /// Prepares to compress `start` and what follows it in `file`; `path` is for messages.
    #[must_use]
    pub fn new(start: Bytes, file: Option<File>, path: PathBuf) -> Self {
        let encoder = GzEncoder::new(Vec::with_capacity(PIECE + READ), Compression::new(LEVEL));
        Self { path, state: Some(State { file, at: 0, buffer: start.to_vec(), encoder }) }
    }

    /// Gives the next piece; `None` at the end.
    ///
    /// # Errors
    /// What the system said.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        let Some(state) = self.state.take() else {
            return Ok(None);
        };
        let packed = tokio::task::spawn_blocking(move || state.pack()).await.map_err(|_| FsError::Panicked)?;
        let (piece, state) = packed.map_err(FsError::io("read", &self.path))?;
        self.state = state;
        Ok(Some(piece))
    }
}

impl State {
    fn pack(mut self) -> io::Result<(Bytes, Option<Self>)> {
        let begin = self.at;
        loop {
            self.encoder.write_all(&self.buffer)?;
            self.at += self.buffer.len() as u64;
            self.buffer.clear();
            let read = match &self.file {
                Some(file) => file::read_at(file, &mut self.buffer, self.at, READ)?,
                None => 0,
            };
            if read == 0 {
                return Ok((self.encoder.finish()?.into(), None));
            }
            let enough = self.encoder.get_ref().len() >= PIECE;
            if enough || self.at - begin >= MOST_READ {
                if !enough {
                    self.encoder.flush()?;
                }
                let piece = std::mem::replace(self.encoder.get_mut(), Vec::with_capacity(PIECE + READ));
                return Ok((piece.into(), Some(self)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[tokio::test]
    async fn a_file_is_packed_in_large_pieces_and_unpacks_to_itself() {
        let mut state = 1_u64;
        let content: Vec<u8> = (0..3_000_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                b"0123456789abcdef"[usize::try_from(state >> 60).unwrap()]
            })
            .collect();
        let file = file::open_in_memory().unwrap();
        file::write_at(&file, &[&content], 0).unwrap();
        let mut packed = Packed::new(Bytes::copy_from_slice(&content[..1000]), Some(file), PathBuf::new());
        let mut pieces = Vec::new();
        while let Some(piece) = packed.next().await.unwrap() {
            pieces.push(piece);
        }
        assert!(pieces[..pieces.len() - 1].iter().all(|piece| piece.len() >= PIECE));
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&pieces.concat()[..]).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == content);
    }
}
