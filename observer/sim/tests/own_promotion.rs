//! Between a plan's promotion and its end the journal names the old master, and the judge holds the
//! world against that. What people are told is whose promotion it was: the plan's own is never told
//! as the work of other hands, and that of other hands never as the plan's.

use observer_core::judge::Cause;
use observer_sim::fault::Fault;
use observer_sim::run::{Run, Setup};

const EVERY_MS: u64 = 10;

/// Plays for `ms` and calls `look` again and again.
fn play(run: &mut Run, ms: u64, mut look: impl FnMut(&Run)) {
    for _ in 0..ms / EVERY_MS {
        run.advance(EVERY_MS).unwrap_or_else(|broken| panic!("{broken}"));
        look(run);
    }
}

fn moved(run: &Run) -> bool {
    let ruling = run.pair().and_then(|pair| pair.latest());
    ruling.is_some_and(|(_, ruling)| ruling.rule.cause == Cause::MasterMoved)
}

fn told_moved(run: &Run) -> bool {
    run.events.iter().any(|event| event.kind.rule() == Some("R4"))
}

#[test]
fn a_plans_own_promotion_is_told_as_its_own() {
    let mut seen = 0;
    // Some of them promote right before a look at the new master.
    for after_ms in (5_000..6_000).step_by(100) {
        let mut run = Run::new(Setup::usual(7, 1));
        run.schedule(after_ms, Fault::OrderSwitchover);
        play(&mut run, 20_000, |run| {
            let Some(pair) = run.pair() else { return };
            if moved(run) {
                seen += 1;
                assert_eq!(pair.promoted_by_plan().map(|host| host.as_str()), Some("node-b"));
                assert_eq!(pair.protection().cause, Cause::PlanOpen);
            }
        });
        assert!(!told_moved(&run), "{after_ms} ms");
        assert_eq!(run.pair().and_then(|pair| pair.promoted_by_plan()), None, "it is over");
    }
    assert!(seen > 0, "the judge never met it");
}

/// The observer dies past the promotion: its next life looks first, and tells nothing untrue.
#[test]
fn nor_does_the_next_life_take_it_for_that_of_other_hands() {
    let mut met = 0;
    for records in 14..30 {
        let mut run = Run::new(Setup::usual(records, 1));
        run.schedule(5_000, Fault::KillObserverAfterRecords(records));
        run.schedule(5_000, Fault::OrderSwitchover);
        run.schedule(9_000, Fault::StartObserver);
        play(&mut run, 30_000, |run| {
            let Some(pair) = run.pair() else { return };
            if moved(run) && pair.promoted_by_plan().is_some() {
                met += 1;
                assert_eq!(pair.protection().cause, Cause::PlanOpen);
            }
        });
        assert!(!told_moved(&run), "{records} records");
    }
    assert!(met > 0, "no life began past the promotion");
}

#[test]
fn a_promotion_by_other_hands_is_no_plans() {
    let mut run = Run::new(Setup::usual(7, 1));
    run.schedule(3_000, Fault::Pause);
    run.schedule(5_000, Fault::PowerOff("node-a".into()));
    run.schedule(10_000, Fault::PromoteByHand("node-b".into()));
    let mut seen = 0;
    play(&mut run, 20_000, |run| {
        if moved(run) {
            seen += 1;
            assert_eq!(run.pair().and_then(|pair| pair.promoted_by_plan()), None);
        }
    });
    assert!(seen > 0 && told_moved(&run));
}
