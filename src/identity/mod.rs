//! Who asks, and as whom we act.
//!
//! - [`accounts`] the guest's `/etc/passwd` and `/etc/group`, read when they change
//! - [`user`] one account with all its groups
//! - [`defaults`] the user and the folder meant when a request names none
//! - [`path`] how a request's path becomes an absolute one
//! - [`token`] the access token and who may pass without it
//! - [`signature`] signed file URLs
//! - [`kept`] what an agent that is started again must still know
//! - [`secret`] bytes that are zeroed and never printed
//!
//! Name services beyond the two files are not asked: the binary is static, and a guest's NSS modules are not ours
//! to load.

pub mod accounts;
pub mod defaults;
pub mod error;
pub mod kept;
pub mod path;
pub mod secret;
pub mod signature;
pub mod token;
pub mod user;

pub use accounts::Accounts;
pub use defaults::Defaults;
pub use error::IdentityError;
pub use kept::Kept;
pub use path::ResolvedPath;
pub use secret::Secret;
pub use token::{Gate, TokenError, TokenHash};
pub use user::{Caller, User};
