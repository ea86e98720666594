//! What people are told to do names the hosts of this very pair, and what would help there.

use observer_core::judge::{Cause, Repair};
use observer_core::plan::Goal;
use observer_sim::fault::Fault;
use observer_sim::run::{Run, Setup};
use observer_sim::scenario::trace;

const EVERY_MS: u64 = 50;
const SHORT_MS: u64 = 5;

fn advice(run: &Run) -> String {
    let pair = run.pair().expect("the observer lives");
    pair.advice(pair.protection().cause)
}

/// A repair would start it, and it would be no slave: only a rejoin makes it one.
#[test]
fn after_an_aborted_rejoin_a_rejoin_is_advised() {
    let mut run = Run::new(Setup::usual(3, 1));
    run.schedule(5_000, Fault::PowerOff("node-a".into()));
    run.schedule(20_000, Fault::PowerOn("node-a".into()));
    let mut aborted = false;
    for _ in 0..60_000 / EVERY_MS {
        run.advance(EVERY_MS).unwrap_or_else(|broken| panic!("{broken}"));
        let drive = run.pair().and_then(|pair| pair.drive());
        let rejoins = drive.is_some_and(|drive| {
            drive.plan().goal == Goal::Repair(Repair::Rejoin) && drive.position().0 >= 2
        });
        if rejoins && !aborted {
            run.schedule(0, Fault::Abort);
            aborted = true;
        }
    }
    assert!(aborted, "no rejoin began");
    let pair = run.pair().expect("the observer lives");
    assert_eq!(pair.protection().cause, Cause::SlaveDown, "{}", trace(&run));
    assert!(advice(&run).starts_with("`rejoin` makes node-a a slave again"), "{}", advice(&run));
}

#[test]
fn a_maintenance_is_ended_by_its_hosts_name() {
    let mut run = Run::new(Setup::usual(3, 1));
    run.schedule(3_000, Fault::Maintain("node-b".into(), None));
    run.advance(10_000).unwrap_or_else(|broken| panic!("{broken}"));
    assert!(advice(&run).starts_with("`maintenance node-b --end`"), "{}", advice(&run));
}

#[test]
fn an_open_plan_says_how_it_is_taken_back() {
    let mut run = Run::new(Setup::usual(3, 1));
    run.schedule(3_000, Fault::OrderSwitchover);
    let (mut before, mut after) = (0, 0);
    for _ in 0..10_000 / EVERY_MS {
        run.advance(EVERY_MS).unwrap_or_else(|broken| panic!("{broken}"));
        let pair = run.pair().expect("the observer lives");
        let Some(drive) = pair.drive() else { continue };
        let said = pair.advice(Cause::PlanOpen);
        if drive.is_past_pivot() {
            after += 1;
            assert!(said.contains("`abort --lost node-b`"), "{said}");
        } else {
            before += 1;
            assert!(said.contains("`abort` takes it back"), "{said}");
        }
    }
    assert!(before > 0 && after > 0, "{before} before, {after} after");
}

/// What is not repeated at once is told with the moment at which it will be, and then it is.
#[test]
fn what_just_failed_says_when_it_is_tried_again() {
    let mut run = Run::new(Setup::usual(3, 1));
    run.schedule(5_000, Fault::PowerOff("node-a".into()));
    let (mut aborted, mut said) = (false, None);
    for _ in 0..30_000 / SHORT_MS {
        run.advance(SHORT_MS).unwrap_or_else(|broken| panic!("{broken}"));
        let pair = run.pair().expect("the observer lives");
        let barred = pair.latest().and_then(|(_, ruling)| ruling.gate.bars);
        if pair.drive().is_some() && !aborted {
            aborted = true;
            run.schedule(0, Fault::Abort);
        } else if pair.drive().is_none() && barred == Some(Cause::JustFailed) {
            said = Some(pair.tries_again_at().expect("a moment"));
        }
    }
    let said = said.unwrap_or_else(|| panic!("nothing just failed\n{}", trace(&run)));
    let opened = run.events.iter().filter(|event| event.kind.name() == "plan-opened");
    let again = opened.map(|event| event.at).find(|at| *at >= said).expect("tried again");
    assert!(again.since(said) < 2_000, "{} ms late", again.since(said));
}
