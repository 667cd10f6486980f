//! The QEMU of this machine.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::error::HostError;
use crate::sys;

/// Oldest version that works: the oldest that was tried.
const OLDEST: Version = Version { major: 7, minor: 2 };
/// First version that maps a file privately that it cannot write (`memory-backend-file,readonly=on,rom=off`).
const MAPS_READ_ONLY: Version = Version { major: 8, minor: 2 };
/// How long `--version` and its like may take: 30 ms on an idle machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// A version of QEMU; the third number never matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Before the first dot.
    pub major: u32,
    /// After it.
    pub minor: u32,
}

impl Version {
    /// Finds it in what `--version` prints: `QEMU emulator version 10.0.2 (Debian ...)`.
    fn parse(said: &str) -> Option<Self> {
        let mut numbers = said.split_once(" version ")?.1.split(|other: char| !other.is_ascii_digit());
        let mut number = || numbers.next()?.parse().ok();
        Some(Self { major: number()?, minor: number()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}.{}", self.major, self.minor)
    }
}

/// The QEMU programs of this machine.
#[derive(Clone, Debug)]
pub struct Qemu {
    system: PathBuf,
    image: PathBuf,
    version: Version,
}

impl Qemu {
    /// Finds `qemu-system-x86_64` and `qemu-img` in `PATH`, or what `ICEBOX_QEMU` and `ICEBOX_QEMU_IMG` name.
    ///
    /// # Errors
    /// [`HostError`]: not there, or older than 7.2.
    pub async fn find() -> Result<Self, HostError> {
        let named = |variable: &str, name: &str| std::env::var_os(variable).map_or_else(|| name.into(), PathBuf::from);
        Self::at(named("ICEBOX_QEMU", "qemu-system-x86_64"), named("ICEBOX_QEMU_IMG", "qemu-img")).await
    }

    /// Uses these programs.
    ///
    /// # Errors
    /// As [`Qemu::find`].
    pub async fn at(system: PathBuf, image: PathBuf) -> Result<Self, HostError> {
        let said = ask(&system, &["--version"]).await?;
        let version = Version::parse(&said).ok_or_else(|| strange(&system, "--version", "a version", &said))?;
        if version < OLDEST {
            return Err(HostError::Old { program: system, found: version, needed: OLDEST });
        }
        Ok(Self { system, image, version })
    }

    /// The program that runs a VM.
    #[must_use]
    pub fn system(&self) -> &Path {
        &self.system
    }

    /// The program that makes disks.
    #[must_use]
    pub fn image(&self) -> &Path {
        &self.image
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether it can map memory privately from a file that it opens for reading only. Where it cannot, it opens the
    /// file for writing and maps it privately all the same.
    #[must_use]
    pub fn maps_read_only(&self) -> bool {
        self.version >= MAPS_READ_ONLY
    }

    /// The machine that `pc` stands for today, such as `pc-i440fx-10.0`: a snapshot must name it, since it moves with
    /// every QEMU, and every QEMU still knows the older ones.
    ///
    /// # Errors
    /// [`HostError`].
    pub async fn machine(&self) -> Result<String, HostError> {
        let said = ask(&self.system, &["-machine", "help"]).await?;
        let line = said.lines().find(|line| line.starts_with("pc "));
        let name = line.and_then(|line| line.split_once("(alias of ")?.1.strip_suffix(')'));
        name.map(str::to_owned).ok_or_else(|| strange(&self.system, "-machine help", "the alias pc", &said))
    }
}

/// Runs `program` and returns what it prints.
async fn ask(program: &Path, arguments: &[&str]) -> Result<String, HostError> {
    let output = run(program, arguments, ANSWER_LIMIT).await?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(super) async fn run(program: &Path, arguments: &[&str], limit: Duration) -> Result<Output, HostError> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let missing = |source| HostError::Missing { program: program.into(), source };
    let child = sys::spawn(command).await.map_err(missing)?;
    match timeout(limit, child.wait_with_output()).await {
        Ok(output) => output.map_err(missing),
        Err(_) => Err(HostError::Late { program: program.into(), limit }),
    }
}

fn strange(program: &Path, arguments: &str, wanted: &'static str, said: &str) -> HostError {
    let said = said.chars().take(200).collect();
    HostError::Strange { program: program.into(), arguments: arguments.into(), wanted, said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_distributions_are_read() {
        let parse = |said| Version::parse(said).map(|version| version.to_string());
        assert_eq!(parse("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)").as_deref(), Some("10.0"));
        assert_eq!(parse("QEMU emulator version 7.2.9 (Debian 1:7.2+dfsg-7+deb12u5)").as_deref(), Some("7.2"));
        assert_eq!(parse("QEMU emulator version 9.1.50 (v9.1.0-12-g123)").as_deref(), Some("9.1"));
        assert_eq!(parse("some other program"), None);
        assert!(Version { major: 10, minor: 0 } > Version { major: 8, minor: 2 });
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let error = Qemu::at("/no/such/qemu".into(), "qemu-img".into()).await.unwrap_err();
        assert!(error.to_string().contains("/no/such/qemu"), "{error}");
    }
}
