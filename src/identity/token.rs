//! The access token of the sandbox.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

use super::{Kept, Secret};

/// The file with the hash of the token, for an agent that is started again.
const KEPT: &str = "token.sha512";

/// Holds what a metadata service tells about the token: SHA-512 in hexadecimal, of the empty text where none is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenHash(String);

impl TokenHash {
    /// Takes the text over; `None` for an empty one, which says nothing.
    #[must_use]
    pub fn new(hash: &str) -> Option<Self> {
        (!hash.is_empty()).then(|| Self(hash.to_ascii_lowercase()))
    }

    /// Says whether it is that of the token, or of no token.
    #[must_use]
    pub fn is_of(&self, token: Option<&Secret>) -> bool {
        self.is_of_bytes(token.map_or("", Secret::expose).as_bytes())
    }

    fn of(token: &[u8]) -> Self {
        Self(Sha512::digest(token).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn is_of_bytes(&self, token: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(Self::of(token).0.as_bytes()).into()
    }
}

/// Says why a host may not set or clear the token; the texts are envd's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It brought none, though one is in force or expected.
    #[error("access token reset not authorized")]
    Reset,
    /// It brought another one.
    #[error("access token validation failed")]
    Mismatch,
}

/// Keeps the access token; without one everything is open, as on a machine that was never given a token.
#[derive(Debug, Default)]
pub struct Gate {
    inner: RwLock<Inner>,
    kept: Option<Kept>,
}

#[derive(Debug, Default)]
struct Inner {
    lock: Lock,
    initialised: bool,
}

#[derive(Debug, Default)]
enum Lock {
    #[default]
    Open,
    Token(Secret),
    /// Whoever brings the token that belongs to it may pass.
    Expected(TokenHash),
}

impl Gate {
    /// Starts with a token, or open.
    #[must_use]
    pub fn new(token: Option<Secret>) -> Self {
        let gate = Self::default();
        gate.set(token);
        gate
    }

    /// Keeps the hash of each token from now on; the one that a predecessor kept is expected, unless there is a token.
    #[must_use]
    pub fn keeping(mut self, kept: Option<Kept>) -> Self {
        self.kept = kept;
        let left = self.kept.as_ref().and_then(|kept| kept.read(KEPT));
        if let Some(hash) = left.as_deref().and_then(TokenHash::new) {
            self.expect(&hash);
        }
        self
    }

    /// Gives the token in force, if it is known.
    #[must_use]
    pub fn token(&self) -> Option<Secret> {
        match &self.read().lock {
            Lock::Token(token) => Some(token.clone()),
            Lock::Open | Lock::Expected(_) => None,
        }
    }

    /// Replaces the token; `None` opens the gate.
    pub fn set(&self, token: Option<Secret>) {
        match (&self.kept, &token) {
            (Some(kept), Some(token)) => kept.write(KEPT, &TokenHash::of(token.expose().as_bytes()).0),
            (Some(kept), None) => kept.remove(KEPT),
            (None, _) => {}
        }
        self.write().lock = token.map_or(Lock::Open, Lock::Token);
    }

    /// Closes an open gate until somebody brings the token of this hash: an agent that was started again has lost the
    /// token, and its host may not come back before the next resume. Does nothing once a host has been there.
    pub fn expect(&self, hash: &TokenHash) {
        let mut inner = self.write();
        if !inner.initialised && matches!(inner.lock, Lock::Open) && !hash.is_of(None) {
            inner.lock = Lock::Expected(hash.clone());
        }
    }

    /// Says whether a request that presents `offered` may pass.
    #[must_use]
    pub fn admits(&self, offered: Option<&[u8]>) -> bool {
        let token = match (&self.read().lock, offered) {
            (Lock::Open, _) => return true,
            (_, None) => return false,
            (Lock::Token(token), Some(offered)) => return token.matches(offered),
            (Lock::Expected(hash), Some(offered)) if hash.is_of_bytes(offered) => String::from_utf8(offered.to_vec()),
            (Lock::Expected(_), Some(_)) => return false,
        };
        let Ok(token) = token else { return false };
        self.set(Some(Secret::new(token)));
        true
    }

    /// Says whether a host may set `offered`, or clear the token with `None`, given what the metadata service tells
    /// now. Without a token in force and without a hash anybody may: that is how a sandbox is set up.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn authorise(&self, offered: Option<&Secret>, told: Option<&TokenHash>) -> Result<(), TokenError> {
        let inner = self.read();
        let hash = match &inner.lock {
            Lock::Token(token) if offered.is_some_and(|offered| token.matches(offered.expose().as_bytes())) => {
                return Ok(());
            }
            Lock::Expected(expected) => Some(told.unwrap_or(expected)),
            Lock::Open | Lock::Token(_) => told,
        };
        match (hash, &inner.lock) {
            (Some(hash), _) if hash.is_of(offered) => Ok(()),
            (None, Lock::Open) => Ok(()),
            _ if offered.is_none() => Err(TokenError::Reset),
            _ => Err(TokenError::Mismatch),
        }
    }

