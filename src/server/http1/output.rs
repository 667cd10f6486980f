//! Bytes that are to be written.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};

use super::line::Line;

/// Data up to this size is copied behind what stands before it; more is written from where it is.
const COPIED: usize = 4 << 10;
/// Pieces handed to the kernel at a time.
const PIECES: usize = 16;

/// Keeps what is not written yet; nothing is allocated when there is nothing.
#[derive(Debug, Default)]
pub(super) struct Output {
    pieces: VecDeque<Bytes>,
    /// Stands behind the pieces.
    text: BytesMut,
}

impl Output {
    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum::<usize>() + self.text.len()
    }

    #[cfg(test)]
    pub(super) fn is_bare(&self) -> bool {
        self.pieces.capacity() == 0 && self.text.capacity() == 0
    }

    /// Where text is added.
    pub(super) fn text(&mut self) -> &mut BytesMut {
        &mut self.text
    }

    pub(super) fn push(&mut self, data: Bytes) {
        if data.len() <= COPIED {
            self.text.extend_from_slice(&data);
            return;
        }
        if !self.text.is_empty() {
            self.pieces.push_back(self.text.split().freeze());
        }
        self.pieces.push_back(data);
    }

    /// Writes all of it.
    pub(super) fn poll_write<T>(&mut self, cx: &mut Context<'_>, line: &Line<T>) -> Poll<io::Result<()>>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        while !(self.pieces.is_empty() && self.text.is_empty()) {
            let mut slices = [IoSlice::new(&[]); PIECES];
            let pieces = self.pieces.iter().map(|piece| &piece[..]).chain([&self.text[..]]);
            let filled = pieces.zip(&mut slices).map(|(piece, slice)| *slice = IoSlice::new(piece)).count();
            let written = ready!(line.poll_write(cx, &slices[..filled]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        *self = Self::default();
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        while written > 0 {
            let Some(first) = self.pieces.front_mut() else { return self.text.advance(written) };
            let length = first.len().min(written);
            first.advance(length);
            written -= length;
            if first.is_empty() {
                self.pieces.pop_front();
            }
        }
    }
}
