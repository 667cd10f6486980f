//! Looks at the agent from beside it: which of its pages it touches, when it runs, what it starts. Nothing here makes
//! the agent run.

#![allow(unreachable_pub, reason = "test support")]

use std::collections::BTreeMap;
use std::time::Duration;

use icebox::guest::{Door, Guest, PAGE};

/// Finds the agent: its supervisor has another name, and the process that guards a freeze is its child.
const AGENT: &str = r#"for p in /proc/[0-9]*; do
  read -r name <$p/comm; [ "$name" = thawd ] || continue
  read -r _ _ _ parent _ <$p/stat; read -r name </proc/$parent/comm; [ "$name" = thawd ] || agent=$p
done 2>/dev/null
"#;

/// Pages of one kind of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// There at all.
    pub present: usize,
    /// Read or written since the meter was set, by the processor's accessed bits (`Referenced` in proc(5)).
    pub touched: usize,
    /// New since then, or with other content.
    pub changed: usize,
    /// New since then: these are in no snapshot, so that none was read for them.
    pub new: usize,
}

/// What was touched of the agent's memory.
#[derive(Debug, Default)]
pub struct Touched {
    /// Its own, which is in every snapshot, by kind: heap, stack, mmap, data, bss.
    pub own: BTreeMap<&'static str, Pages>,
    /// The program's file: code and constants, from the page cache.
    pub file: Pages,
    /// What became of each page of its own, mapping by mapping, for whoever looks for the reason: `#` changed, `+` new,
    /// `-` as it was, `.` not there.
    pub places: Vec<String>,
}

impl Touched {
    /// All of its own memory.
    pub fn all(&self) -> Pages {
        self.own.values().fold(Pages::default(), |all, pages| Pages {
            present: all.present + pages.present,
            touched: all.touched + pages.touched,
            changed: all.changed + pages.changed,
            new: all.new + pages.new,
        })
    }
}

/// The meter of pages, set to zero at one moment.
pub struct Meter {
    frames: Vec<Mapping>,
    memory: Vec<u8>,
}

/// What became of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Absent,
    Same,
    Changed,
    New,
}

impl Fate {
    fn mark(self) -> char {
        match self {
            Self::Absent => '.',
            Self::Same => '-',
            Self::Changed => '#',
            Self::New => '+',
        }
    }
}

/// One mapping of the agent's own memory: the guest's frame of each page, 0 where there is none.
struct Mapping {
    kind: &'static str,
    from: u64,
    frames: Vec<u64>,
}

impl Meter {
    /// Sets it.
    pub fn set(guest: &mut Guest, door: &Door) -> Self {
        // The second line makes the processor forget what it knows of the page tables, which the first does not.
        let said = door.sh(&format!("{AGENT} echo 1 >$agent/clear_refs\n echo 4 >$agent/clear_refs"));
        assert_eq!(said, "", "setting the meter");
        let frames = mappings(door, &mut Touched::default());
        Self { frames, memory: guest.memory() }
    }

    /// Reads it, perhaps in another life of the guest.
    pub fn read(&self, guest: &mut Guest, door: &Door) -> Touched {
        // The CPUs stand still meanwhile: nothing is touched between the one look and the other.
        let memory = guest.memory();
        let mut touched = Touched::default();
        for mapping in mappings(door, &mut touched) {
            let address = |at: usize| mapping.from + at as u64 * 4096;
            let fates: Vec<_> =
                mapping.frames.iter().enumerate().map(|(at, frame)| self.fate(address(at), *frame, &memory)).collect();
            let count = |fate: Fate| fates.iter().filter(|found| **found == fate).count();
            let pages = touched.own.entry(mapping.kind).or_default();
            pages.new += count(Fate::New);
            pages.changed += count(Fate::New) + count(Fate::Changed);
            let marks: String = fates.iter().map(|fate| fate.mark()).collect();
            touched.places.push(format!("{:x} {} {marks}", mapping.from, mapping.kind));
        }
        touched
    }

    /// What became of the page at `address`, which now lies in `frame` of `memory`.
    fn fate(&self, address: u64, frame: u64, memory: &[u8]) -> Fate {
        let content = |memory: &[u8], frame: u64| {
            let place = usize::try_from(frame).unwrap() * PAGE;
            memory[place..place + PAGE].to_vec()
        };
        match self.frame(address) {
            _ if frame == 0 => Fate::Absent,
            None | Some(0) => Fate::New,
            Some(before) if content(&self.memory, before) == content(memory, frame) => Fate::Same,
            Some(_) => Fate::Changed,
        }
    }

    fn frame(&self, address: u64) -> Option<u64> {
        self.frames.iter().find_map(|mapping| {
            let at = address.checked_sub(mapping.from)? / 4096;
            mapping.frames.get(usize::try_from(at).unwrap()).copied()
        })
    }
}

