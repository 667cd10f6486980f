//! The access token of the sandbox.

use std::sync::{PoisonError, RwLock};

use super::Secret;

/// Keeps the access token; without one everything is open, as on a machine that was never given a token.
#[derive(Debug, Default)]
pub struct Gate {
    token: RwLock<Option<Secret>>,
}

impl Gate {
    /// Starts with a token, or open.
    #[must_use]
    pub fn new(token: Option<Secret>) -> Self {
        Self { token: RwLock::new(token) }
    }

    /// Gives the token in force.
    #[must_use]
    pub fn token(&self) -> Option<Secret> {
        self.token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the token; `None` opens the gate.
    pub fn set(&self, token: Option<Secret>) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Says whether a request that presents `offered` may pass.
    #[must_use]
    pub fn admits(&self, offered: Option<&[u8]>) -> bool {
        match (self.token.read().unwrap_or_else(PoisonError::into_inner).as_ref(), offered) {
            (None, _) => true,
            (Some(token), Some(offered)) => token.matches(offered),
            (Some(_), None) => false,
        }
    }
}
