//! What the command line says.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use icebox::sandbox::Settings;

use super::error::ServeError;

/// Sandboxes that may run at once, at most, when the command line does not say: as many as E2B gives for nothing.
const MOST_RUNNING: usize = 20;

#[derive(clap::Args)]
pub(crate) struct Flags {
    /// Where the API and the status page listen: a port of 127.0.0.1, or an address. Port 0 takes a free one.
    #[arg(long, value_name = "[IP:]PORT", default_value = "127.0.0.1:0", value_parser = address)]
    pub(super) api: SocketAddr,
    /// Where requests to sandboxes come in.
    #[arg(long, value_name = "[IP:]PORT", default_value = "127.0.0.1:0", value_parser = address)]
    pub(super) proxy: SocketAddr,
    /// Keeps everything: paused sandboxes are there again after a restart [default: icebox in XDG_DATA_HOME].
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// The folder of an image with an image.json.
    #[arg(long, value_name = "DIR", conflicts_with = "flavour")]
    pub(super) image: Option<PathBuf>,
    /// The image of this name, built by rootfs/build.sh if need be.
    #[arg(long, default_value = "debian")]
    pub(super) flavour: String,
    /// Memory of a sandbox.
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(64..))]
    memory: u32,
    /// Virtual CPUs of a sandbox.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    cpus: u32,
    /// Sandboxes that may run at once [default: what three quarters of the memory hold, 20 at most].
    #[arg(long, value_name = "COUNT")]
    max_running: Option<NonZeroUsize>,
    /// Pauses a sandbox when no client has used it and nothing has run in it for so long [default: never].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pause_idle_after: Option<u64>,
    /// Ports of sandboxes are at PORT-ID.NAME; a port may be part of it [default: localhost:PORT of the proxy].
    #[arg(long, value_name = "NAME")]
    pub(super) domain: Option<String>,
    /// The key that clients must send; without it any will do.
    #[arg(long, value_name = "KEY", env = "ICEBOX_API_KEY", hide_env_values = true)]
    pub(super) api_key: Option<String>,
    /// Tells on stderr what is done.
    #[arg(long, short)]
    pub(super) verbose: bool,
}

impl Flags {
    /// Says how sandboxes are made.
    pub(super) fn settings(&self, data: PathBuf) -> Settings {
        Settings {
            data,
            image: self.image.clone(),
            flavour: self.flavour.clone(),
            memory_mib: self.memory,
            cpus: self.cpus,
            max_running: self.max_running.map_or_else(|| max_running(self.memory), NonZeroUsize::get),
            pause_idle_after: self.pause_idle_after.map(Duration::from_secs),
        }
    }

    /// Says where everything is kept.
    pub(super) fn data(&self) -> Result<PathBuf, ServeError> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let shared = || variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")));
        self.data.clone().or_else(|| Some(shared()?.join("icebox"))).ok_or(ServeError::NoData)
    }
}

/// Reads an address; a port alone is one of this machine's own.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse().map_err(|_| "neither a port nor an address and a port".into())
}

/// Sandboxes for which there is memory. A VM takes what its guest has used, up to the whole.
fn max_running(memory_mib: u32) -> usize {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    let total_mib = total.map_or(usize::MAX, |kib: usize| kib >> 10);
    let fit = total_mib / 4 * 3 / usize::try_from(memory_mib).unwrap_or(usize::MAX).max(1);
    fit.clamp(1, MOST_RUNNING)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: Flags,
    }

    fn parse(line: &str) -> Result<Flags, clap::Error> {
        Line::try_parse_from(["icebox"].into_iter().chain(line.split_whitespace())).map(|line| line.flags)
    }

    #[test]
    fn a_port_alone_is_this_machines_own() {
        for (text, expected) in
            [("0", "127.0.0.1:0"), ("3000", "127.0.0.1:3000"), ("0.0.0.0:1", "0.0.0.0:1"), ("[::1]:1", "[::1]:1")]
        {
            assert_eq!(address(text).unwrap(), expected.parse().unwrap());
        }
        for text in ["", "65536", "localhost:1", "1.2.3.4", ":1"] {
            assert!(address(text).is_err(), "{text}");
        }
        assert!(parse("").unwrap().api.ip().is_loopback() && parse("").unwrap().proxy.ip().is_loopback());
    }

    #[test]
    fn flags_are_what_sandboxes_are_made_with() {
        let flags = parse("--memory 256 --cpus 2 --max-running 3 --pause-idle-after 60 --data /x --domain localhost:1")
            .unwrap();
        assert_eq!(flags.data().unwrap(), PathBuf::from("/x"));
        let settings = flags.settings("/x".into());
        assert_eq!((settings.memory_mib, settings.cpus, settings.max_running), (256, 2, 3));
        assert_eq!(settings.pause_idle_after, Some(Duration::from_secs(60)));
        assert_eq!((settings.flavour.as_str(), flags.domain.as_deref()), ("debian", Some("localhost:1")));
        for line in ["--memory 1", "--cpus 0", "--max-running 0", "--pause-idle-after 0", "--image a --flavour b"] {
            assert!(parse(line).is_err(), "{line}");
        }
        assert!((1..=MOST_RUNNING).contains(&max_running(512)) && max_running(u32::MAX) == 1);
    }
}
