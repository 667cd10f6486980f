//! Signed file URLs: who holds one may read or write one path without the token.

use sha2::{Digest, Sha256};

use super::Secret;

/// Names what a signed URL allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `GET /files`.
    Read,
    /// `POST /files`.
    Write,
}

/// Holds the parts of a URL that its signature covers, as they were sent.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// Raw value of `path`, empty when absent.
    pub path: &'a str,
    /// What the URL is for.
    pub operation: Operation,
    /// Raw value of `username`, empty when absent.
    pub username: &'a str,
    /// `signature_expiration`, seconds since the epoch.
    pub expiration: Option<i64>,
}

/// Says why a signed URL is refused; the texts are those that published clients show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The URL has no signature at all.
    #[error("missing signature query parameter")]
    Missing,
    /// The signature is not of this URL.
    #[error("invalid signature")]
    Mismatch,
    /// The signature was right once.
    #[error("signature is already expired")]
    Expired,
}

impl Signed<'_> {
    /// Computes the signature: `v1_` and unpadded base64 of SHA-256 over `path:operation:user:token[:expiration]`.
    #[must_use]
    pub fn signature(&self, token: &Secret) -> String {
        let operation = match self.operation {
            Operation::Read => "read",
            Operation::Write => "write",
        };
        let mut hash = Sha256::new();
        for part in [self.path, ":", operation, ":", self.username, ":", token.expose()] {
            hash.update(part.as_bytes());
        }
        if let Some(expiration) = self.expiration {
            hash.update(format!(":{expiration}").as_bytes());
        }
        format!("v1_{}", base64_simd::STANDARD_NO_PAD.encode_to_string(hash.finalize()))
    }

    /// Checks a signature against the token and the time `now` (seconds since the epoch).
    ///
    /// # Errors
    /// In this order: missing, mismatch, expired.
    pub fn verify(&self, token: &Secret, signature: Option<&str>, now: i64) -> Result<(), SignatureError> {
        let signature = signature.ok_or(SignatureError::Missing)?;
        if !Secret::new(self.signature(token)).matches(signature.as_bytes()) {
            return Err(SignatureError::Mismatch);
        }
        match self.expiration {
            Some(expiration) if expiration < now => Err(SignatureError::Expired),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: Signed<'_> =
        Signed { path: "/tmp/a:b", operation: Operation::Read, username: "user", expiration: Some(100) };

    #[test]
    fn a_signature_is_checked_in_the_order_of_the_contract() {
        let token = Secret::new("t0k".into());
        let good = URL.signature(&token);
        assert_eq!(URL.verify(&token, None, 0), Err(SignatureError::Missing));
        assert_eq!(URL.verify(&token, Some("v1_x"), 0), Err(SignatureError::Mismatch));
        assert_eq!(URL.verify(&token, Some(&good), 101), Err(SignatureError::Expired));
        assert_eq!(URL.verify(&token, Some(&good), 100), Ok(()));
        let without = Signed { expiration: None, ..URL }.signature(&token);
        assert_eq!(URL.verify(&token, Some(&without), 0), Err(SignatureError::Mismatch));
    }

    #[test]
    fn a_signature_is_the_one_that_the_published_sdks_compute() {
        // sha256("/a:read:user:tok"), base64 without padding: computed with Python's hashlib.
        let url = Signed { path: "/a", operation: Operation::Read, username: "user", expiration: None };
        assert_eq!(url.signature(&Secret::new("tok".into())), PYTHON_SIGNATURE);
    }

    const PYTHON_SIGNATURE: &str = "v1_Fh5abAPjRBN6FHQ5HTJwGAHjHfzJmhV0f2EtHLgLVa0";
}
