//! What every request on `/files` is asked first.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, StatusCode};

use super::Shared;
use super::query::Query;
use crate::http::status::Refusal;
use crate::identity::signature::{Operation, Signed};
use crate::identity::{IdentityError, ResolvedPath, User};

/// Header that carries the access token.
const TOKEN: &str = "x-access-token";

impl Shared {
    /// Checks the token in the header or else the signature of the URL; without a token in force there is no check.
    pub(super) fn admit(&self, query: &Query, headers: &HeaderMap, operation: Operation) -> Result<(), Refusal> {
        let refused = |why: String| Refusal::new(StatusCode::UNAUTHORIZED, why);
        let offered = headers.get(TOKEN).filter(|offered| !offered.is_empty());
        if self.gate.admits(offered.map(http::HeaderValue::as_bytes)) {
            return Ok(());
        }
        if offered.is_some() {
            return Err(refused("access token present in header but does not match".to_owned()));
        }
        let Some(token) = self.gate.token() else {
            // One is expected, but not known yet: no signature can be checked.
            return Err(refused("the sandbox waits for its access token".to_owned()));
        };
        let signed = Signed {
            path: query.path.as_deref().unwrap_or(""),
            operation,
            username: query.username.as_deref().unwrap_or(""),
            expiration: query.expiration,
        };
        signed.verify(&token, query.signature.as_deref(), now()).map_err(|error| refused(error.to_string()))
    }

    /// Finds the user that a request names, or the default one.
    pub(super) fn user(&self, name: Option<&str>) -> Result<User, Refusal> {
        let name = name.filter(|name| !name.is_empty()).map_or_else(|| self.defaults.user(), str::to_owned);
        self.accounts.user(&name).map_err(|error| match error {
            IdentityError::UnknownUser(_) => {
                let message = format!("error looking up user '{name}': user: unknown user {name}");
                Refusal::new(StatusCode::UNAUTHORIZED, message)
            }
            other => Refusal::from_failure(&other),
        })
    }

    /// Resolves a path as the user means it.
    pub(super) fn path(&self, raw: &str, user: &User) -> Result<PathBuf, Refusal> {
        let workdir = self.defaults.workdir();
        let path = ResolvedPath::resolve(raw, user, workdir.as_deref());
        path.map(ResolvedPath::into_path).map_err(|error| Refusal::from_failure(&error))
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
