//! Keeping the way to the metadata service free.
//!
//! Programs in the guest that redirect traffic (a proxy, a container engine) can take the service's address with them.
//! A rule before all theirs lets it pass. It is tried when the service cannot be reached and its answer counts.

use std::ffi::CString;
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::base::Tasks;
use crate::host::child::Child;
use crate::sys::fd;
use crate::sys::spawn::{Image, spawn};
use crate::sys::wait::Ended;

/// Where distributions put the program.
const PROGRAMS: [&str; 4] = ["usr/sbin/iptables", "sbin/iptables", "usr/bin/iptables", "usr/local/sbin/iptables"];
/// Traffic of containers and other guests of this guest, and of its own programs.
const CHAINS: [&str; 2] = ["PREROUTING", "OUTPUT"];
/// How long all of it may take; then what runs is killed.
const LIMIT: Duration = Duration::from_secs(5);

/// Puts the rule before all others; false where there is no program for it, or it failed.
pub(super) async fn pin(root: &Path, service: SocketAddr, tasks: &Tasks) -> bool {
    let Some(program) = PROGRAMS.iter().map(|path| root.join(path)).find(|path| path.exists()) else {
        tracing::info!("the metadata service cannot be reached, and there is no iptables to clear its way");
        return false;
    };
    let by = Instant::now() + LIMIT;
    for chain in CHAINS {
        // It may stand farther down; that it does not stand there at all is no failure.
        let _ = run(&program, &rule("-D", chain, service), by, tasks).await;
        match run(&program, &rule("-I", chain, service), by, tasks).await {
            Ok(Ended::Code(0)) => {}
            ended => {
                tracing::warn!(chain, ?ended, "cannot clear the way to the metadata service");
                return false;
            }
        }
    }
    true
}

/// Lays out the arguments: `-w` waits for other users of the tables, in seconds.
fn rule(verb: &str, chain: &str, service: SocketAddr) -> Vec<String> {
    let (ip, port) = (service.ip().to_string(), service.port().to_string());
    let mut words = vec!["iptables", "-w", "5", "-t", "nat", verb, chain];
    if verb == "-I" {
        words.push("1");
    }
    words.extend(["-d", &ip, "-p", "tcp", "--dport", &port, "-j", "RETURN"]);
    words.into_iter().map(str::to_owned).collect()
}

/// Runs beside the agent and not in a cgroup of the workload, which may be frozen.
async fn run(program: &Path, words: &[String], by: Instant, tasks: &Tasks) -> io::Result<Ended> {
    let null = Arc::new(fd::null()?);
    let words = words.iter().map(|word| CString::new(word.as_str())).collect::<Result<_, _>>()?;
    let image = Image {
        candidates: vec![CString::new(program.as_os_str().as_bytes())?],
        argv: words,
        envp: vec![c"PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
        cwd: c"/".to_owned(),
        credentials: None,
        stdio: [Arc::clone(&null), Arc::clone(&null), null],
        terminal: false,
    };
    let spawned = timeout_at(by, spawn(image, None)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let child = Child::new(spawned.pidfd, tasks)?;
    child.end(by.saturating_duration_since(Instant::now())).await
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::sys::place::tests::Folder;

    fn service() -> SocketAddr {
        ([169, 254, 169, 254], 80).into()
    }

    pub(in super::super) fn guest(name: &str, script: &str) -> Folder {
        let folder = Folder::new(name);
        let path = folder.0.join("sbin/iptables");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    #[tokio::test]
    async fn the_rule_is_put_first_in_both_chains() {
        let folder = Folder::new("pin-log");
        let log = folder.0.join("log");
        let script = format!("echo \"$@\" >> {}; [ \"$5\" = -I ]", log.display());
        let guest = guest("pin", &script);
        assert!(pin(&guest.0, service(), &Tasks::default()).await);
        let rest = "-d 169.254.169.254 -p tcp --dport 80 -j RETURN";
        let want: String = ["PREROUTING", "OUTPUT"]
            .iter()
            .map(|chain| format!("-w 5 -t nat -D {chain} {rest}\n-w 5 -t nat -I {chain} 1 {rest}\n"))
            .collect();
        assert_eq!(fs::read_to_string(log).unwrap(), want);
    }

    #[tokio::test]
    async fn a_guest_without_the_program_and_one_that_fails_are_told_apart_from_success() {
        let empty = Folder::new("pin-none");
        assert!(!pin(&empty.0, service(), &Tasks::default()).await);
        let failing = guest("pin-fails", "exit 1");
        assert!(!pin(&failing.0, service(), &Tasks::default()).await);
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_killed() {
        let folder = guest("pin-hangs", "echo $$ > \"$0.pid\"; exec sleep 1000");
        let tasks = Tasks::default();
        let by = Instant::now() + Duration::from_secs(2);
        let ended = run(&folder.0.join("sbin/iptables"), &[String::new()], by, &tasks).await;
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let pid = fs::read_to_string(folder.0.join("sbin/iptables.pid")).unwrap();
        let gone = async {
            while Path::new("/proc").join(pid.trim()).exists() || tasks.running() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
    }
}
