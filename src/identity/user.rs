//! One account of the guest.

use std::path::PathBuf;
use std::sync::Arc;

use super::accounts::Table;
use super::{Accounts, Defaults, IdentityError};

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
    /// The request named this account, found in this state of the files.
    Named(User, Arc<Table>),
}

impl Caller {
    /// Gives the account to act as, falling back to the default user, and the accounts among which it was found.
    ///
    /// # Errors
    /// [`IdentityError::UnknownDefaultUser`] when the default account does not exist.
    pub fn resolve(&self, accounts: &Accounts, defaults: &Defaults) -> Result<(User, Arc<Table>), IdentityError> {
        match self {
            Self::Named(user, table) => Ok((user.clone(), Arc::clone(table))),
            Self::Default => {
                let table = accounts.table()?;
                let user = table.user(&defaults.user()).map_err(|error| match error {
                    IdentityError::UnknownUser(name) => IdentityError::UnknownDefaultUser(name),
                    other => other,
                })?;
                Ok((user, table))
            }
        }
    }
}
