//! Frames of a body, gathered to batches that are worth a visit to the disk.

use bytes::{Bytes, BytesMut};

/// Bytes of a batch: a visit to the blocking pool costs about 10 us, writing this much about 50.
pub(super) const BATCH: usize = 256 * 1024;
/// Frames below this are copied together: each costs bookkeeping, and a reference keeps a whole network buffer alive.
const SMALL: usize = 4 * 1024;

/// Collects frames in order.
#[derive(Debug, Default)]
pub(super) struct Gather {
    frames: Vec<Bytes>,
    small: BytesMut,
    length: usize,
}

impl Gather {
    /// Takes a frame; says whether there is enough for a batch.
    pub(super) fn push(&mut self, frame: Bytes) -> bool {
        self.length += frame.len();
        if frame.len() < SMALL {
            self.small.extend_from_slice(&frame);
        } else {
            self.settle();
            self.frames.push(frame);
        }
        self.length >= BATCH
    }

    /// Gives all that was collected.
    pub(super) fn take(&mut self) -> Vec<Bytes> {
        self.settle();
        self.length = 0;
        std::mem::take(&mut self.frames)
    }

    fn settle(&mut self) {
        if !self.small.is_empty() {
            self.frames.push(self.small.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_any_size_keep_their_order_and_small_ones_are_joined() {
        let mut gather = Gather::default();
        let mut want = Vec::new();
        let mut enough = false;
        for (at, length) in [1, 2, 5000, 3, 4095, 4096, 7, 0, 1].into_iter().cycle().take(300).enumerate() {
            let frame = vec![u8::try_from(at % 251).unwrap(); length];
            want.extend_from_slice(&frame);
            enough = gather.push(frame.into());
        }
        assert!(enough);
        let batch = gather.take();
        assert_eq!(batch.concat(), want);
        assert!(batch.len() < 200);
        assert!(gather.take().is_empty());
    }
}
