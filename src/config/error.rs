//! What can be wrong with a command line.

/// Tells why a command line or the environment cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FlagError {
    /// Not the name of a flag.
    #[error("no flag '{0}'")]
    Unknown(String),
    /// Not a flag at all.
    #[error("unexpected word '{0}'")]
    Stray(String),
    /// Nothing follows a flag that needs a value.
    #[error("--{0} needs a value")]
    NoValue(&'static str),
    /// The value is not one of those that are possible.
    #[error("cannot use '{value}' for {place}: {why}")]
    Value {
        /// The flag or variable.
        place: String,
        /// What was given.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// Bytes that are not UTF-8.
    #[error("'{0}' is not UTF-8")]
    NotText(String),
}
