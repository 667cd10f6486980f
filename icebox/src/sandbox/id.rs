//! Names of sandboxes.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use crate::folder::random;

/// Letters of an id: it becomes a label of a host name (`PORT-ID.DOMAIN`), where upper case and `_` are lost.
const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
/// As many as E2B's have; 103 bits.
const LENGTH: usize = 20;

/// The name of a sandbox: 20 of `[a-z0-9]`, the first one `i`, never used twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SandboxId(String);

impl SandboxId {
    /// Draws a new one.
    ///
    /// # Errors
    /// What the kernel said when it was asked for random bytes.
    pub fn new() -> io::Result<Self> {
        let mut bytes = [0; LENGTH];
        random(&mut bytes)?;
        // 256 is no multiple of 36: the first letters come 14 % more often, which costs a tenth of a bit in all.
        let letters = bytes.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
        Ok(Self(std::iter::once('i').chain(letters.skip(1)).collect()))
    }

    /// Takes what a client names; whether there is such a sandbox is another question.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_label = !text.is_empty() && text.len() <= 63;
        let letters = text.bytes().all(|byte| LETTERS.contains(&byte));
        (is_label && letters).then(|| Self(text.into()))
    }

    /// Gives its letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SandboxId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_labels_of_a_host_name_and_differ() {
        let (one, other) = (SandboxId::new().unwrap(), SandboxId::new().unwrap());
        assert_ne!(one, other);
        assert_eq!(SandboxId::parse(one.as_str()), Some(one.clone()));
        assert_eq!(one.as_str().len(), LENGTH);
        for text in ["", "A", "a-b", "a.b", &"a".repeat(64)] {
            assert_eq!(SandboxId::parse(text), None, "{text}");
        }
    }
}
