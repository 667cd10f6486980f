//! Reading the command line and the environment.

use std::ffi::{OsStr, OsString};
use std::fmt;

use super::flags::{FLAGS, Flag};
use super::{FlagError, Flags};

/// Says what a command line asks for.
#[derive(Debug)]
pub enum Line {
    /// To run.
    Run(Box<Flags>),
    /// To say this and end.
    Say(String),
}

impl Line {
    /// Reads a command line, program name first, and for what it leaves open the environment, of which `variable`
    /// gives a value. A flag may be written with one dash, as in Go, or with two; the last of several counts.
    ///
    /// # Errors
    /// [`FlagError`] for the first word that is wrong.
    pub fn read(
        line: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, FlagError> {
        let mut flags = Flags::default();
        let mut said = Vec::new();
        let mut words = line.into_iter().skip(1);
        while let Some(word) = words.next() {
            let word = text(word)?;
            let name = match word.strip_prefix("--").or_else(|| word.strip_prefix('-')) {
                Some("h" | "help") => return Ok(Self::Say(Help.to_string())),
                Some(name) if !name.is_empty() => name,
                _ => return Err(FlagError::Stray(word)),
            };
            let (name, value) = name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
            let Some(flag) = FLAGS.iter().find(|flag| flag.name == name) else {
                return Err(FlagError::Unknown(word));
            };
            let value = match (value, flag.value) {
                (Some(value), _) => value.to_owned(),
                (None, None) => "true".to_owned(),
                (None, Some(_)) => text(words.next().ok_or(FlagError::NoValue(flag.name))?)?,
            };
            set(flag, &mut flags, &value, &format!("--{name}"))?;
            said.push(flag.name);
        }
        for flag in FLAGS.iter().filter(|flag| !said.contains(&flag.name)) {
            let found = flag.variable.and_then(|name| Some((name, variable(name)?)));
            if let Some((name, value)) = found.filter(|(_, value)| !value.is_empty()) {
                set(flag, &mut flags, &text(value)?, name)?;
            }
        }
        Ok(match (flags.version, flags.commit, flags.product_version) {
            (true, _, _) => Self::Say(format!("{}\n", crate::ENVD_VERSION)),
            (_, true, _) => Self::Say(format!("{}\n", crate::COMMIT)),
            (_, _, true) => {
                Self::Say(format!("thawd {} ({}), as envd {}\n", crate::VERSION, crate::COMMIT, crate::ENVD_VERSION))
            }
            _ => Self::Run(Box::new(flags)),
        })
    }
}

fn set(flag: &Flag, flags: &mut Flags, value: &str, place: &str) -> Result<(), FlagError> {
    // A token is nothing to print.
    let shown = if flag.name == "access-token" { "..." } else { value };
    let wrong = |why| FlagError::Value { place: place.to_owned(), value: shown.to_owned(), why };
    (flag.set)(flags, value).map_err(wrong)
}

fn text(word: impl AsRef<OsStr>) -> Result<String, FlagError> {
    let word = word.as_ref();
    word.to_str().map(str::to_owned).ok_or_else(|| FlagError::NotText(word.to_string_lossy().into_owned()))
}

/// Writes how the program is used.
#[derive(Debug)]
struct Help;

impl fmt::Display for Help {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(
            "The agent inside a sandbox VM: runs and streams processes, reads, writes and watches files.\n\
             A drop-in for E2B's envd: the same port, protocols and flags.\n\n\
             Usage: thawd [FLAG...]\n\n\
             A flag may be written with one dash or two (-port 5000, --port=5000), and wins over its\n\
             environment variable. Defaults are in parentheses.\n",
        )?;
        for flag in &FLAGS {
            let Some(help) = flag.help else { continue };
            let value = flag.value.map_or_else(|| "[=BOOL]".to_owned(), |value| format!(" {value}"));
            let variable = flag.variable.map_or_else(String::new, |name| format!("   [{name}]"));
            write!(out, "\n  --{}{value}{variable}\n", flag.name)?;
            wrap(out, help)?;
        }
        out.write_str("\nTry it: thawd -isnotfc & curl -i http://127.0.0.1:49983/health\n")
    }
}

/// Width of the help's text.
const COLUMNS: usize = 90;

