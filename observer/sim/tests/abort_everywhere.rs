//! A person asks at every moment of a switchover for it to be taken back. It is, or they are told
//! that it is not: nobody waits for the old master while the plan goes forward.

use observer_core::event::EventKind;
use observer_core::journal::Outcome;
use observer_sim::run::{Run, Setup};
use observer_sim::scenario::lost_rows;
use observer_sim::{Fault, scenario};

const ORDERED_MS: u64 = 5_000;
/// Longer than a switchover takes.
const WHOLE_MS: u64 = 1_200;

#[test]
fn aborted_at_any_moment_it_is_taken_back_or_says_that_it_is_not() {
    let (mut undone, mut refused) = (0, 0);
    for after_ms in (0..WHOLE_MS).step_by(2) {
        let mut run = Run::new(Setup::usual(after_ms % 7, 1));
        run.schedule(ORDERED_MS, Fault::OrderSwitchover);
        run.schedule(ORDERED_MS + after_ms, Fault::Abort);
        let whole = run.advance(30_000);
        let told = || format!("{after_ms} ms after the order:\n{}", scenario::trace(&run));
        assert!(whole.is_ok(), "{whole:?} {}", told());
        let outcomes: Vec<&Outcome> = run
            .events
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::PlanClosed { outcome, .. } => Some(outcome),
                _ => None,
            })
            .collect();
        let says_no = run.events.iter().filter(|event| {
            matches!(&event.kind, EventKind::OrderRefused { order, .. } if order == "abort")
        });
        match (outcomes.as_slice(), says_no.count()) {
            ([Outcome::Undone { .. }], 0) => undone += 1,
            ([Outcome::Done], 1) => refused += 1,
            (outcomes, says_no) => panic!("{outcomes:?}, refused {says_no} times; {}", told()),
        }
        assert_eq!(lost_rows(&run), 0, "{}", told());
        assert_eq!(run.world.writable_hosts().len(), 1, "{}", told());
    }
    assert!(undone > 50 && refused > 50, "{undone} were taken back, {refused} were refused");
}
