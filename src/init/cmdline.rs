//! The kernel command line, in words as the kernel makes them.

use std::fs;

/// Where the kernel shows it.
const PATH: &str = "/proc/cmdline";

/// Holds the words of a kernel command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cmdline {
    words: Vec<Word>,
    init_arguments: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    name: String,
    value: Option<String>,
}

impl Cmdline {
    /// Reads that of this machine; one that cannot be read is empty.
    #[must_use]
    pub fn read() -> Self {
        fs::read(PATH).map(|bytes| Self::parse(&String::from_utf8_lossy(&bytes))).unwrap_or_default()
    }

    /// Takes a line apart: words are parted by white space, double quotes hold them together and fall away (`next_arg`
    /// in the kernel's lib/cmdline.c), and everything behind `--` is for init.
    #[must_use]
    pub fn parse(line: &str) -> Self {
        let mut parsed = Self::default();
        let mut words = split(line).into_iter();
        for word in words.by_ref().take_while(|word| word != "--") {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            parsed.words.push(Word { name: normal(name), value });
        }
        parsed.init_arguments = words.collect();
        parsed
    }

    /// Gives the value of the last `name=value`.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values(name).last()
    }

    /// Gives the values of all `name=value`, in order.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let name = normal(name);
        self.words.iter().filter(move |word| word.name == name).filter_map(|word| word.value.as_deref())
    }

    /// Says whether the word is there, with or without a value.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        let name = normal(name);
        self.words.iter().any(|word| word.name == name)
    }

    /// Says which of two opposite words came last; `None` when neither did.
    #[must_use]
    pub fn last_of(&self, first: &str, second: &str) -> Option<bool> {
        let word = self.words.iter().rev().find(|word| word.name == first || word.name == second)?;
        Some(word.name == first)
    }

    /// Lists the words whose name begins so, without that beginning.
    pub fn below(&self, prefix: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.words.iter().filter_map(move |word| Some((word.name.strip_prefix(prefix)?, word.value.as_deref())))
    }

    /// Lists what stands behind `--`.
    pub fn init_arguments(&self) -> impl Iterator<Item = &str> {
        self.init_arguments.iter().map(String::as_str)
    }
}

/// Names are the same with a dash and with an underscore (`parameq` in the kernel's kernel/params.c).
fn normal(name: &str) -> String {
    name.replace('-', "_")
}

fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            space if space.is_ascii_whitespace() && !quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_values_and_the_last_one_counts() {
        let line = Cmdline::parse("quiet root=/dev/vda  rw thawd.port=1 thawd.port=2\n");
        assert_eq!(line.value("root"), Some("/dev/vda"));
        assert_eq!(line.value("thawd.port"), Some("2"));
        assert_eq!(line.values("thawd.port").collect::<Vec<_>>(), ["1", "2"]);
        assert!(line.has("quiet") && !line.has("loud"));
        assert_eq!(line.value("quiet"), None);
    }

    #[test]
    fn quotes_hold_words_together_wherever_they_stand() {
        let line = Cmdline::parse(r#"a="b c" "d=e f" g"#);
        assert_eq!((line.value("a"), line.value("d")), (Some("b c"), Some("e f")));
        assert!(line.has("g"));
        assert_eq!(Cmdline::parse("a=\"never closed x").value("a"), Some("never closed x"));
        assert_eq!(Cmdline::parse("a=b=c").value("a"), Some("b=c"));
    }

    #[test]
    fn a_dash_is_an_underscore_in_a_name_and_stays_a_dash_in_a_value() {
        let line = Cmdline::parse("thawd.file-access=a-b");
        assert_eq!(line.value("thawd.file_access"), Some("a-b"));
        assert_eq!(line.below("thawd.").collect::<Vec<_>>(), [("file_access", Some("a-b"))]);
    }

    #[test]
    fn what_stands_behind_two_dashes_is_for_init() {
        let line = Cmdline::parse("quiet -- -isnotfc root=/dev/vdb");
        assert_eq!(line.init_arguments().collect::<Vec<_>>(), ["-isnotfc", "root=/dev/vdb"]);
        assert_eq!(line.value("root"), None);
    }

    #[test]
    fn the_later_of_two_opposites_wins() {
        assert_eq!(Cmdline::parse("ro rw").last_of("rw", "ro"), Some(true));
        assert_eq!(Cmdline::parse("rw ro").last_of("rw", "ro"), Some(false));
        assert_eq!(Cmdline::parse("").last_of("rw", "ro"), None);
    }
}
