//! The framing of a body whose length nobody knows beforehand (RFC 9112, 7.1).

use bytes::{Buf, Bytes, BytesMut};

/// Bytes that extensions and trailers may have, which nobody reads.
const UNREAD: usize = 16 << 10;

/// Where in the framing the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The digits of a size, of which there was one or not.
    Size {
        begun: bool,
    },
    /// White space behind a size.
    Space,
    /// Extensions behind it.
    Extension,
    /// The `\n` behind a size.
    SizeEnd,
    Data,
    /// `\r` and `\n` behind data.
    DataEnd,
    DataEnded,
    /// The first byte of a line of trailers, or the `\r` of the last line.
    Trailer,
    /// Inside of such a line.
    Line,
    /// The `\n` behind a line of trailers, and behind all.
    LineEnd,
    Last,
}

/// Takes chunks apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunks {
    at: At,
    /// Of the chunk's data.
    left: u64,
    unread: usize,
}

/// What the bytes so far gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Data(Bytes),
    /// More bytes are needed.
    More,
    End,
}

/// Says that a body is not made of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chunks of a body are malformed")]
pub(in crate::server) struct Malformed;

impl Chunks {
    pub(super) fn new() -> Self {
        Self { at: At::Size { begun: false }, left: 0, unread: 0 }
    }

    /// Takes the next piece off the front of `bytes`.
    pub(super) fn take(&mut self, bytes: &mut BytesMut) -> Result<Piece, Malformed> {
        while let Some(&byte) = bytes.first() {
            if self.at == At::Data {
                let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                self.left -= length as u64;
                if self.left == 0 {
                    self.at = At::DataEnd;
                }
                return Ok(Piece::Data(bytes.split_to(length).freeze()));
            }
            bytes.advance(1);
            if self.at == At::Last {
                return if byte == b'\n' { Ok(Piece::End) } else { Err(Malformed) };
            }
            self.at = self.behind(byte)?;
        }
        Ok(Piece::More)
    }

    fn behind(&mut self, byte: u8) -> Result<At, Malformed> {
        Ok(match (self.at, byte) {
            (At::Size { .. }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
                let grown = self.left.checked_mul(16).and_then(|left| left.checked_add(digit.into()));
                self.left = grown.ok_or(Malformed)?;
                At::Size { begun: true }
            }
            (At::Size { begun: true } | At::Space | At::Extension, b'\r') => At::SizeEnd,
            (At::Size { begun: true } | At::Space, b' ' | b'\t') => self.pass(At::Space)?,
            (At::Size { begun: true } | At::Space, b';') => At::Extension,
            (At::Extension, byte) if byte != b'\n' => self.pass(At::Extension)?,
            (At::SizeEnd, b'\n') if self.left > 0 => At::Data,
            (At::SizeEnd, b'\n') | (At::LineEnd, b'\n') => At::Trailer,
            (At::DataEnd, b'\r') => At::DataEnded,
            (At::DataEnded, b'\n') => At::Size { begun: false },
            (At::Trailer, b'\r') => At::Last,
            (At::Line, b'\r') => At::LineEnd,
            (At::Trailer | At::Line, byte) if byte != b'\n' => self.pass(At::Line)?,
            _ => return Err(Malformed),
        })
    }

    /// Counts a byte that nobody reads.
    fn pass(&mut self, at: At) -> Result<At, Malformed> {
        self.unread += 1;
        if self.unread > UNREAD { Err(Malformed) } else { Ok(at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out when `text` comes in pieces of `step` bytes: the data, whether it ended, and what is left over.
    fn read(text: &str, step: usize) -> Result<(Vec<u8>, bool, usize), Malformed> {
        let (mut chunks, mut bytes, mut data) = (Chunks::new(), BytesMut::new(), Vec::new());
        for piece in text.as_bytes().chunks(step) {
            bytes.extend_from_slice(piece);
            loop {
                match chunks.take(&mut bytes)? {
                    Piece::Data(piece) => data.extend_from_slice(&piece),
                    Piece::More => break,
                    Piece::End => return Ok((data, true, bytes.len())),
                }
            }
        }
        Ok((data, false, bytes.len()))
    }

    #[test]
    fn data_is_the_same_however_it_is_cut() {
        let text = "3\r\nabc\r\n00a;name=\"v\"\r\n0123456789\r\n1 \r\n!\r\n0\r\nTrailer: x\r\n\r\n";
        for step in 1..text.len() {
            assert_eq!(read(text, step), Ok((b"abc0123456789!".to_vec(), true, 0)), "{step}");
        }
        assert_eq!(read("1\r\na\r\n0\r\n\r\nGET /", 100), Ok((b"a".to_vec(), true, 5)));
        assert_eq!(read("5\r\nab", 100), Ok((b"ab".to_vec(), false, 0)));
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for wrong in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "1\na\r\n",
            "1\r\nab\r\n",
            "1\r\na\n0\r\n\r\n",
            "ffffffffffffffff0\r\n",
            "0\r\n\n",
            "0\r\nA: b\n\r\n",
            "1;a\nb\r\n",
            "0\r\n\rX",
            "+1\r\n",
            " 1\r\n",
            "1 1\r\n",
        ] {
            assert!(read(wrong, 1).is_err(), "{wrong:?}");
        }
        assert!(read(&format!("1;{}\r\n", "x".repeat(UNREAD)), 100).is_ok());
        assert!(read(&format!("1;{}", "x".repeat(UNREAD + 1)), 100).is_err());
        assert!(read(&format!("0\r\n{}", "A: b\r\n".repeat(UNREAD / 4 + 1)), 100).is_err());
    }
}
