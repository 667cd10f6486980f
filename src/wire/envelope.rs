//! The five-byte envelope: flags and a big-endian length before each message.

use std::collections::VecDeque;

use bytes::Bytes;
use tonic::Status;

/// Size of the head of an envelope, in bytes.
pub(super) const HEAD: usize = 5;

/// Flag of a compressed message.
pub(super) const COMPRESSED: u8 = 0x01;

/// Flag of the last envelope of a Connect stream.
pub(super) const END_STREAM: u8 = 0x02;

/// Flag of the trailers of a gRPC-Web answer.
pub(super) const TRAILERS: u8 = 0x80;

/// Returns the head of an envelope, unless the message is too large for one.
pub(super) fn head(flags: u8, len: usize) -> Option<[u8; HEAD]> {
    let [a, b, c, d] = u32::try_from(len).ok()?.to_be_bytes();
    Some([flags, a, b, c, d])
}

/// Returns `message` in an envelope. For endings, which are small.
pub(super) fn seal(flags: u8, message: &[u8]) -> Bytes {
    let head = head(flags, message.len()).unwrap_or([flags, 0, 0, 0, 0]);
    Bytes::from([&head, message].concat())
}

/// Puts out a whole message in an envelope.
pub(super) fn put_message(message: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), Status> {
    let head =
        head(0, message.len()).ok_or_else(|| Status::resource_exhausted("message is larger than an envelope"))?;
    out.push_back(Bytes::copy_from_slice(&head));
    out.push_back(message);
    Ok(())
}

/// Cuts a run of bytes into whole envelopes, without copying where one is in one piece.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    rest: Bytes,
}

impl Cutter {
    pub(super) fn push(&mut self, chunk: Bytes) {
        self.rest = match self.rest.is_empty() {
            true => chunk,
            false => Bytes::from([&self.rest[..], &chunk[..]].concat()),
        };
    }

    /// Returns the next envelope, with its head.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let length = self.rest.get(1..HEAD)?.try_into().ok()?;
        let size = HEAD + u32::from_be_bytes(length) as usize;
        (self.rest.len() >= size).then(|| self.rest.split_to(size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cutter_finds_envelopes_in_any_pieces() {
        let (one, two) = (seal(0, b"hello"), seal(1, b""));
        let input = [&one[..], &two[..]].concat();
        for step in 1..=input.len() {
            let mut cutter = Cutter::default();
            let mut found = Vec::new();
            for piece in input.chunks(step) {
                cutter.push(Bytes::copy_from_slice(piece));
                found.extend(std::iter::from_fn(|| cutter.next()));
            }
            assert_eq!(found, [one.clone(), two.clone()], "step {step}");
        }
    }
}
