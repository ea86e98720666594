//! Monitor files: the lint and the checker are shown what they are there for, and the observer is
//! killed at every boundary of a drain.

mod support;

use observer_core::draft::LossOverride;
use observer_core::journal::Record;
use observer_core::lint::{Finding, lint};
use observer_core::pair::Wish;
use observer_core::plan::{Effect, Plan, Proof, Undo};
use observer_core::policy::{MonitorSpec, UsersGo};
use observer_core::sighting::Says;
use observer_core::words::{At, Epoch};
use observer_sim::check::Checks;
use observer_sim::run::{Run, Setup};
use observer_sim::world::World;
use observer_sim::{Fault, scenario};
use support::ordered;

fn setup(seed: u64, users: UsersGo) -> Setup {
    let mut setup = Setup::usual(seed, 1);
    setup.spec.monitor = Some(MonitorSpec { users, settle_ms: 1_000 });
    setup
}

fn plan_of(wish: Wish, users: UsersGo) -> (Plan, Setup) {
    let setup = setup(3, users);
    let mut run = Run::new(setup.clone());
    run.advance(3_000).expect("a healthy run breaks nothing");
    (run.dry_run(wish).expect("a healthy pair has a plan").plan, setup)
}

#[track_caller]
fn findings(plan: &Plan, setup: &Setup) -> Vec<Finding> {
    lint(plan.clone(), &setup.spec, Epoch(1)).err().unwrap_or_default()
}

fn says_in(step: &observer_core::plan::Step) -> bool {
    matches!(step.effect, Effect::Monitor { says: Says::In, .. })
}

#[test]
fn drafted_plans_pass() {
    for users in [UsersGo::Master, UsersGo::EveryHost] {
        for wish in [Wish::SwitchOver, Wish::FailOver(LossOverride::None)] {
            let (plan, setup) = plan_of(wish, users);
            assert_eq!(findings(&plan, &setup), []);
            assert!(plan.steps.iter().any(says_in), "{plan:?}");
        }
    }
}

#[test]
fn users_sent_to_a_host_that_is_not_to_be_master_are_found() {
    for users in [UsersGo::Master, UsersGo::EveryHost] {
        let (mut plan, setup) = plan_of(Wish::SwitchOver, users);
        let step = plan.steps.iter_mut().find(|step| says_in(step)).expect("it sends users");
        step.effect = Effect::Monitor { host: "node-a".into(), says: Says::In };
        let found = findings(&plan, &setup);
        let wrong = |finding: &Finding| matches!(finding, Finding::SendsToWrongHost(_));
        assert!(found.iter().any(wrong), "{users:?}: {found:?}");
    }
    // Nor may an undo send them to the host that was to be promoted.
    let (mut plan, setup) = plan_of(Wish::SwitchOver, UsersGo::Master);
    let host = observer_core::words::HostName::new("node-b");
    plan.steps[0].undo = Undo::By {
        effect: Effect::Monitor { host: host.clone(), says: Says::In },
        proof: Proof::MonitorSays { host, says: Says::In },
    };
    let found = findings(&plan, &setup);
    assert!(found.iter().any(|one| matches!(one, Finding::SendsToWrongHost(_))), "{found:?}");
}

#[test]
fn users_sent_before_the_new_master_writes_are_found() {
    let (mut plan, setup) = plan_of(Wish::SwitchOver, UsersGo::Master);
    let at = plan.steps.iter().position(says_in).expect("it sends users");
    let step = plan.steps.remove(at);
    plan.steps.insert(0, step);
    let found = findings(&plan, &setup);
    assert!(found.contains(&Finding::LetInTooEarly), "{found:?}");
}

#[test]
fn a_master_stopped_under_users_of_a_balancer_is_found() {
    let (mut plan, setup) = plan_of(Wish::SwitchOver, UsersGo::Master);
    plan.steps.retain(|step| !matches!(step.proof, Proof::NoSessions { .. }));
    assert_eq!(findings(&plan, &setup), [Finding::StoppedBeforeLeft]);
}

#[test]
fn the_checker_sees_users_sent_to_a_slave() {
    let world = World::new(setup(0, UsersGo::Master).spec);
    let order = |host: &str| ordered(1, Effect::Monitor { host: host.into(), says: Says::In });
    let checks = Checks::default();
    assert!(checks.before_effect(&order("node-a"), &world, At(1)).is_ok());
    let broken = checks.before_effect(&order("node-b"), &world, At(1));
    assert_eq!(broken.expect_err("node-b is a slave").rule, 1);
    let everywhere = World::new(setup(0, UsersGo::EveryHost).spec);
    assert!(checks.before_effect(&order("node-b"), &everywhere, At(1)).is_ok());
}

