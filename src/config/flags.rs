//! What can be said on the command line and in the environment.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::fs::Access;
use crate::host::metadata::Endpoint;
use crate::server::Address;
use crate::snapshot::Crash;

/// Holds the flags as they were given.
///
/// Names and defaults up to `resume-handover` are envd's, so that its service files and hosts start us unchanged;
/// they work with one dash and with two.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "thawd",
    about = "The agent inside a sandbox VM: runs and streams processes, reads, writes and watches files.\n\
             A drop-in for E2B's envd: the same port, protocols and flags.",
    after_help = "A flag may be written with one dash or two (-port 5000, --port=5000). A flag on the command line \
                  wins over its environment variable.\n\nTry it: thawd -isnotfc & curl -i http://127.0.0.1:49983/health",
    disable_version_flag = true,
    args_override_self = true
)]
pub struct Flags {
    /// Run outside a Firecracker VM: no metadata service is asked
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true",
          action = clap::ArgAction::Set, env = "THAWD_ISNOTFC", value_name = "BOOL")]
    pub isnotfc: bool,

    /// Print the envd version whose behaviour this agent has, and exit
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true",
          action = clap::ArgAction::Set, value_name = "BOOL", hide_possible_values = true)]
    pub version: bool,

    /// Print the commit this agent was built from, and exit
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true",
          action = clap::ArgAction::Set, value_name = "BOOL", hide_possible_values = true)]
    pub commit: bool,

    /// Print this agent's own name and version, and exit
    #[arg(long)]
    pub product_version: bool,

    /// TCP port on all IPv4 addresses; not used with --listen
    #[arg(long, default_value_t = 49983, env = "THAWD_PORT")]
    pub port: u16,

    /// Mount point of cgroup v2; each program gets a cgroup of its own below it
    #[arg(long, default_value_os_t = super::cgroup_root(), env = "THAWD_CGROUP_ROOT", value_name = "DIR")]
    pub cgroup_root: PathBuf,

    /// Place programs in no cgroup
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true",
          action = clap::ArgAction::Set, env = "THAWD_NO_CGROUPS", value_name = "BOOL")]
    pub no_cgroups: bool,

    /// Log everything to stdout as JSON lines (otherwise warnings go to stderr as text)
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true",
          action = clap::ArgAction::Set, env = "THAWD_VERBOSE", value_name = "BOOL")]
    pub verbose: bool,

    /// Take over from a running agent; this version has nothing to take over and starts afresh
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true",
          action = clap::ArgAction::Set, value_name = "BOOL", hide = true)]
    pub resume_handover: bool,

    /// Listen here instead of --port; may be repeated: tcp://IP:PORT, unix:///PATH, vsock://CID:PORT, vsock://PORT
    #[arg(long, env = "THAWD_LISTEN", value_delimiter = ',', value_name = "ADDRESS")]
    pub listen: Vec<Address>,

    /// As whom file requests act: root (what they make belongs to the named user), or the named user itself
    #[arg(long, default_value = "root", env = "THAWD_FILE_ACCESS")]
    pub file_access: FileAccess,

    /// Token that requests must carry in X-Access-Token, until the host sets one with /init
    #[arg(long, env = "THAWD_ACCESS_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub access_token: Option<String>,

    /// User of requests that name none, until /init says otherwise
    #[arg(long, default_value = "root", env = "THAWD_DEFAULT_USER", value_name = "USER")]
    pub default_user: String,

    /// Folder of requests that name none (instead of the user's home), until /init says otherwise
    #[arg(long, env = "THAWD_DEFAULT_WORKDIR", value_name = "DIR")]
    pub default_workdir: Option<String>,

    /// Bytes of output kept for each program
    #[arg(long, default_value_t = 1 << 20, env = "THAWD_OUTPUT_RING", value_name = "BYTES",
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(65_536..=1 << 30))]
    pub output_ring: usize,

    /// Seconds that a client may read nothing before the program stops waiting for it
    #[arg(long, default_value_t = 120, env = "THAWD_OUTPUT_STALL", value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub output_stall: u64,

    /// Folder of the generation file, the lifecycle socket and the record of a freeze; on a tmpfs
    #[arg(long, default_value = "/run/thawd", env = "THAWD_RUN_DIR", value_name = "DIR")]
    pub run_dir: PathBuf,

    /// Keep what a host says (token, as a hash; default user, folder and variables) in the run folder, and take up what
    /// was kept there: for an agent that is started again whenever it ends. Only where that folder is in memory
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true",
          action = clap::ArgAction::Set, env = "THAWD_KEEP_IDENTITY", value_name = "BOOL")]
    pub keep_identity: bool,

    /// Folder of the programs that are called with freeze before a pause and with thaw after it
    #[arg(long, default_value = "/etc/thawd/hooks.d", env = "THAWD_HOOKS_DIR", value_name = "DIR")]
    pub hooks_dir: PathBuf,

    /// Notice a resume that no host tells of, and mend clock, random numbers and connections then
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true",
          action = clap::ArgAction::Set, env = "THAWD_SELF_REPAIR", value_name = "BOOL")]
    pub self_repair: bool,

    /// Let connections to the guest's address reach servers that listen on 127.0.0.1 or ::1 only
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true",
          action = clap::ArgAction::Set, env = "THAWD_LOOPBACK_PORTS", value_name = "BOOL")]
    pub loopback_ports: bool,

    /// Metadata service of the VM, asked unless --isnotfc: http://ADDRESS:PORT
    #[arg(long, default_value_t, env = "THAWD_MMDS_URL", value_name = "URL", hide = true)]
    pub mmds_url: Endpoint,

    /// Folder that stands for / where /init writes: etc/hosts, certificates, run/e2b
    #[arg(long, default_value = "/", env = "THAWD_GUEST_ROOT", value_name = "DIR", hide = true)]
    pub guest_root: PathBuf,

    /// Milliseconds that a host gets to call after a resume was noticed, before a frozen guest thaws by itself
    #[arg(long, default_value_t = 3000, env = "THAWD_SELF_THAW_MS", value_name = "MS",
          value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub self_thaw_ms: u64,

    /// Die with SIGKILL before or after a step of a freeze or thaw: before:STEP, after:STEP
    #[arg(long, hide = true, env = "THAWD_CRASH_AT", value_name = "WHEN:STEP")]
    pub crash_at: Option<Crash>,
}

