//! One account of the guest.

use std::path::PathBuf;

use super::IdentityError;

/// Holds one account as the kernel needs it: ids, all groups, home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Login name, or the number as text when only a number was given and no account has it.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Primary group and all memberships of `/etc/group`, without repeats, primary first.
    pub groups: Vec<u32>,
    /// Home folder; `/` for a number without an account.
    pub home: PathBuf,
}

/// Carries what a request said about its user from the authentication layer to the edges.
#[derive(Clone, Debug, Default)]
pub enum Caller {
    /// The request named nobody: the default user is meant.
    #[default]
    Default,
    /// The request named this existing account.
    Named(User),
}

impl Caller {
    /// Gives the account to act as, falling back to the default user.
    ///
    /// # Errors
    /// [`IdentityError::UnknownDefaultUser`] when the default account does not exist.
    pub fn resolve(&self, accounts: &super::Accounts, defaults: &super::Defaults) -> Result<User, IdentityError> {
        match self {
            Self::Named(user) => Ok(user.clone()),
            Self::Default => {
                let name = defaults.user();
                accounts.user(&name).map_err(|error| match error {
                    IdentityError::UnknownUser(name) => IdentityError::UnknownDefaultUser(name),
                    other => other,
                })
            }
        }
    }
}