/// Lists the agent's own mappings, and counts what `smaps` tells of each kind.
fn mappings(door: &Door, touched: &mut Touched) -> Vec<Mapping> {
    let maps = door.sh(&format!("{AGENT} cat $agent/smaps"));
    let mut found = Vec::new();
    let mut kind = "file";
    for line in maps.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Some((from, to)) = words[0].split_once('-') {
            let address = |text| u64::from_str_radix(text, 16).unwrap();
            kind = kind_of(words[1], words.get(5).copied().unwrap_or_default(), kind);
            if kind != "file" {
                found.push((kind, address(from), address(to)));
            }
            continue;
        }
        let pages = if kind == "file" { &mut touched.file } else { touched.own.entry(kind).or_default() };
        let number = || words[1].parse::<usize>().unwrap() / 4;
        match words[0] {
            "Rss:" => pages.present += number(),
            "Referenced:" => pages.touched += number(),
            _ => {}
        }
    }
    frames(door, &found)
}

/// The name of a mapping's kind, by its rights, its name and the kind of the mapping below.
fn kind_of(rights: &str, name: &str, below: &str) -> &'static str {
    match name {
        "[heap]" => "heap",
        "[stack]" => "stack",
        _ if !rights.starts_with("rw") => "file",
        "" if below == "data" => "bss",
        "" => "mmap",
        _ => "data",
    }
}

/// Reads where pages lie (Documentation/admin-guide/mm/pagemap.rst).
fn frames(door: &Door, ranges: &[(&'static str, u64, u64)]) -> Vec<Mapping> {
    let mut lines = String::from(AGENT);
    for (_, from, to) in ranges {
        let (skip, count) = (from / 4096, (to - from) / 4096);
        lines += &format!(
            "dd if=$agent/pagemap bs=8 skip={skip} count={count} 2>/dev/null | od -An -v -tx8 -w8 | tr '\\n' ' '; echo\n"
        );
    }
    let entries = door.sh(&lines);
    assert_eq!(entries.lines().count(), ranges.len(), "{entries}");
    let frame = |entry: &str| {
        let entry = u64::from_str_radix(entry, 16).unwrap();
        if entry >> 63 == 1 { entry & ((1 << 55) - 1) } else { 0 }
    };
    let mapping = |(range, line): (&(&'static str, u64, u64), &str)| Mapping {
        kind: range.0,
        from: range.1,
        frames: line.split_whitespace().map(frame).collect(),
    };
    ranges.iter().zip(entries.lines()).map(mapping).collect()
}

/// When the agent ran: each number stays as it is while it sleeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    /// Voluntary and other switches of each thread.
    pub switches: String,
    /// Clock ticks in user space and in the kernel.
    pub ticks: String,
}

/// Reads when the agent ran.
pub fn runs(door: &Door) -> Runs {
    let switches = door.sh(&format!("{AGENT} grep -H ctxt $agent/task/*/status"));
    let ticks = door.sh(&format!("{AGENT} cut -d ' ' -f 14-15 $agent/stat"));
    assert!(switches.contains("voluntary") && ticks.len() > 3, "{switches} {ticks}");
    Runs { switches, ticks }
}

/// For so long the agent must not have run to count as asleep: threads of the runtime stay for 2 s.
const ASLEEP: Duration = Duration::from_secs(3);

/// Waits until the agent sleeps.
pub fn settle(door: &Door) {
    let mut before = runs(door);
    crate::support::wait_until("the agent sleeps", || {
        std::thread::sleep(ASLEEP);
        let now = runs(door);
        std::mem::replace(&mut before, now.clone()) == now
    });
}

/// Writes down who forks and who executes, from now on.
pub fn trace(door: &Door) {
    let said = door.sh("cd /sys/kernel/tracing; [ -e trace ] || mount -t tracefs none .; cd /sys/kernel/tracing
        echo 0 >tracing_on; echo >trace
        echo 1 >events/sched/sched_process_fork/enable; echo 1 >events/sched/sched_process_exec/enable
        echo 1 >tracing_on");
    assert_eq!(said, "", "tracing");
}

/// What the agent has started since then: threads and processes, and what it or they executed.
#[derive(Debug, Default)]
pub struct Started {
    pub forks: Vec<String>,
    pub executed: Vec<String>,
}

/// Reads what was started.
pub fn started(door: &Door) -> Started {
    let trace = door.sh("cat /sys/kernel/tracing/trace");
    let mut family: Vec<String> =
        door.sh(&format!("{AGENT} ls $agent/task")).split_whitespace().map(str::to_owned).collect();
    let mut started = Started::default();
    for line in trace.lines().filter(|line| !line.starts_with('#')) {
        let field = |name: &str| {
            line.split_whitespace()
                .filter_map(|word| word.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
        };
        let is_ours = field("pid").is_some_and(|pid| family.iter().any(|ours| ours == pid));
        if line.contains("sched_process_fork:") && is_ours {
            family.extend(field("child_pid").map(str::to_owned));
            started.forks.push(line.trim().to_owned());
        } else if line.contains("sched_process_exec:") && is_ours {
            started.executed.push(line.trim().to_owned());
        }
    }
    started
}
