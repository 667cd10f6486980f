//! Buffers that go round: the client's socket gives back what the disk needs next.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Keeps the buffers of one download; new ones would cost a page fault every 4 KiB.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

/// Owns one buffer while its bytes are on their way.
struct Lent {
    buffer: Vec<u8>,
    pool: Pool,
}

impl Pool {
    /// Gives an empty buffer, used before if there is one.
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Makes bytes of a buffer, which returns here when the last of them is dropped.
    pub(super) fn lend(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { buffer, pool: self.clone() })
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        self.pool.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_last_byte_is_dropped() {
        let pool = Pool::default();
        let mut buffer = pool.take();
        buffer.extend_from_slice(b"0123456789");
        let place = buffer.as_ptr();
        let bytes = pool.lend(buffer);
        let tail = bytes.slice(5..);
        drop(bytes);
        assert_eq!(&tail[..], b"56789");
        drop(tail);
        let again = pool.take();
        assert!(again.is_empty() && again.capacity() >= 10);
        assert_eq!(again.as_ptr(), place);
    }
}
