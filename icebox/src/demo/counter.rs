//! The program that counts, and what it must have written.

use std::time::Duration;

use icebox::agent::{Agent, Program};
use tokio::time::{Instant, timeout_at};

use super::error::DemoError;

/// Counts in memory alone; ten a second on a machine that has time.
const COUNT: &str = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done";
/// More than it can count, if it runs, between the last number that was seen and the first one afterwards: the time
/// that freezing and thawing take, on a busy machine.
const SLACK: u64 = 100;

/// The running program.
pub(super) struct Counter {
    pid: u64,
    /// Bytes that it wrote and that were seen.
    seen: u64,
}

/// Numbers without a gap.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    first: u64,
    last: u64,
}

impl Counter {
    pub(super) async fn start(agent: &Agent) -> Result<Self, DemoError> {
        // Only its output counts; leaving the stream does not end it.
        let running = agent.start(&Program::shell(COUNT)).await?;
        Ok(Self { pid: running.pid, seen: 0 })
    }

    pub(super) fn pid(&self) -> u64 {
        self.pid
    }

    /// Reads on from what was seen, for some time.
    pub(super) async fn watch(&mut self, agent: &Agent, time: Duration) -> Result<Numbers, DemoError> {
        let mut running = agent.attach(self.pid, Some(self.seen)).await?;
        let until = Instant::now() + time;
        let mut bytes = Vec::new();
        while let Ok(read) = timeout_at(until, running.stdout()).await {
            bytes.extend(read?.ok_or(DemoError::Ended)?);
        }
        // The last line may be there in part.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.seen += whole as u64;
        Numbers::read(&String::from_utf8_lossy(&bytes[..whole]))
    }
}

impl Numbers {
    fn read(text: &str) -> Result<Self, DemoError> {
        let mut numbers: Option<Self> = None;
        for line in text.lines() {
            let next: u64 = line.parse().map_err(|_| DemoError::NoNumber { text: line.into() })?;
            numbers = Some(match numbers {
                None => Self { first: next, last: next },
                Some(Self { first, last }) if last + 1 == next => Self { first, last: next },
                Some(Self { last, .. }) => return Err(DemoError::Gap { last, next }),
            });
        }
        numbers.ok_or(DemoError::Silent)
    }

    /// Checks that these are the next ones after `before`: no gap, no restart, and no counting meanwhile.
    pub(super) fn goes_on_from(&self, before: &Self) -> Result<(), DemoError> {
        let (last, next) = (before.last, self.first);
        if next != last + 1 {
            return Err(DemoError::Gap { last, next });
        }
        if self.last - last > SLACK {
            return Err(DemoError::Ran { last, next: self.last });
        }
        Ok(())
    }

    pub(super) fn text(&self) -> String {
        format!("{} ... {}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_in_a_row_are_as_promised() {
        let numbers = |text| Numbers::read(text);
        assert_eq!(numbers("3\n4\n5\n").unwrap(), Numbers { first: 3, last: 5 });
        assert!(matches!(numbers("3\n5\n"), Err(DemoError::Gap { last: 3, next: 5 })));
        assert!(matches!(numbers("1\n2\n1\n"), Err(DemoError::Gap { last: 2, next: 1 })));
        assert!(matches!(numbers(""), Err(DemoError::Silent)));
        assert!(matches!(numbers("x\n"), Err(DemoError::NoNumber { .. })));
        let before = Numbers { first: 1, last: 9 };
        Numbers { first: 10, last: 30 }.goes_on_from(&before).unwrap();
        assert!(Numbers { first: 1, last: 30 }.goes_on_from(&before).is_err());
        assert!(Numbers { first: 10, last: 400 }.goes_on_from(&before).is_err());
    }
}
