//! A gzip body, unpacked as it arrives.

use std::io::{self, Write as _};

use bytes::{Buf, Bytes};
use flate2::write::MultiGzDecoder;

/// Bytes of a piece: unpacking it takes well below a millisecond of the thread that serves everybody.
const PIECE: usize = 64 * 1024;

/// Unpacks all members of a gzip stream; memory is bounded whatever the input unpacks to.
#[derive(Debug)]
pub(super) struct Inflate {
    packed: Bytes,
    decoder: MultiGzDecoder<Vec<u8>>,
}

impl Inflate {
    /// Starts at the beginning of a stream.
    pub(super) fn new() -> Self {
        Self { packed: Bytes::new(), decoder: MultiGzDecoder::new(Vec::new()) }
    }

    /// Takes packed bytes; only when [`Inflate::next`] has nothing more to give.
    pub(super) fn feed(&mut self, packed: Bytes) {
        self.packed = packed;
    }

    /// Gives the next piece, `None` when it needs more packed bytes.
    pub(super) fn next(&mut self) -> io::Result<Option<Bytes>> {
        while !self.packed.is_empty() {
            if self.decoder.get_ref().len() >= PIECE {
                return Ok(Some(self.take()));
            }
            let count = self.decoder.write(&self.packed)?;
            if count == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.packed.advance(count);
        }
        let enough = self.decoder.get_ref().len() >= PIECE;
        Ok(enough.then(|| self.take()))
    }

    /// Ends the stream: checks that it is whole and gives what is left.
    pub(super) fn finish(&mut self) -> io::Result<Bytes> {
        self.decoder.try_finish()?;
        Ok(self.take())
    }

    fn take(&mut self) -> Bytes {
        std::mem::take(self.decoder.get_mut()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    fn pack(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(packed: &[u8], step: usize) -> io::Result<Vec<u8>> {
        let mut inflate = Inflate::new();
        let mut all = Vec::new();
        for part in packed.chunks(step) {
            inflate.feed(Bytes::copy_from_slice(part));
            while let Some(piece) = inflate.next()? {
                assert!(piece.len() <= 2 * PIECE, "{}", piece.len());
                all.extend_from_slice(&piece);
            }
        }
        all.extend_from_slice(&inflate.finish()?);
        Ok(all)
    }

    #[test]
    fn members_are_unpacked_one_after_another_at_any_cut() {
        let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let packed = [pack(&content), pack(b""), pack(b"tail")].concat();
        let want = [&content[..], b"tail"].concat();
        for step in [1, 7, 1000, packed.len()] {
            assert!(unpack(&packed, step).unwrap() == want, "{step}");
        }
    }

    #[test]
    fn a_bomb_comes_out_in_small_pieces() {
        let packed = pack(&vec![0; 64 << 20]);
        assert_eq!(unpack(&packed, packed.len()).unwrap().len(), 64 << 20);
    }

    #[test]
    fn every_truncation_and_garbage_is_an_error() {
        let packed = pack(b"some text that is long enough to have several bytes of content");
        for end in 0..packed.len() {
            assert!(unpack(&packed[..end], 1000).is_err(), "cut at {end}");
        }
        let mut wrong = packed.clone();
        let at = wrong.len() - 6;
        wrong[at] ^= 1;
        assert!(unpack(&wrong, 1000).is_err(), "checksum");
        assert!(unpack(b"plain text, not gzip at all", 1000).is_err());
        assert!(unpack(&[&packed[..], b"trailing garbage that is no member"].concat(), 1000).is_err());
    }
}
