//! Messages and their attributes: a head of 16 bytes, a fixed body, then attributes, all on 4-byte boundaries.

use std::io;

/// Length of `struct nlmsghdr`.
const HEAD: usize = 16;
/// Length of `struct nlattr`.
const ATTRIBUTE: usize = 4;
/// Bits of an attribute's type that are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
const TYPE: u16 = 0x3fff;
/// NLM_F_REQUEST.
const REQUEST: u16 = 1;

/// A message to the kernel, being written.
#[derive(Debug, Default)]
pub struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// Begins a message of a kind, with its fixed body.
    #[must_use]
    pub fn new(kind: u16, body: &[u8]) -> Self {
        let mut message = Self { bytes: Vec::with_capacity(128) };
        message.bytes.extend([0; 4]);
        message.bytes.extend(kind.to_ne_bytes());
        message.bytes.extend([0; HEAD - 6]);
        message.bytes.extend(body);
        message.pad();
        message
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(ATTRIBUTE + value.len()).unwrap_or(u16::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.pad();
        self
    }

    /// Sets length and flags, and gives the bytes to send; may be called again.
    pub fn finish(&mut self, flags: i32) -> &[u8] {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let flags = u16::try_from(flags).unwrap_or(0) | REQUEST;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        &self.bytes
    }

    /// Numbers the message, so that a refusal can be told from others.
    pub fn number(&mut self, sequence: u32) {
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// A message of the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Its type.
    pub kind: u16,
    /// The number of the request that it answers.
    pub sequence: u32,
    /// What follows the head.
    pub body: &'a [u8],
}

impl Received<'_> {
    /// Reads an NLMSG_ERROR: the kernel's refusal, or its consent.
    ///
    /// # Errors
    /// The refusal.
    pub fn refusal(&self) -> io::Result<()> {
        match self.body.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)) {
            Some(0) => Ok(()),
            Some(error) => Err(io::Error::from_raw_os_error(error.saturating_neg())),
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Takes messages out of what one read gave; ends at the first that is broken.
#[derive(Clone, Copy, Debug)]
pub struct Messages<'a> {
    left: &'a [u8],
}

impl<'a> Messages<'a> {
    /// Begins at the first message.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Received<'a>;

    fn next(&mut self) -> Option<Received<'a>> {
        let head: &[u8; HEAD] = self.left.first_chunk()?;
        let length = usize::try_from(u32::from_ne_bytes([head[0], head[1], head[2], head[3]])).ok()?;
        let body = self.left.get(HEAD..length)?;
        let kind = u16::from_ne_bytes([head[4], head[5]]);
        let sequence = u32::from_ne_bytes([head[8], head[9], head[10], head[11]]);
        self.left = self.left.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Received { kind, sequence, body })
    }
}

/// Takes the attributes out of what follows a fixed body; ends at the first that is broken.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    left: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Begins behind a fixed body of `fixed` bytes.
    #[must_use]
    pub fn after(body: &'a [u8], fixed: usize) -> Self {
        Self { left: body.get(fixed.next_multiple_of(4)..).unwrap_or_default() }
    }

    /// Finds the first attribute of a kind.
    #[must_use]
    pub fn find(mut self, kind: u16) -> Option<&'a [u8]> {
        Iterator::find(&mut self, |(found, _)| *found == kind).map(|(_, value)| value)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let head: &[u8; ATTRIBUTE] = self.left.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let value = self.left.get(ATTRIBUTE..length)?;
        self.left = self.left.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([head[2], head[3]]) & TYPE, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut message = Message::new(20, b"abcde").with(1, b"x").with(7 | 0x8000, b"12345");
        message.number(9);
        let bytes = [message.finish(4).to_vec(), Message::new(3, b"").finish(0).to_vec()].concat();
        let mut read = Messages::new(&bytes);
        let first = read.next().unwrap();
        assert_eq!((first.kind, first.sequence), (20, 9));
        let attributes = Attributes::after(first.body, 5);
        assert_eq!(attributes.collect::<Vec<_>>(), [(1, &b"x"[..]), (7, b"12345")]);
        assert_eq!(attributes.find(7), Some(&b"12345"[..]));
        assert_eq!(attributes.find(2), None);
        assert_eq!(read.next().unwrap().kind, 3);
        assert!(read.next().is_none());
    }

    #[test]
    fn broken_messages_end_the_list() {
        let whole = Message::new(20, b"abcdefgh").with(1, b"x").finish(0).to_vec();
        for cut in 0..whole.len() {
            assert!(Messages::new(&whole[..cut]).next().is_none_or(|message| message.body.len() < 13), "{cut}");
        }
        for length in [0_u16, 3, 200] {
            let body = [length.to_ne_bytes(), [1, 0]].concat();
            assert!(Attributes::after(&body, 0).next().is_none());
        }
        assert!(Messages::new(&[0; 16]).next().is_none());
        assert!(Attributes::after(&[], 8).next().is_none());
    }
}
