//! Flags on the kernel command line: `thawd.port=5000`, `thawd.isnotfc`, `thawd.args="-port 5000 -verbose"`.
//!
//! They are the weakest word: the program's own flags and environment go before them. In a container they are not
//! read, since the line is that of the host there.

use std::ffi::OsString;

use super::flags::FLAGS;
use crate::init::cmdline::Cmdline;

/// Begins the words that are for us.
const PREFIX: &str = "thawd.";
/// The word that holds whole flags.
const ARGS: &str = "args";

/// Puts the flags of the kernel command line behind the program's name, so that those of the caller win.
#[must_use]
pub fn with_kernel_flags(line: Vec<OsString>) -> Vec<OsString> {
    let cmdline = if crate::init::is_machine() { Cmdline::read() } else { Cmdline::default() };
    merge(line, &cmdline, |variable| std::env::var_os(variable).is_some())
}

fn merge(line: Vec<OsString>, cmdline: &Cmdline, is_set: impl Fn(&str) -> bool) -> Vec<OsString> {
    let said = |flag: &str| {
        line.iter().skip(1).filter_map(|word| word.to_str()).any(|word| {
            let word = word.trim_start_matches('-');
            word.split_once('=').map_or(word, |(name, _)| name) == flag
        })
    };
    let mut found = Vec::new();
    for (name, value) in cmdline.below(PREFIX) {
        if name == ARGS {
            found.extend(value.unwrap_or_default().split_ascii_whitespace().map(OsString::from));
            continue;
        }
        // What has a variable is a setting; the rest are questions (`version`), which no machine asks.
        let flag = FLAGS.iter().find(|flag| same(flag.name, name));
        let Some((flag, variable)) = flag.and_then(|flag| Some((flag.name, flag.variable?))) else { continue };
        if !is_set(variable) && !said(flag) {
            found.push(value.map_or_else(|| format!("--{flag}"), |value| format!("--{flag}={value}")).into());
        }
    }
    let mut words = line.into_iter();
    words.next().into_iter().chain(found).chain(words).collect()
}

/// The kernel's names have underscores for dashes.
fn same(flag: &str, name: &str) -> bool {
    flag.len() == name.len() && flag.bytes().zip(name.bytes()).all(|(a, b)| a == b || (a == b'-' && b == b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(line: &[&str], cmdline: &str, set: &[&str]) -> Vec<String> {
        let line = line.iter().map(OsString::from).collect();
        let merged = merge(line, &Cmdline::parse(cmdline), |variable| set.contains(&variable));
        merged.into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn flags_of_the_kernel_line_stand_before_the_callers() {
        let line = "quiet thawd.port=5000 thawd.isnotfc thawd.cgroup-root=/x root=/dev/vda";
        let expected = ["thawd", "--port=5000", "--isnotfc", "--cgroup-root=/x", "-verbose"];
        assert_eq!(merged(&["thawd", "-verbose"], line, &[]), expected);
        assert_eq!(merged(&["thawd"], r#"thawd.args="-port 1 -isnotfc""#, &[]), ["thawd", "-port", "1", "-isnotfc"]);
    }

    #[test]
    fn the_callers_flags_and_environment_win() {
        assert_eq!(merged(&["thawd", "-port=1"], "thawd.port=2", &[]), ["thawd", "-port=1"]);
        assert_eq!(merged(&["thawd", "--listen", "unix:///a"], "thawd.listen=unix:///b", &[]).len(), 3);
        assert_eq!(merged(&["thawd"], "thawd.port=2", &["THAWD_PORT"]), ["thawd"]);
    }

    #[test]
    fn words_that_are_no_settings_are_left_alone() {
        let line = "thawd.version thawd.help thawd.mount=/dev/vdb:/data thawd.init=/sbin/init thawd.nonsense=1 port=3";
        assert_eq!(merged(&["thawd"], line, &[]), ["thawd"]);
    }
}
