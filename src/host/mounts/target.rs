//! What the host calls a volume, and how it is mounted.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::MountError;
use crate::sys::mountinfo::unescape;

/// Server, mount protocol and all: one port (the host's convention).
pub(super) const PORT: u16 = 2049;
/// Where the daemon that locks need says that it runs (nfs-utils).
const STATD: &str = "/run/rpc.statd.pid";

/// Names a volume and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Volume {
    /// `HOST:/PATH`, with an IPv6 address in brackets.
    pub target: String,
    /// Where in the guest.
    pub path: PathBuf,
}

impl Volume {
    /// Gives the server's name or address.
    pub(super) fn server(&self) -> Result<&str, MountError> {
        let odd = || MountError::Target(self.target.clone());
        let (host, _) = self.target.split_once(":/").ok_or_else(odd)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_plain = self.target.bytes().all(|byte| byte != 0);
        if host.is_empty() || !is_plain { Err(odd()) } else { Ok(host) }
    }

    /// Finds the server; names are asked for where the guest's resolver says.
    pub(super) async fn address(&self) -> Result<IpAddr, MountError> {
        let server = self.server()?;
        if let Ok(address) = server.parse() {
            return Ok(address);
        }
        let failed = |source| MountError::Server { target: self.target.clone(), source };
        let found = tokio::net::lookup_host((server, PORT)).await.map_err(failed)?.next();
        found.map(|found: SocketAddr| found.ip()).ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))
    }
}

/// Writes the options as the kernel reads them (nfs(5), fs/nfs/fs_context.c): those of the contract, and what
/// mount.nfs(8) would add.
///
/// That every operation waits (`hard`) and is seen by all at once (`sync`, `noac`, no lookups kept) is the host's wish.
/// Locks need a daemon that mount.nfs would start; where it does not run they hold within this guest (`nolock`), since
/// the kernel refuses the mount else.
pub(super) fn options(server: IpAddr, has_statd: bool) -> String {
    let protocol = if server.is_ipv6() { "tcp6" } else { "tcp" };
    let locks = if has_statd { "" } else { ",nolock" };
    format!(
        "hard,rsize=1048576,wsize=1048576,mountproto={protocol},mountport={PORT},proto={protocol},port={PORT},\
         nfsvers=3,noacl,noac,lookupcache=none{locks},addr={server}"
    )
}

/// Says whether the daemon runs that locks need.
pub(super) fn has_statd() -> bool {
    let pid = std::fs::read_to_string(STATD).unwrap_or_default();
    pid.trim().parse::<u32>().is_ok_and(|pid| Path::new(&format!("/proc/{pid}")).exists())
}

/// Says whether the topmost mount at `path` is one of NFS, by the text of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
/// The path itself is not touched: its server may be dead.
pub(super) fn is_nfs(mountinfo: &str, path: &Path) -> bool {
    let kind = |line: &str| {
        let (mount, rest) = line.split_once(" - ")?;
        let here = unescape(mount.split(' ').nth(4)?.as_bytes()) == path.to_str()?.trim_end_matches('/');
        here.then(|| rest.split(' ').next().is_some_and(|kind| matches!(kind, "nfs" | "nfs4")))
    };
    // Later ones lie on top.
    mountinfo.lines().filter_map(kind).next_back().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(target: &str) -> Volume {
        Volume { target: target.to_owned(), path: "/mnt".into() }
    }

    #[tokio::test]
    async fn a_server_is_an_address_or_a_name() {
        for (target, address) in [("10.0.0.1:/a:/b", "10.0.0.1"), ("[fd00::1]:/", "fd00::1"), ("fd00::2:/x", "fd00::2")]
        {
            assert_eq!(volume(target).address().await.unwrap(), address.parse::<IpAddr>().unwrap(), "{target}");
        }
        for target in ["", "10.0.0.1", "10.0.0.1:a", ":/a", "h:/\0"] {
            assert!(matches!(volume(target).server(), Err(MountError::Target(_))), "{target}");
        }
    }

    #[test]
    fn the_options_are_those_of_the_contract() {
        let contract = "hard,rsize=1048576,wsize=1048576,mountproto=tcp,mountport=2049,proto=tcp,port=2049,nfsvers=3,\
                        noacl,noac,lookupcache=none";
        assert_eq!(options([10, 0, 0, 1].into(), true), format!("{contract},addr=10.0.0.1"));
        assert_eq!(options([10, 0, 0, 1].into(), false), format!("{contract},nolock,addr=10.0.0.1"));
        let six = options("fd00::1".parse().unwrap(), true);
        assert!(six.contains(",proto=tcp6,") && six.contains("mountproto=tcp6,") && six.ends_with("addr=fd00::1"));
    }

    #[test]
    fn only_a_mount_of_nfs_on_top_counts() {
        let line = |path: &str, kind: &str| format!("36 35 98:0 / {path} rw,noatime master:1 - {kind} s:/x rw\n");
        let text = line("/a\\040b", "nfs") + &line("/c", "nfs") + &line("/c", "tmpfs") + &line("/d", "ext4") + "odd\n";
        assert!(is_nfs(&text, Path::new("/a b")) && is_nfs(&text, Path::new("/a b/")));
        for path in ["/c", "/d", "/", "/a", "/a b/c"] {
            assert!(!is_nfs(&text, Path::new(path)), "{path}");
        }
        assert!(is_nfs(&line("/d", "nfs4"), Path::new("/d")));
    }
}
