//! The observer is killed at every boundary of a failover: right after each record is durable, and
//! right after each effect was done and before its reply. Started again it converges: exactly one
//! host is promoted, users are served by it, no plan stays open. The safety rules are checked after
//! every event as always.

use observer_sim::run::{Run, Setup};
use observer_sim::{Fault, scenario};

/// More boundaries than any failover has; the loop ends when a run reaches the end unharmed.
const MOST: u64 = 200;

fn run_with(killer: impl Fn(u64) -> Fault, order: &Fault) -> u64 {
    for boundary in 1..MOST {
        for seed in 0..3 {
            let mut run = Run::new(Setup::usual(seed, 2));
            // The first record is the adoption of the master, at the start.
            run.schedule(4_000, killer(boundary));
            run.schedule(5_000, order.clone());
            let whole = run.advance(12_000).is_ok();
            assert!(whole, "boundary {boundary} seed {seed}:\n{}", scenario::trace(&run));
            let died = run.pair().is_none();
            run.schedule(0, Fault::StartObserver);
            if let Err(violation) = run.advance(40_000) {
                panic!("boundary {boundary} seed {seed}: {violation}\n{}", scenario::trace(&run));
            }
            converged(&run, boundary, seed);
            if !died && seed == 2 {
                return boundary;
            }
        }
    }
    panic!("a failover has more than {MOST} boundaries");
}

fn converged(run: &Run, boundary: u64, seed: u64) {
    let told = || format!("boundary {boundary} seed {seed}:\n{}", scenario::trace(run));
    let pair = run.pair().expect("the observer was started again");
    assert!(pair.memory().open.is_none(), "a plan is open; {}", told());
    let served = run.world.writable_hosts();
    assert_eq!(served.len(), 1, "users are served by {served:?}; {}", told());
    assert_eq!(pair.memory().master.as_ref(), served.first(), "{}", told());
    let heirs: std::collections::BTreeSet<_> =
        run.world.promotions.iter().map(|(_, host)| host).collect();
    assert!(heirs.len() <= 1, "promoted {heirs:?}; {}", told());
}

#[test]
fn killed_after_every_record_of_a_failover_it_converges() {
    let boundaries = run_with(Fault::KillObserverAfterRecords, &Fault::PowerOff("node-a".into()));
    // Opening, two records for each of the steps that act, closing: fewer would mean that the
    // walk ended early.
    assert!(boundaries > 20, "only {boundaries} boundaries were met");
}

#[test]
fn killed_after_every_effect_of_a_failover_it_converges() {
    let boundaries = run_with(Fault::KillObserverAfterEffects, &Fault::PowerOff("node-a".into()));
    assert!(boundaries > 8, "only {boundaries} boundaries were met");
}

#[test]
fn killed_after_every_record_of_an_ordered_failover_it_converges() {
    let boundaries = run_with(Fault::KillObserverAfterRecords, &Fault::OrderFailover);
    assert!(boundaries > 25, "only {boundaries} boundaries were met");
}

#[test]
fn killed_after_every_effect_of_an_ordered_failover_it_converges() {
    let boundaries = run_with(Fault::KillObserverAfterEffects, &Fault::OrderFailover);
    assert!(boundaries > 10, "only {boundaries} boundaries were met");
}
