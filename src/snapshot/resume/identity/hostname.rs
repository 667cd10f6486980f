//! The host name.

use std::io;

/// Most bytes of a host name (HOST_NAME_MAX) and of one part of it (RFC 1035).
const LONGEST: usize = 64;
const LABEL: usize = 63;
/// Digits of the machine-id that tell clones apart: by them two of a thousand are alike once in 10,000 times.
const DIGITS: usize = 8;

/// Gives the present name.
pub(super) fn present() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Sets the name.
///
/// # Errors
/// InvalidInput for what is no host name, EPERM without CAP_SYS_ADMIN.
pub(super) fn set(name: &str) -> io::Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if name.is_empty() || name.len() > LONGEST || !name.bytes().all(is_plain) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(rustix::system::sethostname(name.as_bytes())?)
}

/// Makes a clone's name out of that of its original and the machine-ids of both; `None` where there is no name.
pub(super) fn of_clone(present: &str, old_id: &str, new_id: &str) -> Option<String> {
    let (label, domain) = present.split_once('.').map_or((present, ""), |(label, _)| (label, &present[label.len()..]));
    if matches!(label, "" | "localhost" | "(none)") {
        return None;
    }
    let digits = |id: &str| id.get(..DIGITS).map(|digits| format!("-{digits}"));
    let suffix = digits(new_id)?;
    let mut label = digits(old_id).and_then(|old| label.strip_suffix(&old)).unwrap_or(label).to_owned();
    let room = LONGEST.saturating_sub(domain.len()).min(LABEL).saturating_sub(suffix.len());
    while label.len() > room {
        label.pop();
    }
    (!label.is_empty()).then(|| format!("{label}{suffix}{domain}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "1a2b3c4d00000000";
    const NEW: &str = "5e6f7a8b00000000";

    #[test]
    fn names_of_clones_of_clones_do_not_grow() {
        let name = |present: &str| of_clone(present, OLD, NEW);
        assert_eq!(name("web").unwrap(), "web-5e6f7a8b");
        assert_eq!(name("web-1a2b3c4d").unwrap(), "web-5e6f7a8b");
        assert_eq!(name("web.example.org").unwrap(), "web-5e6f7a8b.example.org");
        assert_eq!(of_clone("web", "", NEW).unwrap(), "web-5e6f7a8b");
        assert_eq!(name(&"x".repeat(64)).unwrap(), format!("{}-5e6f7a8b", "x".repeat(54)));
        for nameless in ["", "localhost", "localhost.localdomain", "(none)"] {
            assert_eq!(name(nameless), None);
        }
        assert_eq!(of_clone("web", OLD, ""), None);
    }
}