    /// Says whether `offered` is the token in force, so that nobody needs to be asked.
    #[must_use]
    pub fn is_in_force(&self, offered: Option<&Secret>) -> bool {
        match (&self.read().lock, offered) {
            (Lock::Token(token), Some(offered)) => token.matches(offered.expose().as_bytes()),
            _ => false,
        }
    }

    /// Remembers that a host has set this guest up.
    pub fn set_initialised(&self) {
        self.write().initialised = true;
    }

    /// Says whether a host has set this guest up since the agent was started.
    #[must_use]
    pub fn is_initialised(&self) -> bool {
        self.read().initialised
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-512 of nothing, and of `A` (coreutils' sha512sum).
    const OF_NOTHING: &str = "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
                              47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";
    const OF_A: &str = "21b4f4bd9e64ed355c3eb676a28ebedaf6d8f17bdc365995b319097153044080\
                        516bd083bfcce66121a3072646994c8430cc382b8dc543e84880183bf856cff5";

    fn secret(text: Option<&str>) -> Option<Secret> {
        text.map(|text| Secret::new(text.to_owned()))
    }

    fn hash(text: Option<&str>) -> Option<TokenHash> {
        TokenHash::new(text.map_or("", |text| match text {
            "" => OF_NOTHING,
            "A" => OF_A,
            other => other,
        }))
    }

    #[test]
    fn a_hash_is_that_of_the_metadata_service() {
        assert!(hash(Some("A")).unwrap().is_of(secret(Some("A")).as_ref()));
        assert!(TokenHash::new(&OF_A.to_ascii_uppercase()).unwrap().is_of(secret(Some("A")).as_ref()));
        assert!(hash(Some("")).unwrap().is_of(None));
        assert!(!hash(Some("A")).unwrap().is_of(None));
        assert_eq!(TokenHash::new(""), None);
    }

    #[test]
    fn who_may_set_the_token() {
        let (reset, mismatch) = (Err(TokenError::Reset), Err(TokenError::Mismatch));
        for (stored, offered, told, outcome) in [
            // The first time, with nobody to ask.
            (None, None, None, Ok(())),
            (None, Some("B"), None, Ok(())),
            // The first time, with a metadata service.
            (None, Some("A"), Some("A"), Ok(())),
            (None, Some("B"), Some("A"), mismatch),
            (None, None, Some("A"), reset),
            (None, None, Some(""), Ok(())),
            // Confirmed, replaced, cleared.
            (Some("A"), Some("A"), None, Ok(())),
            (Some("A"), Some("A"), Some("nonsense"), Ok(())),
            (Some("B"), Some("A"), Some("A"), Ok(())),
            (Some("A"), None, Some(""), Ok(())),
            // Not so.
            (Some("A"), Some("B"), None, mismatch),
            (Some("A"), Some("B"), Some(""), mismatch),
            (Some("A"), None, None, reset),
            (Some("B"), None, Some("A"), reset),
        ] {
            let gate = Gate::new(secret(stored));
            let decided = gate.authorise(secret(offered).as_ref(), hash(told).as_ref());
            assert_eq!(decided, outcome, "{stored:?} {offered:?} {told:?}");
        }
    }

    #[test]
    fn an_expected_token_closes_the_gate_until_it_is_brought() {
        let gate = Gate::default();
        gate.expect(&hash(Some("A")).unwrap());
        assert!(!gate.admits(None) && !gate.admits(Some(b"B")));
        assert_eq!(gate.authorise(secret(Some("B")).as_ref(), None), Err(TokenError::Mismatch));
        assert_eq!(gate.authorise(None, None), Err(TokenError::Reset));
        assert_eq!(gate.authorise(None, hash(Some("")).as_ref()), Ok(()));
        assert!(gate.token().is_none());
        assert!(gate.admits(Some(b"A")));
        assert!(gate.token().is_some_and(|token| token.matches(b"A")));
    }

    #[test]
    fn a_successor_expects_the_token_that_was_in_force() {
        let folder = std::path::Path::new("/dev/shm").join(format!("thawd-gate-{}", std::process::id()));
        let start = || Gate::default().keeping(Kept::on(&folder));
        let first = start();
        assert!(first.admits(None));
        first.set(secret(Some("A")));
        assert!(!std::fs::read_to_string(folder.join(KEPT)).unwrap().contains('A'), "it is a hash");
        let second = start();
        assert!(!second.admits(None) && !second.admits(Some(b"B")) && second.admits(Some(b"A")));
        second.set(None);
        assert!(start().admits(None));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn only_an_open_gate_that_no_host_has_set_up_is_closed() {
        let open = Gate::default();
        open.expect(&hash(Some("")).unwrap());
        assert!(open.admits(None));
        open.set_initialised();
        open.expect(&hash(Some("A")).unwrap());
        assert!(open.admits(None) && open.is_initialised());
        let other = Gate::new(secret(Some("B")));
        other.expect(&hash(Some("A")).unwrap());
        assert!(other.admits(Some(b"B")) && !other.admits(Some(b"A")));
    }
}