/// Names the two ways to touch files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileAccess {
    /// With all rights.
    Root,
    /// With the rights of the named user.
    User,
}

impl From<FileAccess> for Access {
    fn from(access: FileAccess) -> Self {
        match access {
            FileAccess::Root => Self::Root,
            FileAccess::User => Self::User,
        }
    }
}

impl Flags {
    /// Parses a command line, program name first.
    ///
    /// # Errors
    /// clap's, which prints itself: wrong usage, and help that was asked for.
    pub fn parse_line(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(line.into_iter().enumerate().map(|(index, word)| match index {
            0 => word,
            _ => two_dashes(word),
        }))
    }
}

/// Turns Go's `-name` into `--name`; `-h`, numbers and everything else stay.
fn two_dashes(word: OsString) -> OsString {
    match word.to_str() {
        Some(text) if text.len() > 2 && text.starts_with('-') && text.as_bytes()[1].is_ascii_alphabetic() => {
            format!("-{text}").into()
        }
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn parse(line: &[&str]) -> Result<Flags, clap::Error> {
        Flags::parse_line(std::iter::once("thawd").chain(line.iter().copied()).map(OsString::from))
    }

    #[test]
    fn go_style_flags_work_with_one_dash_and_with_two() {
        for line in [["-port", "5000"].as_slice(), &["-port=5000"], &["--port=5000"], &["--port", "5000"]] {
            assert_eq!(parse(line).unwrap().port, 5000, "{line:?}");
        }
        assert_eq!(parse(&["-port=1", "-port=2"]).unwrap().port, 2, "the last one counts");
        let flags = parse(&["-isnotfc", "-no-cgroups=true", "-verbose=false", "-cgroup-root", "/x"]).unwrap();
        assert!(flags.isnotfc && flags.no_cgroups && !flags.verbose);
        assert_eq!(flags.cgroup_root, PathBuf::from("/x"));
        assert!(parse(&["-version"]).unwrap().version && parse(&["--commit"]).unwrap().commit);
    }

    #[test]
    fn listeners_are_repeatable_and_replace_the_port() {
        let config = Config::from(parse(&["--listen", "tcp://127.0.0.1:1", "--listen=unix:///s"]).unwrap());
        assert_eq!(config.listen.len(), 2);
        let config = Config::from(parse(&[]).unwrap());
        assert_eq!(config.listen, ["tcp://0.0.0.0:49983".parse().unwrap()]);
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in
            [["-port", "x"].as_slice(), &["-nonsense"], &["stray"], &["--listen", "http://x"], &["-port", "70000"]]
        {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }
}
