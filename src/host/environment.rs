//! The variables that every program gets.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

/// Keeps the guest-wide variables: ours, which nobody overrides, and the user's, which `/init` replaces as a whole.
#[derive(Debug, Default)]
pub struct Environment {
    inner: RwLock<Layers>,
}

#[derive(Debug, Default)]
struct Layers {
    internal: BTreeMap<String, String>,
    user: BTreeMap<String, String>,
}

impl Environment {
    /// Starts with internal variables only.
    #[must_use]
    pub fn new(internal: impl IntoIterator<Item = (String, String)>) -> Self {
        let layers = Layers { internal: internal.into_iter().collect(), user: BTreeMap::new() };
        Self { inner: RwLock::new(layers) }
    }

    /// Sets a variable of ours; `is_internal` must know its name.
    pub fn set_internal(&self, name: &str, value: &str) {
        debug_assert!(is_internal(name), "{name} could be hidden by a user");
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.internal.insert(name.to_owned(), value.to_owned());
    }

    /// Replaces all user variables; names that are ours are ignored.
    pub fn replace_user(&self, variables: impl IntoIterator<Item = (String, String)>) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let user = variables.into_iter().filter(|(name, _)| !is_internal(name)).collect();
        inner.user = user;
    }

    /// Gives the variables of the user.
    #[must_use]
    pub fn users(&self) -> BTreeMap<String, String> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).user.clone()
    }

    /// Gives all variables, each once.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, String> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = inner.user.clone();
        all.extend(inner.internal.iter().map(|(name, value)| (name.clone(), value.clone())));
        all
    }
}

/// Says whether a variable is the platform's to set, now or later in this guest's life.
fn is_internal(name: &str) -> bool {
    matches!(name, "E2B_SANDBOX" | "E2B_SANDBOX_ID" | "E2B_TEMPLATE_ID" | "E2B_EVENTS_ADDRESS")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn user_variables_are_replaced_as_a_whole_and_never_hide_ours() {
        let environment = Environment::new(pairs(&[("E2B_SANDBOX", "false")]));
        environment.replace_user(pairs(&[("A", "1"), ("B", "2")]));
        environment.replace_user(pairs(&[("A", "3"), ("E2B_SANDBOX", "x"), ("E2B_SANDBOX_ID", "y")]));
        assert_eq!(environment.all().into_iter().collect::<Vec<_>>(), pairs(&[("A", "3"), ("E2B_SANDBOX", "false")]));
    }
}
