//! Signed addresses of files: who holds one may read or write one path without the token.

use base64_simd::STANDARD_NO_PAD;
use http::{Method, Uri};
use sha2::{Digest, Sha256};

use super::guard::same;

/// What a signature covers, as the agent reads it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signed {
    path: String,
    operation: &'static str,
    username: String,
    expiration: Option<String>,
    signature: String,
}

impl Signed {
    /// Reads the address of a file; `None` where it has no signature. Whether it is still good is the agent's to say.
    pub(super) fn read(method: &Method, uri: &Uri) -> Option<Self> {
        let operation = match *method {
            Method::GET | Method::HEAD => "read",
            Method::POST => "write",
            _ => return None,
        };
        let query = uri.query().filter(|_| uri.path() == "/files")?;
        let value = |name: &str| {
            form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        Some(Self {
            signature: value("signature").filter(|signature| !signature.is_empty())?,
            path: value("path").unwrap_or_default(),
            username: value("username").unwrap_or_default(),
            expiration: value("signature_expiration").filter(|text| !text.is_empty()),
            operation,
        })
    }

    /// Tells whether the holder of `token` made this address.
    pub(super) fn is_by(&self, token: &str) -> bool {
        let mut text = format!("{}:{}:{}:{token}", self.path, self.operation, self.username);
        if let Some(expiration) = &self.expiration {
            text.push(':');
            text.push_str(expiration);
        }
        let hash = STANDARD_NO_PAD.encode_to_string(Sha256::digest(text.as_bytes()));
        same(&self.signature, &format!("v1_{hash}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(text: &str) -> String {
        format!("v1_{}", STANDARD_NO_PAD.encode_to_string(Sha256::digest(text.as_bytes())))
    }

    #[test]
    fn an_address_is_its_signers() {
        let of = |query: &str, method: &Method| Signed::read(method, &format!("/files?{query}").parse().unwrap());
        let escape = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let read = escape(&signature("/a b:read:user:tok"));
        let signed = of(&format!("path=%2Fa+b&username=user&signature={read}"), &Method::GET).unwrap();
        assert!(signed.is_by("tok") && !signed.is_by("other") && !signed.is_by(""));
        let write = of(&format!("path=%2Fa%20b&username=user&signature={read}"), &Method::POST).unwrap();
        assert!(!write.is_by("tok"), "an address to read is none to write");
        let until = escape(&signature("/a:write::tok:99"));
        let signed = of(&format!("signature_expiration=99&signature={until}&path=/a"), &Method::POST).unwrap();
        assert!(signed.is_by("tok"));
        let longer = of(&format!("signature_expiration=100&signature={until}&path=/a"), &Method::POST).unwrap();
        assert!(!longer.is_by("tok"));
        assert_eq!(of("path=/a", &Method::GET), None);
        assert_eq!(of("path=/a&signature=", &Method::GET), None);
        assert_eq!(of("path=/a&signature=v1_x", &Method::DELETE), None);
        assert_eq!(Signed::read(&Method::GET, &"/file?signature=v1_x".parse().unwrap()), None);
    }
}
