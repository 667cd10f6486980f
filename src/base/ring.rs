//! Output kept by absolute offset: bounded, in the order it came, with explicit gaps.
//!
//! An offset counts the bytes of all channels together since the program started, so one number says where a
//! reader stands. Chunks are reference-counted: reading one copies nothing.

use std::collections::VecDeque;

use bytes::Bytes;

/// What a chunk costs besides its bytes: its place in the queue and the head of its allocation. Without it, a program
/// that writes single bytes would fill a hundred times the limit.
const CHUNK_COST: usize = 128;

/// Keeps the last chunks of a stream of `K`-marked bytes.
#[derive(Debug)]
pub struct Ring<K> {
    chunks: VecDeque<Chunk<K>>,
    /// Offset just behind the newest byte.
    end: u64,
    /// Bytes that the chunks take, their own cost included.
    held: usize,
    limit: usize,
}

/// Holds bytes of one channel and where they start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk<K> {
    /// Absolute offset of the first byte.
    pub start: u64,
    /// Which channel they came from.
    pub channel: K,
    /// The bytes; never empty.
    pub bytes: Bytes,
}

impl<K: Copy> Ring<K> {
    /// Makes an empty ring that takes at most `limit` bytes of memory, and the newest chunk whatever its size.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { chunks: VecDeque::new(), end: 0, held: 0, limit }
    }

    /// Tells the offset behind the newest byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Tells the offset of the oldest byte still held.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.chunks.front().map_or(self.end, |chunk| chunk.start)
    }

    /// Tells how much memory the chunks take.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Tells where the ring would start after a push of `length` bytes: readers before it would lose bytes.
    #[must_use]
    pub fn start_after(&self, length: usize) -> u64 {
        let mut held = self.held + cost(length);
        for chunk in &self.chunks {
            if held <= self.limit {
                return chunk.start;
            }
            held -= cost(chunk.bytes.len());
        }
        self.end
    }

    /// Appends bytes and drops the oldest chunks beyond the limit.
    pub fn push(&mut self, channel: K, bytes: Bytes) {
        self.append(channel, bytes);
        self.shrink();
    }

    /// Appends bytes and drops nothing; the next [`Ring::push`] makes up for it.
    pub fn append(&mut self, channel: K, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.held += cost(bytes.len());
        let start = self.end;
        self.end += bytes.len() as u64;
        self.chunks.push_back(Chunk { start, channel, bytes });
    }

    /// Takes at most `limit` bytes from now on; 0 keeps nothing at all.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.shrink();
        self.chunks.shrink_to_fit();
    }

    fn shrink(&mut self) {
        let keep = usize::from(self.limit > 0);
        while self.held > self.limit && self.chunks.len() > keep {
            if let Some(chunk) = self.chunks.pop_front() {
                self.held -= cost(chunk.bytes.len());
            }
        }
    }

    /// Gives the chunk at `offset`, cut to start there, or the oldest one when `offset` has been dropped.
    ///
    /// `None` means that nothing was written at or behind `offset` yet. A gap shows as a start greater than asked.
    #[must_use]
    pub fn read(&self, offset: u64) -> Option<Chunk<K>> {
        if offset >= self.end {
            return None;
        }
        let index = self.chunks.partition_point(|chunk| chunk.start <= offset).saturating_sub(1);
        let chunk = self.chunks.get(index)?;
        let skip = usize::try_from(offset.saturating_sub(chunk.start)).unwrap_or(usize::MAX);
        if skip >= chunk.bytes.len() {
            return None;
        }
        Some(Chunk { start: chunk.start + skip as u64, channel: chunk.channel, bytes: chunk.bytes.slice(skip..) })
    }
}

fn cost(length: usize) -> usize {
    length + CHUNK_COST
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a ring with room for so many chunks of three bytes.
    fn filled(room: usize, chunks: &[&'static str]) -> Ring<u8> {
        let mut ring = Ring::new(room * cost(3));
        for chunk in chunks {
            ring.push(1, Bytes::from_static(chunk.as_bytes()));
        }
        ring
    }

    #[test]
    fn every_offset_reads_the_bytes_that_were_written_there() {
        let whole = "abcdefghij";
        let ring = filled(10, &["abc", "d", "efgh", "ij"]);
        for offset in 0..10u64 {
            let mut text = Vec::new();
            let mut at = offset;
            while let Some(chunk) = ring.read(at) {
                assert_eq!(chunk.start, at);
                at += chunk.bytes.len() as u64;
                text.extend_from_slice(&chunk.bytes);
            }
            assert_eq!(text, &whole.as_bytes()[usize::try_from(offset).unwrap()..]);
        }
        assert_eq!(ring.read(10), None);
    }

    #[test]
    fn a_reader_that_fell_behind_sees_a_gap_and_not_other_bytes() {
        let ring = filled(2, &["abc", "def", "ghi"]);
        assert_eq!((ring.start(), ring.end()), (3, 9));
        assert_eq!(ring.read(0).unwrap(), Chunk { start: 3, channel: 1, bytes: Bytes::from_static(b"def") });
    }

    #[test]
    fn start_after_tells_what_a_push_will_drop() {
        for length in 1..500 {
            let mut ring = filled(3, &["abc", "def", "g"]);
            let told = ring.start_after(length);
            ring.push(2, Bytes::from(vec![0; length]));
            assert_eq!(ring.start(), told, "{length}");
        }
    }

    #[test]
    fn a_limit_of_nothing_keeps_nothing() {
        let mut ring = filled(2, &["abc"]);
        ring.set_limit(0);
        ring.push(1, Bytes::from_static(b"x"));
        assert_eq!((ring.start(), ring.end(), ring.read(0)), (4, 4, None));
    }

    #[test]
    fn the_newest_chunk_is_kept_whatever_its_size() {
        let ring = filled(1, &["abc", "defgh"]);
        assert_eq!((ring.start(), ring.end()), (3, 8));
    }
}
