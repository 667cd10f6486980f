//! Counts the messages of a stream without reading them.

/// Bytes in front of each message: flags and length.
const HEAD_BYTES: usize = 5;
/// The flag of the message that ends a stream.
const END: u8 = 2;
/// Longest message that is kept to be looked at; output is longer.
const KEPT_BYTES: usize = 1024;

/// What has been read of a stream.
#[derive(Debug, Default)]
pub struct Envelopes {
    head: [u8; HEAD_BYTES],
    have: usize,
    left: usize,
    message: Vec<u8>,
    /// Messages that are complete.
    pub count: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// What to look for in the beginnings of messages.
    pub needle: Option<&'static [u8]>,
    /// Messages that had it.
    pub found: u64,
    /// The last short message but the one that ends the stream.
    pub last: Vec<u8>,
    /// The message that ended the stream.
    pub end: Option<Vec<u8>>,
}

impl Envelopes {
    /// Reads on.
    pub fn feed(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            if self.have < HEAD_BYTES {
                let length = piece.len().min(HEAD_BYTES - self.have);
                self.head[self.have..self.have + length].copy_from_slice(&piece[..length]);
                self.have += length;
                piece = &piece[length..];
                if self.have == HEAD_BYTES {
                    self.left = u32::from_be_bytes(self.head[1..].try_into().unwrap()) as usize;
                    self.bytes += self.left as u64;
                }
            }
            let length = piece.len().min(self.left);
            if self.message.len() < KEPT_BYTES {
                self.message.extend_from_slice(&piece[..length.min(KEPT_BYTES)]);
            }
            self.left -= length;
            piece = &piece[length..];
            if self.have == HEAD_BYTES && self.left == 0 {
                self.finish();
            }
        }
    }

    fn finish(&mut self) {
        self.count += 1;
        self.have = 0;
        let message = std::mem::take(&mut self.message);
        let found = |needle: &[u8]| message.windows(needle.len()).any(|window| window == needle);
        self.found += u64::from(self.needle.is_some_and(found));
        if self.head[0] & END != 0 {
            self.end = Some(message);
        } else if message.len() < KEPT_BYTES {
            self.last = message;
        }
    }

    /// Says that a program of this stream ended with code 0 (JSON and protobuf both hold these words), and the stream
    /// without an error.
    #[track_caller]
    pub fn assert_success(&self) {
        let text = String::from_utf8_lossy(&self.last);
        assert!(text.contains("exit status 0"), "the program failed: {text}");
        self.assert_end();
    }

    #[track_caller]
    pub fn assert_end(&self) {
        let end = self.end.as_deref().map(String::from_utf8_lossy).expect("the stream has an end");
        assert!(!end.contains("error"), "{end}");
    }
}
