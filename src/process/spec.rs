//! What to run, as whom and where: checked values, ready to be turned into system calls.

use std::ffi::CString;
use std::path::PathBuf;
use std::time::Duration;

use super::ProcessError;
use crate::identity::User;
use crate::sys::creds;
use crate::sys::spawn::Credentials;

/// Holds a command as a client sent it; listings give it back unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// File to run, looked up in `PATH` of [`SpawnSpec::env`] when it has no slash.
    pub program: String,
    /// Arguments behind the name.
    pub args: Vec<String>,
    /// The client's own variables.
    pub envs: Vec<(String, String)>,
    /// The client's own folder.
    pub cwd: Option<String>,
}

/// Says what a program reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdio {
    /// Three pipes, or two and an empty stdin.
    Pipes {
        /// Gives it a pipe to read from; without, it reads the end of file at once.
        stdin: bool,
    },
    /// One terminal of this size.
    Terminal(Size),
}

/// Holds the size of a terminal in character cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
}

/// Holds everything that starting a program needs.
#[derive(Clone, Debug)]
pub struct SpawnSpec {
    /// What the client asked for.
    pub command: Command,
    /// The whole environment; of a repeated name the last value counts.
    pub env: Vec<(String, String)>,
    /// Folder to start in.
    pub cwd: PathBuf,
    /// Account to run as.
    pub user: User,
    /// What it reads and writes.
    pub stdio: Stdio,
    /// Free text to find it by; not unique.
    pub tag: Option<String>,
    /// Running time after which all of it is killed.
    pub timeout: Option<Duration>,
    /// Runs it in the agent's own cgroup, for the host's work around a pause.
    pub system: bool,
}

/// Variables and folder of the program in the form that `execve` takes.
#[derive(Debug)]
pub(super) struct Strings {
    pub(super) candidates: Vec<CString>,
    pub(super) argv: Vec<CString>,
    pub(super) envp: Vec<CString>,
    pub(super) cwd: CString,
}

impl SpawnSpec {
    pub(super) fn strings(&self) -> Result<Strings, ProcessError> {
        let command = &self.command;
        let argv = std::iter::once(&command.program).chain(&command.args);
        let env = self.last_values();
        let path = env.iter().find(|(name, _)| *name == "PATH").map_or("", |(_, value)| value);
        Ok(Strings {
            candidates: candidates(&command.program, path)?,
            argv: argv.map(|arg| text("argument", &[arg])).collect::<Result<_, _>>()?,
            envp: env.iter().map(|(name, value)| text("environment", &[name, "=", value])).collect::<Result<_, _>>()?,
            cwd: text("cwd", &[&self.cwd.to_string_lossy()])?,
        })
    }

    /// The ids to become; `None` when we are that user already, with the same groups or without the right to set them.
    pub(super) fn credentials(&self) -> Option<Credentials> {
        let own = creds::own();
        let same = (own.uid, own.gid) == (self.user.uid, self.user.gid);
        if same && (own.uid != 0 || own.groups == self.user.groups) {
            return None;
        }
        Some(Credentials { uid: self.user.uid, gid: self.user.gid, groups: self.user.groups.clone() })
    }

    fn last_values(&self) -> Vec<(&str, &str)> {
        let mut seen = std::collections::HashSet::new();
        let mut env: Vec<_> = self
            .env
            .iter()
            .rev()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| seen.insert(*name))
            .collect();
        env.reverse();
        env
    }
}

/// Lists the files to try, in order: the rule of `execvp` (environ(7), POSIX 8.3).
fn candidates(program: &str, path: &str) -> Result<Vec<CString>, ProcessError> {
    if program.is_empty() {
        return Ok(Vec::new());
    }
    if program.contains('/') {
        return Ok(vec![text("command", &[program])?]);
    }
    let folders = path.split(':').map(|folder| if folder.is_empty() { "." } else { folder });
    folders.map(|folder| text("command", &[folder, "/", program])).collect()
}

/// Puts the parts of a text together. There are dozens of texts to a start, so each is allocated once, with its end.
fn text(what: &'static str, parts: &[&str]) -> Result<CString, ProcessError> {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len()).sum::<usize>() + 1);
    parts.iter().for_each(|part| bytes.extend_from_slice(part.as_bytes()));
    CString::new(bytes).map_err(|_| ProcessError::Nul { what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_in_each_folder_and_a_path_is_not() {
        for (program, path, files) in [
            ("ls", "/bin:/usr/bin", &[c"/bin/ls", c"/usr/bin/ls"][..]),
            ("ls", ":/bin", &[c"./ls", c"/bin/ls"]),
            ("./ls", "/bin", &[c"./ls"]),
            ("", "/bin", &[]),
        ] {
            assert!(candidates(program, path).unwrap().iter().eq(files.iter().copied()), "{program} {path}");
        }
        assert!(candidates("l\0s", "/bin").is_err());
    }
}
