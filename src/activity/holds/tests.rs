//! Holds that end, and holds that cannot be.

use super::*;
use crate::base::{Failure, Kind, Phase};

const LONG: Duration = Duration::from_secs(1000);

fn holds() -> Holds {
    Holds::new(Pulse::default())
}

fn program(uid: u32, connection: u64) -> Holder {
    Holder::Program { uid, pid: Some(1), connection }
}

#[test]
fn a_hold_runs_out_and_its_number_with_it() {
    let holds = holds();
    let id = holds.hold(Holder::Client, "a", Duration::from_millis(20)).unwrap();
    assert_eq!(holds.list().len(), 1);
    while !holds.list().is_empty() {
        std::thread::yield_now();
    }
    assert!(holds.pulse().last(Happening::Touch).is_some(), "it was in use until then");
    for refused in [holds.release(Holder::Client, id), holds.renew(Holder::Client, id, LONG)] {
        assert_eq!(refused.unwrap_err().kind(), Kind::NotFound);
    }
    assert_ne!(holds.hold(Holder::Client, "b", LONG).unwrap(), id);
}

#[test]
fn a_hold_does_not_run_out_while_programs_stand_still() {
    let holds = holds();
    holds.hold(Holder::Client, "a", Duration::from_millis(50)).unwrap();
    let life = |phase, generation| Life { phase, generation, ..Life::default() };
    holds.follow(life(Phase::Frozen, 0));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(holds.list().len(), 1);
    holds.follow(life(Phase::Running, 1));
    assert_eq!(holds.list().len(), 1);
}

#[test]
fn a_renewed_hold_lasts_longer_and_a_released_one_is_gone() {
    let holds = holds();
    let id = holds.hold(Holder::Client, "a\nb", Duration::from_millis(500)).unwrap();
    holds.renew(Holder::Client, id, LONG).unwrap();
    let held = holds.list();
    assert!(held[0].left > Duration::from_secs(900) && held[0].reason == "a b", "{held:?}");
    assert_eq!(holds.release(program(1, 1), id).unwrap_err().kind(), Kind::NotFound, "not its own");
    let theirs = holds.hold(program(1, 1), "", LONG).unwrap();
    holds.release(Holder::Client, theirs).unwrap();
    holds.release(Holder::Client, id).unwrap();
    assert!(holds.list().is_empty());
}

#[test]
fn holds_of_a_connection_end_with_it() {
    let holds = holds();
    for connection in [1, 1, 2] {
        holds.hold(program(5, connection), "", LONG).unwrap();
    }
    holds.hold(Holder::Client, "", LONG).unwrap();
    holds.release_all(1);
    assert_eq!(holds.list().len(), 2);
}

#[test]
fn their_number_is_bounded_and_one_user_does_not_shut_out_others() {
    let holds = holds();
    let fill = |holder| std::iter::from_fn(|| holds.hold(holder, "", LONG).ok()).count();
    assert_eq!(fill(program(1, 1)), MOST_OF_USER);
    assert_eq!(fill(program(2, 2)), MOST_OF_USER);
    assert_eq!(fill(Holder::Client), MOST_HOLDS - 2 * MOST_OF_USER);
    let refused = holds.hold(program(3, 3), "", LONG).unwrap_err();
    assert_eq!(refused.kind(), Kind::ResourceExhausted);
    holds.release_all(1);
    assert_eq!(fill(program(3, 3)), MOST_OF_USER);
}

#[test]
fn what_no_hold_can_be_is_refused() {
    let holds = holds();
    for ttl in [Duration::ZERO, LONGEST_HOLD + Duration::from_millis(1)] {
        assert_eq!(holds.hold(Holder::Client, "", ttl).unwrap_err().kind(), Kind::InvalidArgument);
    }
    let long = "x".repeat(REASON_MOST + 1);
    assert_eq!(holds.hold(Holder::Client, &long, LONG).unwrap_err().kind(), Kind::InvalidArgument);
    assert!(holds.list().is_empty());
}
