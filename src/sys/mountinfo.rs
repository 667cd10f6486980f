//! Words of the table of mounts (proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// Kinds of filesystem on no block device of this machine, whose server may be dead.
const NETWORK: [&str; 7] = ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "virtiofs"];

/// Says whether a kind of filesystem needs a server, so that touching it can take for ever.
#[must_use]
pub fn needs_server(kind: &str) -> bool {
    NETWORK.contains(&kind) || kind.starts_with("fuse.")
}

/// Undoes the kernel's octal escapes of space, tab, newline and backslash.
#[must_use]
pub fn unescape(field: &[u8]) -> OsString {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| byte == b'\\') {
            Some(escaped) => {
                plain.push(escaped);
                rest = &tail[3..];
            }
            None => {
                plain.push(byte);
                rest = tail;
            }
        }
    }
    OsString::from_vec(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_once() {
        assert_eq!(unescape(br"/a\040b\011\012\134040"), "/a b\t\n\\040");
        assert_eq!(unescape(br"/odd\04"), r"/odd\04");
    }

    #[test]
    fn a_disk_needs_no_server() {
        assert!(needs_server("nfs4") && needs_server("fuse.sshfs"));
        assert!(!needs_server("ext4") && !needs_server("fuseblk") && !needs_server("tmpfs"));
    }
}
