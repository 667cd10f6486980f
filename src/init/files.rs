//! Names that programs expect: of devices, of this machine, of name servers.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::address::Address;
use super::cmdline::Cmdline;
use super::report::Report;

/// Links in `/dev` that the kernel does not make. `ptmx` is a node in devtmpfs and missing elsewhere.
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
];
/// What the kernel calls a machine without a name.
const NAMELESS: &str = "(none)";
/// What we call it.
const NAME: &str = "sandbox";
/// Where a kernel that configured the network itself leaves the name servers, as lines of a `resolv.conf`.
const KERNEL_SERVERS: &str = "/proc/net/pnp";

/// Makes the links in `/dev` that are not there.
pub(super) fn devices(report: Report) {
    for (target, link) in LINKS {
        if fs::symlink_metadata(link).is_err() {
            report.step(&format!("link {link}"), symlink(target, link));
        }
    }
}

/// Names a machine that has no name: `thawd.hostname=`, `/etc/hostname`, the name in `ip=`, or a name of ours.
pub(super) fn hostname(cmdline: &Cmdline, report: Report) {
    let now = nix::unistd::gethostname().unwrap_or_default();
    let asked = cmdline.value("thawd.hostname").map(str::to_owned);
    if asked.is_none() && now != NAMELESS && now != "localhost" {
        return;
    }
    let file = || fs::read_to_string("/etc/hostname").ok().map(|text| text.trim().to_owned());
    let address = || Address::parse(cmdline.value("ip")?).ok()??.hostname;
    let name = asked.or_else(file).filter(|name| !name.is_empty()).or_else(address);
    report.step("set the host name", nix::unistd::sethostname(name.as_deref().unwrap_or(NAME)));
}

/// Writes `/etc/hosts` and `/etc/resolv.conf` where they are missing or empty.
pub(super) fn name_service(cmdline: &Cmdline, report: Report) {
    let name = nix::unistd::gethostname().unwrap_or_default();
    provide("/etc/hosts", &hosts(&name.to_string_lossy()), report);
    let asked = cmdline.value("ip").and_then(|word| Address::parse(word).ok()?);
    let kernel = fs::read_to_string(KERNEL_SERVERS).unwrap_or_default();
    let servers = resolv_conf(&kernel, asked.as_ref());
    if !servers.is_empty() {
        provide("/etc/resolv.conf", &servers, report);
    }
}

fn provide(path: &str, text: &str, report: Report) {
    if fs::metadata(path).is_ok_and(|found| found.len() > 0) {
        return;
    }
    report.step(&format!("write {path}"), write(Path::new(path), text));
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

fn hosts(name: &str) -> String {
    let own = match name {
        "" | NAMELESS | "localhost" => String::new(),
        name => format!("127.0.1.1\t{name}\n"),
    };
    format!("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{own}")
}

/// Takes what the kernel found, else what `ip=` says.
fn resolv_conf(kernel: &str, asked: Option<&Address>) -> String {
    let words = ["nameserver ", "domain ", "search "];
    let known = |line: &&str| words.iter().any(|word| line.starts_with(word)) && !line.ends_with(" 0.0.0.0");
    let lines: Vec<String> = kernel.lines().filter(known).map(str::to_owned).collect();
    let lines = match asked {
        Some(asked) if lines.is_empty() => asked.dns.iter().map(|server| format!("nameserver {server}")).collect(),
        _ => lines,
    };
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_of_the_kernel_go_before_those_of_the_command_line() {
        let asked = Address { dns: vec![[1, 1, 1, 1].into()], ..Address::default() };
        let kernel = "#PROTO: DHCP\ndomain example\nnameserver 10.0.2.3\nnameserver 0.0.0.0\nbootserver 0.0.0.0\n";
        assert_eq!(resolv_conf(kernel, Some(&asked)), "domain example\nnameserver 10.0.2.3\n");
        assert_eq!(resolv_conf("#MANUAL\n", Some(&asked)), "nameserver 1.1.1.1\n");
        assert_eq!(resolv_conf("", None), "");
    }

    #[test]
    fn a_machine_without_a_name_is_not_in_its_own_hosts() {
        assert!(hosts("box").contains("127.0.1.1\tbox\n"));
        assert!(!hosts(NAMELESS).contains("127.0.1.1"));
    }
}
