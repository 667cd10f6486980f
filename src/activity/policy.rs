//! What a host counts as use of the guest.

use std::time::Duration;

use super::ActivityError;

/// Window of a question that names none: long enough for a person who thinks, short beside any pause.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Shortest window: shorter ones would be polling.
pub const SHORTEST_WINDOW: Duration = Duration::from_millis(100);
/// Longest window, a day.
pub const LONGEST_WINDOW: Duration = Duration::from_secs(86_400);
/// Most cores that a threshold can name; more than any guest has.
const MOST_CORES: u32 = 4096;
/// Characters of an unknown word that are told back.
const WORD_TOLD: usize = 40;

/// Says when a guest is idle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Nothing that counts has happened for so long.
    pub idle_for: Duration,
    /// Programs used less than this many cores on average meanwhile; `None` does not ask.
    pub cpu_below: Option<f64>,
    /// What does not count.
    pub ignored: Ignored,
}

/// Names what does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Programs that a client follows.
    pub foreground: bool,
    /// Programs that nobody follows, and what they write.
    pub background: bool,
    /// What any program writes.
    pub output: bool,
    /// Programs on a terminal.
    pub ptys: bool,
    /// Requests that are being answered.
    pub streams: bool,
    /// Connections that are merely open, in either direction.
    pub connections: bool,
    /// Connections to servers of the guest, and what comes through them.
    pub inbound: bool,
    /// Connections to servers outside, and what goes through them.
    pub outbound: bool,
}

/// The words of [`Ignored`].
const WORDS: [&str; 8] =
    ["foreground", "background", "output", "ptys", "streams", "connections", "inbound", "outbound"];

impl Policy {
    /// Checks a wish. A window of 0 is none; a threshold of 0 does not ask.
    ///
    /// # Errors
    /// [`ActivityError::Window`], [`ActivityError::Cores`], [`ActivityError::Word`].
    pub fn new<'a>(
        idle_for: Duration,
        cpu_below: f64,
        ignore: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ActivityError> {
        if !(SHORTEST_WINDOW..=LONGEST_WINDOW).contains(&idle_for) {
            return Err(ActivityError::Window { least: SHORTEST_WINDOW, most: LONGEST_WINDOW });
        }
        if !(0.0..=f64::from(MOST_CORES)).contains(&cpu_below) {
            return Err(ActivityError::Cores { most: MOST_CORES });
        }
        let mut ignored = Ignored::default();
        for word in ignore {
            *ignored.word(word).ok_or_else(|| unknown(word))? = true;
        }
        Ok(Self { idle_for, cpu_below: (cpu_below > 0.0).then_some(cpu_below), ignored })
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { idle_for: WINDOW, cpu_below: None, ignored: Ignored::default() }
    }
}

impl Ignored {
    fn word(&mut self, word: &str) -> Option<&mut bool> {
        Some(match word {
            "foreground" => &mut self.foreground,
            "background" => &mut self.background,
            "output" => &mut self.output,
            "ptys" => &mut self.ptys,
            "streams" => &mut self.streams,
            "connections" => &mut self.connections,
            "inbound" => &mut self.inbound,
            "outbound" => &mut self.outbound,
            _ => return None,
        })
    }
}

fn unknown(word: &str) -> ActivityError {
    let word = word.chars().filter(|c| !c.is_control()).take(WORD_TOLD).collect();
    ActivityError::Word { word, known: WORDS.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_that_is_told_is_known_and_means_something_of_its_own() {
        let of = |word: &str| Policy::new(WINDOW, 0.0, [word]).unwrap().ignored;
        for (index, word) in WORDS.iter().enumerate() {
            assert_ne!(of(word), Ignored::default());
            assert!(WORDS[..index].iter().all(|other| of(other) != of(word)), "{word}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (idle_for, cpu_below, word) in [
            (Duration::ZERO, 0.0, "ptys"),
            (SHORTEST_WINDOW - Duration::from_millis(1), 0.0, "ptys"),
            (LONGEST_WINDOW + Duration::from_millis(1), 0.0, "ptys"),
            (WINDOW, -0.1, "ptys"),
            (WINDOW, f64::NAN, "ptys"),
            (WINDOW, f64::INFINITY, "ptys"),
            (WINDOW, 0.0, "pty"),
            (WINDOW, 0.0, ""),
            (WINDOW, 0.0, "Ptys"),
        ] {
            assert!(Policy::new(idle_for, cpu_below, [word]).is_err(), "{idle_for:?} {cpu_below} {word}");
        }
        let long = Policy::new(WINDOW, 0.0, ["x".repeat(10_000).as_str()]).unwrap_err().to_string();
        assert!(long.len() < 200, "{long}");
    }
}