fn wrap(out: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let mut line = String::new();
    for word in text.split(' ') {
        if line.len() + 1 + word.len() > COLUMNS {
            writeln!(out, "     {line}")?;
            line.clear();
        }
        line = line + " " + word;
    }
    writeln!(out, "     {line}")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::Config;

    fn read(line: &[&str], variables: &[(&str, &str)]) -> Result<Flags, FlagError> {
        let line = std::iter::once("thawd").chain(line.iter().copied()).map(OsString::from);
        let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        match Line::read(line, value)? {
            Line::Run(flags) => Ok(*flags),
            Line::Say(text) => panic!("{text}"),
        }
    }

    fn parse(line: &[&str]) -> Result<Flags, FlagError> {
        read(line, &[])
    }

    #[test]
    fn go_style_flags_work_with_one_dash_and_with_two() {
        for line in [["-port", "5000"].as_slice(), &["-port=5000"], &["--port=5000"], &["--port", "5000"]] {
            assert_eq!(parse(line).unwrap().port, 5000, "{line:?}");
        }
        assert_eq!(parse(&["-port=1", "-port=2"]).unwrap().port, 2, "the last one counts");
        let flags = parse(&["-isnotfc", "-no-cgroups=true", "-verbose=0", "-cgroup-root", "/x"]).unwrap();
        assert!(flags.isnotfc && flags.no_cgroups && !flags.verbose);
        assert_eq!(flags.cgroup_root, PathBuf::from("/x"));
    }

    #[test]
    fn questions_are_answered() {
        for (question, answer) in [
            ("-version", crate::ENVD_VERSION),
            ("--commit", crate::COMMIT),
            ("--product-version", crate::VERSION),
            ("-h", "Usage: thawd"),
        ] {
            let asked = Line::read(["thawd", question, "-resume-handover"].map(OsString::from), |_| None);
            assert!(matches!(&asked, Ok(Line::Say(text)) if text.contains(answer)), "{question}: {asked:?}");
        }
    }

    #[test]
    fn a_flag_wins_over_its_variable_and_an_empty_one_says_nothing() {
        let variables = [("THAWD_PORT", "7"), ("THAWD_SELF_REPAIR", "false"), ("THAWD_RUN_DIR", "")];
        let flags = read(&[], &variables).unwrap();
        assert_eq!((flags.port, flags.self_repair, flags.run_dir), (7, false, "/run/thawd".into()));
        assert_eq!(read(&["-port", "8"], &variables).unwrap().port, 8);
        let error = read(&[], &[("THAWD_PORT", "x")]).unwrap_err();
        assert!(error.to_string().contains("'x' for THAWD_PORT"), "{error}");
    }

    #[test]
    fn listeners_are_repeatable_and_replace_the_port() {
        let config = Config::from(parse(&["--listen", "tcp://127.0.0.1:1", "--listen=unix:///s,unix:///t"]).unwrap());
        assert_eq!(config.listen.len(), 3);
        let config = Config::from(parse(&[]).unwrap());
        assert_eq!(config.listen, ["tcp://0.0.0.0:49983".parse().unwrap()]);
    }

    #[test]
    fn wrong_usage_is_refused() {
        for (line, why) in [
            (["-port", "x"].as_slice(), "'x' for --port: invalid digit"),
            (&["-port"], "--port needs a value"),
            (&["-port", "70000"], "number too large"),
            (&["-nonsense"], "no flag '-nonsense'"),
            (&["stray"], "unexpected word 'stray'"),
            (&["-"], "unexpected word '-'"),
            (&["--listen", "http://x"], "for --listen"),
            (&["--verbose=maybe"], "expected true or false"),
            (&["--output-ring", "1"], "expected 65536 to 1073741824"),
            (&["--file-access", "me"], "expected root or user"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(why), "{line:?}: {error}");
        }
    }

    #[test]
    fn the_help_has_every_setting_in_lines_of_a_terminal() {
        let help = Help.to_string();
        for flag in FLAGS.iter().filter(|flag| flag.help.is_some()) {
            assert!(help.contains(&format!("--{}", flag.name)), "{}", flag.name);
        }
        assert!(help.lines().all(|line| line.len() <= 100), "{help}");
    }
}
