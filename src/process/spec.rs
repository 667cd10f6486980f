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
        let text = |what: &'static str, text: String| CString::new(text).map_err(|_| ProcessError::Nul { what });
        let command = &self.command;
        let argv = std::iter::once(&command.program).chain(&command.args).map(|arg| text("argument", arg.clone()));
        let env = self.last_values();
        let path = env.iter().find(|(name, _)| *name == "PATH").map_or("", |(_, value)| value);
        let cwd = self.cwd.to_string_lossy().into_owned();
        Ok(Strings {
            candidates: candidates(&command.program, path)
                .into_iter()
                .map(|file| text("command", file))
                .collect::<Result<_, _>>()?,
            argv: argv.collect::<Result<_, _>>()?,
            envp: env
                .iter()
                .map(|(name, value)| text("environment", format!("{name}={value}")))
                .collect::<Result<_, _>>()?,
            cwd: text("cwd", cwd)?,
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
fn candidates(program: &str, path: &str) -> Vec<String> {
    if program.is_empty() {
        return Vec::new();
    }
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    path.split(':')
        .map(|folder| if folder.is_empty() { format!("./{program}") } else { format!("{folder}/{program}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_in_each_folder_and_a_path_is_not() {
        assert_eq!(candidates("ls", "/bin:/usr/bin"), ["/bin/ls", "/usr/bin/ls"]);
        assert_eq!(candidates("ls", ":/bin"), ["./ls", "/bin/ls"]);
        assert_eq!(candidates("./ls", "/bin"), ["./ls"]);
        assert!(candidates("", "/bin").is_empty());
    }
}