/// Killed anywhere between the order to drain and the last user's return, it goes on: the file
/// says what was ordered last, and the drain is told once.
#[test]
fn killed_anywhere_in_a_drain_it_goes_on() {
    type Killer = fn(u64) -> Fault;
    let killers: [(Killer, u64); 2] =
        [(Fault::KillObserverAfterRecords, 5), (Fault::KillObserverAfterEffects, 1)];
    for (kill, least) in killers {
        let mut boundary = 1;
        loop {
            let mut run = Run::new(setup(boundary, UsersGo::EveryHost));
            run.schedule(5_000, Fault::OpenSessions("node-b".into(), 2));
            run.schedule(5_000, kill(boundary));
            run.schedule(6_000, Fault::Drain("node-b".into(), 60_000));
            run.schedule(15_000, Fault::OpenSessions("node-b".into(), 0));
            let trace = |run: &Run| format!("boundary {boundary}\n{}", scenario::trace(run));
            run.advance(30_000).unwrap_or_else(|broken| panic!("{broken}: {}", trace(&run)));
            let died = run.pair().is_none();
            run.schedule(0, Fault::StartObserver);
            run.advance(20_000).unwrap_or_else(|broken| panic!("{broken}: {}", trace(&run)));
            let pair = run.pair().expect("it was started again");
            // The order itself may have died with it.
            if pair.memory().drained.is_empty() {
                assert_eq!(boundary, 1, "{}", trace(&run));
            } else {
                let says = run.world.machine(&"node-b".into()).monitor.says;
                assert_eq!(says, Says::Out, "{}", trace(&run));
                let settled = pair
                    .memory()
                    .drained
                    .values()
                    .all(|drain| drain.settled.is_some_and(|settled| settled.left == Some(0)));
                assert!(settled, "{}", trace(&run));
                let told = run.events.iter().filter(|one| one.kind.name() == "drain-settled");
                assert!(told.count() <= 1, "{}", trace(&run));
            }
            if !died {
                assert!(boundary > least, "only {boundary} boundaries were met");
                break;
            }
            boundary += 1;
        }
    }
}

/// A drained master's switchover may be taken back: its users do not return for that.
#[test]
fn what_a_person_drained_is_not_let_in_by_an_undo() {
    let lets_in = |step: &observer_core::plan::Step| {
        matches!(step.undo, Undo::By { effect: Effect::Monitor { says: Says::In, .. }, .. })
    };
    let mut run = Run::new(setup(3, UsersGo::EveryHost));
    run.advance(3_000).expect("a healthy run breaks nothing");
    for wish in [Wish::SwitchOver, Wish::FailOver(LossOverride::None)] {
        let plan = run.dry_run(wish).expect("a healthy pair has a plan").plan;
        assert!(plan.steps.iter().any(lets_in), "{plan:?}");
    }
    run.schedule(0, Fault::Drain("node-a".into(), 60_000));
    run.advance(10_000).expect("a drain breaks nothing");
    for wish in [Wish::SwitchOver, Wish::FailOver(LossOverride::None)] {
        let plan = run.dry_run(wish).expect("a drained master can be left").plan;
        assert!(!plan.steps.iter().any(lets_in), "{plan:?}");
    }
}

/// The section is taken out of the configuration while a host is drained: its time is over when it
/// is over, and it can be undrained.
#[test]
fn a_drain_ends_without_the_section_that_it_was_ordered_by() {
    for by_hand in [false, true] {
        let mut run = Run::new(setup(3, UsersGo::EveryHost));
        run.schedule(5_000, Fault::Drain("node-b".into(), 60_000));
        run.schedule(10_000, Fault::KillObserver);
        run.advance(11_000).expect("a drain breaks nothing");
        for record in &mut run.journal {
            if let Record::DrainBegan { order, .. } = record {
                order.until = (!by_hand).then(|| order.since.plus(20_000));
            }
        }
        run.world.spec.monitor = None;
        run.schedule(0, Fault::StartObserver);
        run.advance(5_000).expect("nor does a start");
        assert!(!run.pair().expect("it runs").memory().drained.is_empty());
        if by_hand {
            run.schedule(1_000, Fault::Undrain("node-b".into()));
        }
        run.advance(15_000).expect("nor its end");
        let pair = run.pair().expect("it runs");
        assert!(pair.memory().drained.is_empty(), "{}", scenario::trace(&run));
        assert!(pair.protection().protected, "{}", scenario::trace(&run));
    }
}
