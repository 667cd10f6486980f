//! The rules of freezing and thawing as a pure value: no clock, no lock, no device.
//!
//! ```text
//!            freeze                settle
//! Running ───────────▶ Freezing ───────────▶ Frozen
//!    ▲  ▲                 │ unwind             │ thaw / unwind
//!    │  └─────────────────┘                    ▼
//!    └──────────────────────────────────── Thawing
//! ```

use crate::base::Phase;

/// Says who froze, and so what thaws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Our own service: clients were parted, new work is kept out.
    Whole,
    /// A host that speaks envd's protocol: the workload stands still, everything else goes on.
    Workload,
}

/// Keeps where the guest is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Machine {
    phase: Phase,
    hold: Option<Hold>,
    generation: u64,
}

/// Answers a request to freeze.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freezing {
    /// Do it now.
    Begin,
    /// It has been done: answer with the same report.
    Already,
}

/// Answers a request to thaw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thawing {
    /// Do it now.
    Begin,
    /// Nothing is frozen: repair the guest, which may have been paused all the same.
    Repair,
    /// It has been done: answer with the same report.
    Already,
    /// Another freeze than the one asked for is in force.
    Stale {
        /// The one in force, or the life that goes on.
        generation: u64,
    },
}

impl Machine {
    /// Begins in the life that an agent before this one counted.
    pub(super) fn of(generation: u64) -> Self {
        Self { generation, ..Self::default() }
    }

    /// Tells whether programs run.
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Says whether new work is kept out: always but while a host holds the workload only.
    pub(super) fn is_guarded(&self) -> bool {
        match self.phase {
            Phase::Running => false,
            Phase::Freezing => true,
            Phase::Frozen | Phase::Thawing => self.hold != Some(Hold::Workload),
        }
    }

    /// Tells who froze.
    pub(super) fn hold(&self) -> Option<Hold> {
        self.hold
    }

    /// Counts the lives.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Asks to freeze everything. The driver asks between two operations, so nothing is on its way.
    pub(super) fn freeze(&mut self) -> Freezing {
        if self.phase == Phase::Frozen && self.hold == Some(Hold::Whole) {
            return Freezing::Already;
        }
        self.phase = Phase::Freezing;
        Freezing::Begin
    }

    /// Asks to freeze the workload only; always allowed, and leaves a whole freeze what it is.
    pub(super) fn freeze_workload(&mut self) {
        if self.phase != Phase::Frozen {
            self.phase = Phase::Freezing;
        }
    }

    /// Says that everything stands still.
    pub(super) fn settle(&mut self, hold: Hold) {
        if self.hold != Some(Hold::Whole) {
            self.hold = Some(hold);
        }
        self.phase = Phase::Frozen;
    }

    /// Asks to thaw the freeze of `generation`, or any.
    pub(super) fn thaw(&mut self, generation: Option<u64>) -> Thawing {
        let asked = generation.unwrap_or(self.generation);
        match self.phase {
            Phase::Running if asked == self.generation => Thawing::Repair,
            Phase::Running if asked + 1 == self.generation => Thawing::Already,
            _ if asked != self.generation => Thawing::Stale { generation: self.generation },
            _ => {
                self.phase = Phase::Thawing;
                Thawing::Begin
            }
        }
    }

    /// Gives up a freeze, on its way or settled: programs go on with the same life.
    pub(super) fn unwind(&mut self) {
        self.phase = Phase::Thawing;
    }

    /// Says that a thaw was refused: everything stands still as before.
    pub(super) fn keep(&mut self) {
        self.phase = Phase::Frozen;
    }

    /// Says that programs run again; `resumed` begins a new life.
    pub(super) fn run(&mut self, resumed: bool) {
        self.phase = Phase::Running;
        self.hold = None;
        self.generation += u64::from(resumed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_freeze_gets_the_answer_of_the_first() {
        let mut machine = Machine::default();
        assert_eq!(machine.freeze(), Freezing::Begin);
        machine.settle(Hold::Whole);
        assert_eq!(machine.freeze(), Freezing::Already);
    }

    #[test]
    fn a_whole_freeze_goes_beyond_one_of_the_workload_and_never_back() {
        let mut machine = Machine::default();
        machine.freeze_workload();
        machine.settle(Hold::Workload);
        assert_eq!(machine.freeze(), Freezing::Begin);
        machine.settle(Hold::Whole);
        machine.freeze_workload();
        machine.settle(Hold::Workload);
        assert_eq!(machine.hold(), Some(Hold::Whole));
    }

    #[test]
    fn a_thaw_is_for_one_freeze_and_can_be_asked_for_again() {
        let mut machine = Machine::default();
        machine.freeze();
        machine.settle(Hold::Whole);
        assert_eq!(machine.thaw(Some(7)), Thawing::Stale { generation: 0 });
        assert_eq!(machine.phase(), Phase::Frozen);
        assert_eq!(machine.thaw(Some(0)), Thawing::Begin);
        machine.run(true);
        assert_eq!(machine.thaw(Some(0)), Thawing::Already);
        assert_eq!(machine.thaw(None), Thawing::Repair);
        assert_eq!(machine.thaw(Some(5)), Thawing::Stale { generation: 1 });
    }

    /// Whatever is asked in whatever order, the machine is never stuck and lives are never counted back.
    #[test]
    fn no_sequence_of_requests_leads_astray() {
        for seed in 0..20_000u32 {
            let mut machine = Machine::default();
            let mut choice = seed;
            for _ in 0..9 {
                let before = machine;
                match choice % 5 {
                    0 => {
                        if machine.freeze() == Freezing::Begin {
                            machine.settle(Hold::Whole);
                        }
                    }
                    1 => {
                        machine.freeze_workload();
                        machine.settle(Hold::Workload);
                    }
                    2 => match machine.thaw(None) {
                        Thawing::Begin | Thawing::Repair => machine.run(true),
                        Thawing::Already | Thawing::Stale { .. } => {}
                    },
                    3 => {
                        machine.unwind();
                        machine.run(false);
                    }
                    _ => {
                        if machine.thaw(Some(before.generation)) == Thawing::Begin {
                            machine.keep();
                        }
                    }
                }
                choice /= 5;
                assert!(matches!(machine.phase(), Phase::Running | Phase::Frozen), "{before:?} {machine:?}");
                assert_eq!(machine.hold().is_some(), machine.phase() == Phase::Frozen);
                assert!(machine.generation() >= before.generation);
            }
        }
    }
}
