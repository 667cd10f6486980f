//! How a request's path becomes an absolute one.
//!
//! The rule is envd's, which SDK programs rely on: an empty path is the default folder; `~` is the user's home; a
//! relative path starts at the user's *home*, never at the default folder. Unlike envd, absolute paths are cleaned
//! too (`.`, `..` and doubled slashes are resolved by text), so that what is made, reported and echoed is one path.

use std::path::{Component, Path, PathBuf};

use super::{IdentityError, User};

/// Longest path that the kernel takes, without the closing NUL (PATH_MAX, limits.h).
const PATH_MAX: usize = 4095;

/// Holds an absolute, cleaned path without NUL bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResolvedPath(PathBuf);

impl ResolvedPath {
    /// Resolves what a request sent against the user's home and the default folder.
    ///
    /// # Errors
    /// `~name`, a NUL byte, more than 4,095 bytes.
    pub fn resolve(raw: &str, user: &User, workdir: Option<&str>) -> Result<Self, IdentityError> {
        if raw.contains('\0') {
            return Err(IdentityError::NulInPath);
        }
        let path = match raw {
            "" => match workdir {
                Some(folder) if !folder.is_empty() => return Self::resolve(folder, user, None),
                _ => user.home.clone(),
            },
            _ => match raw.strip_prefix('~') {
                Some("") => user.home.clone(),
                Some(rest) if rest.starts_with(['/', '\\']) => user.home.join(rest[1..].trim_start_matches('/')),
                Some(_) => return Err(IdentityError::ForeignHome),
                None => user.home.join(raw),
            },
        };
        let clean = clean(&path);
        let length = clean.as_os_str().len();
        if length > PATH_MAX || raw.len() > PATH_MAX {
            return Err(IdentityError::PathTooLong(length.max(raw.len())));
        }
        Ok(Self(clean))
    }

    /// Gives the path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// Gives the path away.
    #[must_use]
    pub fn into_path(self) -> PathBuf {
        self.0
    }
}

impl AsRef<Path> for ResolvedPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl std::fmt::Display for ResolvedPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.display().fmt(f)
    }
}

/// Resolves `.`, `..` and doubled slashes by text, starting at the root.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(raw: &str, workdir: Option<&str>) -> Result<String, IdentityError> {
        let user = User { name: "user".into(), uid: 1000, gid: 1000, groups: vec![1000], home: "/home/user".into() };
        ResolvedPath::resolve(raw, &user, workdir).map(|path| path.to_string())
    }

    #[test]
    fn paths_follow_the_rule_of_the_contract() {
        for (raw, workdir, want) in [
            ("", None, "/home/user"),
            ("", Some("/code"), "/code"),
            ("", Some("code"), "/home/user/code"),
            ("~", Some("/code"), "/home/user"),
            ("~/a", None, "/home/user/a"),
            ("~\\a", None, "/home/user/a"),
            ("a/b", Some("/code"), "/home/user/a/b"),
            ("./a/../b", None, "/home/user/b"),
            ("/missing/../x", None, "/x"),
            ("//a///b/./c/", None, "/a/b/c"),
            ("/../../etc", None, "/etc"),
        ] {
            assert_eq!(resolve(raw, workdir).unwrap(), want, "{raw:?} {workdir:?}");
        }
    }

    #[test]
    fn impossible_paths_are_refused_with_their_reason() {
        assert!(matches!(resolve("~root/x", None), Err(IdentityError::ForeignHome)));
        assert!(matches!(resolve("/a\0b", None), Err(IdentityError::NulInPath)));
        assert!(matches!(resolve(&"a/".repeat(2500), None), Err(IdentityError::PathTooLong(_))));
    }
}
