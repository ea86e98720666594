//! Backends whose users may go to every host: the lint and the checker are shown what they are
//! there for, and the observer is killed at every boundary of a switchover and of a drain.

mod support;

use observer_core::draft::LossOverride;
use observer_core::lint::{Finding, lint};
use observer_core::pair::Wish;
use observer_core::plan::{Effect, Plan, Proof, Step, Undo};
use observer_core::sighting::{Admission, Says};
use observer_core::words::{At, Epoch, HostName, PlanId};
use observer_sim::check::Checks;
use observer_sim::run::{Run, Setup};
use observer_sim::world::World;
use observer_sim::{Fault, scenario};
use support::ordered;

fn setup(seed: u64) -> Setup {
    let mut setup = Setup::usual(seed, 1);
    setup.spec.sharing = setup.spec.proxies.clone();
    setup
}

fn plan_of(wish: Wish) -> Plan {
    let mut run = Run::new(setup(3));
    run.advance(3_000).expect("a healthy run breaks nothing");
    run.dry_run(wish).expect("a healthy pair has a plan").plan
}

fn wishes() -> [Wish; 2] {
    [Wish::SwitchOver, Wish::FailOver(LossOverride::None)]
}

fn findings(plan: &Plan) -> Vec<Finding> {
    lint(plan.clone(), &setup(3).spec, Epoch(1)).err().unwrap_or_default()
}

fn is_about_heir(proof: &Proof) -> bool {
    let heir = HostName::new("node-b");
    matches!(proof, Proof::IsOut { host, .. } if *host == heir)
}

#[test]
fn drafted_plans_pass_and_give_back_what_they_took() {
    for wish in wishes() {
        let plan = plan_of(wish);
        assert_eq!(findings(&plan), []);
        assert!(plan.steps.iter().any(|step| is_about_heir(&step.proof)), "{plan:?}");
        let both = [HostName::new("node-a"), HostName::new("node-b")];
        let gives_back = plan.steps.iter().any(|step| match &step.undo {
            Undo::By { effect: Effect::LetIn { host, everywhere, .. }, .. } => {
                *host == both[0] && *everywhere == both
            }
            _ => false,
        });
        assert!(gives_back, "{plan:?}");
    }
}

#[test]
fn users_who_go_on_at_the_next_master_are_found() {
    for wish in wishes() {
        let mut plan = plan_of(wish);
        plan.steps.retain(|step| !is_about_heir(&step.proof));
        let found = findings(&plan);
        let open = |finding: &Finding| matches!(finding, Finding::OpenBeside(_));
        assert!(found.iter().any(open), "{found:?}");
    }
}

/// A request on either host may need what is held with the master: it would never finish.
#[test]
fn users_of_every_host_that_are_held_late_are_found() {
    let is_it = |step: &Step| matches!(step.proof, Proof::SharedDrained { .. });
    let mut without = plan_of(Wish::SwitchOver);
    without.steps.retain(|step| !is_it(step));
    let mut late = plan_of(Wish::SwitchOver);
    let at = late.steps.iter().position(is_it).expect("they are held");
    let step = late.steps.remove(at);
    late.steps.insert(at + 1, step);
    for plan in [without, late] {
        let found = findings(&plan);
        assert!(matches!(found[..], [Finding::StoppedBeforeHeld(_)]), "{found:?}");
    }
}

#[test]
fn an_old_master_that_is_let_in_beside_the_new_one_is_found() {
    for wish in wishes() {
        let mut plan = plan_of(wish);
        for step in &mut plan.steps {
            if let Effect::LetIn { everywhere, .. } = &mut step.effect {
                everywhere.push("node-a".into());
            }
        }
        let found = findings(&plan);
        assert!(matches!(found[..], [Finding::LetsInWrongHost(_)]), "{found:?}");
    }
}

#[test]
fn the_checker_sees_users_who_go_on_beside_a_promotion() {
    let mut world = World::new(setup(0).spec);
    let order = ordered(2, Effect::Promote { host: "node-b".into() });
    let proxy = world.proxy_mut(&"proxy-1".into());
    proxy.runtime.insert("node-a".into(), Admission::TakenOut);
    proxy.shared_runtime.insert("node-a".into(), Admission::TakenOut);
    let broken = Checks::default().before_effect(&order, &world, At(1));
    assert_eq!(broken.expect_err("users go on at node-b").rule, 2);
    let proxy = world.proxy_mut(&"proxy-1".into());
    proxy.shared_runtime.insert("node-b".into(), Admission::TakenOut);
    assert!(Checks::default().before_effect(&order, &world, At(1)).is_ok());
}

/// Killed anywhere in a switchover or a drain, it goes on or takes it back: users are let in to
/// both hosts again, or to the one that is not drained.
#[test]
fn killed_anywhere_it_leaves_users_where_they_belong() {
    type Killer = fn(u64) -> Fault;
    let killers: [(Killer, u64); 2] =
        [(Fault::KillObserverAfterRecords, 4), (Fault::KillObserverAfterEffects, 1)];
    let orders =
        [(Fault::OrderSwitchover, Says::In), (Fault::Drain("node-b".into(), 60_000), Says::Out)];
    for (order, says_of_slave) in orders {
        for (kill, least) in killers {
            let mut boundary = 1;
            while killed_at((&order, says_of_slave), kill, boundary) {
                boundary += 1;
            }
            assert!(boundary > least, "only {boundary} boundaries of {order:?} were met");
        }
    }
}

/// True if the observer died at this boundary.
fn killed_at((order, says): (&Fault, Says), kill: fn(u64) -> Fault, boundary: u64) -> bool {
    let mut run = Run::new(setup(boundary));
    run.schedule(5_000, kill(boundary));
    run.schedule(6_000, order.clone());
    let trace = |run: &Run| format!("{order:?}, boundary {boundary}\n{}", scenario::trace(run));
    run.advance(30_000).unwrap_or_else(|broken| panic!("{broken}: {}", trace(&run)));
    let died = run.pair().is_none();
    run.schedule(0, Fault::StartObserver);
    run.advance(60_000).unwrap_or_else(|broken| panic!("{broken}: {}", trace(&run)));
    let pair = run.pair().expect("it was started again");
    let memory = pair.memory();
    let master = memory.master.clone().expect("a master is known");
    // The order itself may have died with it.
    let is_carried_out = !memory.drained.is_empty() || memory.last_plan != PlanId(0);
    assert!(is_carried_out || boundary == 1, "{}", trace(&run));
    for host in &run.world.spec.hosts {
        let wanted = if *host != master && !memory.drained.is_empty() { says } else { Says::In };
        let said = run.world.proxies[&"proxy-1".into()].shares(host);
        assert_eq!(said, Some(wanted), "{host}: {}", trace(&run));
    }
    died
}
