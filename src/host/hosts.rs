//! The host's own services: a name in `/etc/hosts`.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use crate::sys::place;

/// Where programs report events to (envd's name).
const EVENTS: &str = "events.e2b.local";

/// Makes the name lead to `address`, and says whether that was new. Other lines stay as they are; what is a bind mount
/// is written through, everything else is replaced whole.
///
/// # Errors
/// Those of reading and writing; a file that is not there is made.
pub(super) fn point(hosts: &Path, address: IpAddr) -> io::Result<bool> {
    let present = match fs::read(hosts) {
        // What is not UTF-8 can only stand in a comment; the lookup reads bytes.
        Ok(bytes) => String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    match with(&present, address) {
        Some(text) => place::replace(hosts, text.as_bytes()),
        None => Ok(false),
    }
}

/// Gives the new text, `None` when the present one is right: one line has the name, and the address.
fn with(text: &str, address: IpAddr) -> Option<String> {
    let entry = format!("{address} {EVENTS}");
    let mut lines: Vec<String> = Vec::new();
    let mut found = false;
    let mut right = true;
    for line in text.lines() {
        let Some(rest) = without(line) else {
            lines.push(line.to_owned());
            continue;
        };
        if !found {
            found = true;
            let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
            if words.len() == 2 && words[0].parse() == Ok(address) {
                lines.push(line.to_owned());
                continue;
            }
            lines.push(entry.clone());
        }
        right = false;
        lines.extend(rest);
    }
    if found && right {
        return None;
    }
    if !found {
        lines.push(entry);
    }
    Some(lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect())
}

/// Takes our name out of a line: `None` when it is not in it, else what is left worth keeping.
fn without(line: &str) -> Option<Option<String>> {
    let (entry, comment) = line.find('#').map_or((line, ""), |at| line.split_at(at));
    let words: Vec<&str> = entry.split_whitespace().collect();
    let names: Vec<&str> = words.iter().skip(1).copied().filter(|name| !name.eq_ignore_ascii_case(EVENTS)).collect();
    if names.len() + 1 >= words.len() {
        return None;
    }
    let gap = if comment.is_empty() { "" } else { " " };
    Some(match (names.is_empty(), comment) {
        (true, "") => None,
        (true, comment) => Some(comment.to_owned()),
        (false, comment) => Some(format!("{}\t{}{gap}{comment}", words[0], names.join(" "))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::place::tests::Folder;

    fn ip() -> IpAddr {
        [10, 11, 0, 1].into()
    }

    #[test]
    fn the_name_is_there_once_and_other_lines_stay() {
        let ours = "10.11.0.1 events.e2b.local\n";
        for (text, want) in [
            ("", ours.to_owned()),
            ("127.0.0.1 localhost", format!("127.0.0.1 localhost\n{ours}")),
            ("\n# ours\n127.0.0.1\tlocalhost\n\n", format!("\n# ours\n127.0.0.1\tlocalhost\n\n{ours}")),
            ("1.2.3.4 events.e2b.local\n::1 localhost", format!("{ours}::1 localhost\n")),
            ("1.2.3.4 a events.e2b.local b # why\n", format!("{ours}1.2.3.4\ta b # why\n")),
            ("1.2.3.4 Events.E2B.local # old\n5.6.7.8 events.e2b.local\n", format!("{ours}# old\n")),
            ("10.11.0.1 events.e2b.local\n1.2.3.4 events.e2b.local", ours.to_owned()),
            ("# 1.2.3.4 events.e2b.local", format!("# 1.2.3.4 events.e2b.local\n{ours}")),
            ("1.2.3.4 not-events.e2b.local", format!("1.2.3.4 not-events.e2b.local\n{ours}")),
        ] {
            let new = with(text, ip()).unwrap();
            assert_eq!(new, want, "{text:?}");
            assert_eq!(with(&new, ip()), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_right_is_not_written() {
        for text in ["10.11.0.1\tevents.e2b.local # mine", "x\n10.11.0.1 events.e2b.local"] {
            assert_eq!(with(text, ip()), None, "{text:?}");
        }
        let folder = Folder::new("hosts");
        let path = folder.0.join("hosts");
        assert!(point(&path, ip()).unwrap());
        assert!(!point(&path, ip()).unwrap());
        assert!(point(&path, "::1".parse().unwrap()).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "::1 events.e2b.local\n");
        fs::write(&path, b"\xff").unwrap();
        assert_eq!(point(&path, ip()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
