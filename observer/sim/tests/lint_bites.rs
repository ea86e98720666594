//! The lint, broken on purpose: a real failover plan passes, and with any one of its safeguards
//! taken out it does not.

use observer_core::draft::{LossOverride, Services};
use observer_core::facts::Asker;
use observer_core::lint::{Finding, lint};
use observer_core::pair::Wish;
use observer_core::plan::OnFailure::GoOn;
use observer_core::plan::{Effect, OnFailure, Plan, Proof, Undo};
use observer_core::policy::{FenceGrade, PowerFence, WhenUndone};
use observer_core::words::Epoch;
use observer_sim::Fault;
use observer_sim::run::{Run, Setup};

fn failover_plan() -> (Plan, Setup) {
    let setup = Setup::usual(3, 2);
    let mut run = Run::new(setup.clone());
    run.advance(3_000).expect("a healthy run breaks nothing");
    let mut plan =
        run.dry_run(Wish::FailOver(LossOverride::None)).expect("a healthy pair has a plan").plan;
    plan.asker = Asker::Observer;
    (plan, setup)
}

#[track_caller]
fn expect(change: impl FnOnce(&mut Plan), finding: impl Fn(&Finding) -> bool) {
    let (mut plan, setup) = failover_plan();
    change(&mut plan);
    let findings = lint(plan, &setup.spec, Epoch(1)).expect_err("the lint lets it pass");
    assert!(findings.iter().any(finding), "found only {findings:?}");
}

fn step(plan: &mut Plan, wanted: impl Fn(&Proof) -> bool) -> &mut observer_core::plan::Step {
    plan.steps.iter_mut().find(|step| wanted(&step.proof)).expect("the plan has such a step")
}

#[test]
fn a_drafted_plan_passes() {
    let (plan, setup) = failover_plan();
    assert!(lint(plan, &setup.spec, Epoch(1)).is_ok());
}

#[test]
fn a_fence_taken_out_or_not_insisted_on_is_found() {
    expect(
        |plan| plan.steps.retain(|step| !matches!(step.proof, Proof::IsOut { .. })),
        |finding| matches!(finding, Finding::Unfenced(_)),
    );
    expect(
        |plan| {
            for step in plan.steps.iter_mut().filter(|s| matches!(s.proof, Proof::IsOut { .. })) {
                step.on_failure = OnFailure::GoOn;
            }
        },
        |finding| matches!(finding, Finding::Unfenced(_)),
    );
}

#[test]
fn a_fence_that_may_have_fallen_during_replay_is_found() {
    expect(
        |plan| {
            let replay =
                plan.steps.iter().position(|s| matches!(s.proof, Proof::ReplayedAll { .. }));
            let pivot = plan.pivot().expect("it promotes");
            plan.steps.drain(replay.expect("it replays") + 1..pivot);
        },
        |finding| matches!(finding, Finding::Unfenced(_)),
    );
}

#[test]
fn a_file_that_would_let_users_in_again_is_found() {
    expect(
        |plan| plan.steps.retain(|step| !matches!(step.proof, Proof::FileKeepsOut { .. })),
        |finding| matches!(finding, Finding::FileLetsIn(_)),
    );
}

#[test]
fn missing_proofs_before_the_pivot_are_found() {
    expect(
        |plan| plan.steps.retain(|step| !matches!(step.proof, Proof::ReplayedAll { .. })),
        |finding| *finding == Finding::NotReplayed,
    );
    expect(
        |plan| plan.steps.retain(|step| !matches!(step.proof, Proof::LossWithin { .. })),
        |finding| *finding == Finding::LossUnmeasured,
    );
}

#[test]
fn users_let_in_to_the_wrong_host_or_too_early_are_found() {
    expect(
        |plan| {
            let admission = step(plan, |proof| matches!(proof, Proof::IsIn { .. }));
            if let Effect::LetIn { host, .. } = &mut admission.effect {
                *host = "node-a".into();
            }
        },
        |finding| matches!(finding, Finding::LetsInWrongHost(_)),
    );
    expect(
        |plan| plan.steps.retain(|step| !matches!(step.proof, Proof::CanWrite { .. })),
        |finding| *finding == Finding::LetInTooEarly,
    );
}

#[test]
fn undo_before_and_forward_after_the_pivot_are_demanded() {
    expect(
        |plan| step(plan, |proof| matches!(proof, Proof::IsOut { .. })).undo = Undo::ForwardOnly,
        |finding| matches!(finding, Finding::NoUndo(_)),
    );
    expect(
        |plan| {
            let write = step(plan, |proof| matches!(proof, Proof::CanWrite { .. }));
            write.on_failure = OnFailure::GiveUp;
        },
        |finding| matches!(finding, Finding::GivesUpTooLate(_)),
    );
}

#[test]
fn a_wrong_epoch_and_a_wrong_heir_are_found() {
    expect(|plan| plan.epoch = Epoch(1), |finding| matches!(finding, Finding::WrongEpoch { .. }));
    expect(|plan| plan.next_master = "node-a".into(), |finding| *finding == Finding::WrongHeir);
    expect(
        |plan| plan.steps.retain(|step| !matches!(step.effect, Effect::Promote { .. })),
        |finding| *finding == Finding::PivotCount,
    );
}

#[test]
fn the_grade_stopped_demands_a_proven_stop() {
    let (mut plan, mut setup) = failover_plan();
    setup.spec.policy.fence = FenceGrade::Stopped;
    plan.steps.retain(|step| !matches!(step.proof, Proof::DatabaseStopped { .. }));
    let findings = lint(plan, &setup.spec, Epoch(1)).expect_err("the lint lets it pass");
    assert!(findings.contains(&Finding::NotStopped), "found only {findings:?}");
}

fn switchover_plan() -> (Plan, Setup) {
    let setup = Setup::usual(3, 2).with_bouncers(2);
    let mut run = Run::new(setup.clone());
    run.advance(3_000).expect("a healthy run breaks nothing");
    (run.dry_run(Wish::SwitchOver).expect("a healthy pair has a plan").plan, setup)
}

#[track_caller]
fn expect_of_switchover(change: impl FnOnce(&mut Plan), finding: impl Fn(&Finding) -> bool) {
    let (mut plan, setup) = switchover_plan();
    assert!(lint(plan.clone(), &setup.spec, Epoch(1)).is_ok(), "a drafted plan passes");
    change(&mut plan);
    let findings = lint(plan, &setup.spec, Epoch(1)).expect_err("the lint lets it pass");
    assert!(findings.iter().any(finding), "found only {findings:?}");
}

#[test]
fn a_switchover_that_could_lose_something_is_found() {
    let whole = |proof: &Proof| matches!(proof, Proof::ReplayedShutdown { .. });
    expect_of_switchover(
        |plan| plan.steps.retain(|step| !whole(&step.proof)),
        |finding| *finding == Finding::NotWhole,
    );
    expect_of_switchover(
        |plan| step(plan, whole).on_failure = OnFailure::GoOn,
        |finding| *finding == Finding::NotWhole,
    );
    expect_of_switchover(
        |plan| {
            // Looked for before the master is shut down, it shows nothing.
            let at = plan.steps.iter().position(|s| whole(&s.proof)).expect("it is proven");
            let step = plan.steps.remove(at);
            plan.steps.insert(0, step);
        },
        |finding| *finding == Finding::NotWhole,
    );
}

#[test]
fn a_master_stopped_under_its_users_is_found() {
    expect_of_switchover(
        |plan| plan.steps.retain(|step| !matches!(step.proof, Proof::Drained { .. })),
        |finding| matches!(finding, Finding::StoppedBeforeHeld(_)),
    );
    expect_of_switchover(
        |plan| {
            let stops = |s: &observer_core::plan::Step| matches!(s.proof, Proof::ShutDown { .. });
            let at = plan.steps.iter().position(stops).expect("it stops the master");
            let step = plan.steps.remove(at);
            plan.steps.insert(0, step);
        },
        |finding| matches!(finding, Finding::StoppedBeforeHeld(_)),
    );
}

#[test]
fn users_held_without_a_limit_and_a_missing_tombstone_are_found() {
    expect_of_switchover(
        |plan| plan.hold_limit_ms = None,
        |finding| *finding == Finding::NoHoldLimit,
    );
    expect_of_switchover(
        |plan| plan.steps.retain(|step| !matches!(step.proof, Proof::TombstoneStands { .. })),
        |finding| *finding == Finding::NoTombstone,
    );
}

#[test]
fn sessions_cut_off_although_they_could_have_waited_are_found() {
    let pauses = |s: &observer_core::plan::Step| matches!(s.effect, Effect::PauseBouncer { .. });
    let found = |finding: &Finding| matches!(finding, Finding::StoppedBeforePaused(_));
    expect_of_switchover(|plan| plan.steps.retain(|step| !pauses(step)), found);
    expect_of_switchover(
        |plan| {
            let at = plan.steps.iter().position(pauses).expect("it pauses");
            let step = plan.steps.remove(at);
            let stop = |s: &observer_core::plan::Step| matches!(s.proof, Proof::ShutDown { .. });
            let after = plan.steps.iter().position(stop).expect("it stops the master") + 1;
            plan.steps.insert(after, step);
        },
        found,
    );
    expect_of_switchover(
        |plan| {
            // Requests in flight may need their sessions.
            let at = plan.steps.iter().position(pauses).expect("it pauses");
            let step = plan.steps.remove(at);
            plan.steps.insert(0, step);
        },
        found,
    );
    expect_of_switchover(
        |plan| plan.steps.iter_mut().find(|s| pauses(s)).expect("it pauses").on_failure = GoOn,
        found,
    );
}

#[test]
fn a_pgbouncer_that_could_stay_paused_is_found() {
    let found = |finding: &Finding| matches!(finding, Finding::StaysPaused(_));
    let resumes = |s: &observer_core::plan::Step| matches!(s.effect, Effect::ResumeBouncer { .. });
    expect_of_switchover(|plan| plan.steps.retain(|step| !resumes(step)), found);
    expect_of_switchover(
        |plan| {
            let at = plan.steps.iter().position(resumes).expect("it resumes");
            let step = plan.steps.remove(at);
            plan.steps.insert(0, step);
        },
        found,
    );
    let answers = |proof: &Proof| matches!(proof, Proof::BouncerRuns { .. });
    expect_of_switchover(|plan| step(plan, answers).undo = Undo::NothingToUndo, found);
    let paused = |proof: &Proof| matches!(proof, Proof::BouncerPaused { .. });
    // Nothing but a switchover keeps its promise to those who wait.
    let (switchover, _) = switchover_plan();
    let mut pause = switchover.steps.into_iter().find(|s| paused(&s.proof)).expect("it pauses");
    pause.deadline_ms = 1_000;
    expect(|plan| plan.steps.insert(0, pause), |finding| *finding == Finding::PausesForNothing);
}

#[test]
fn a_repair_that_would_rebuild_the_master_is_found() {
    let setup = Setup::usual(3, 1);
    let mut run = Run::new(setup.clone());
    run.schedule(2_000, observer_sim::Fault::StopDatabase("node-b".into()));
    run.advance(4_000).expect("a stopped slave breaks nothing");
    let mut plan = run.dry_run(Wish::Rejoin).expect("a slave that is down can rejoin").plan;
    assert!(lint(plan.clone(), &setup.spec, Epoch(1)).is_ok(), "a drafted plan passes");
    let clone = plan.steps.iter_mut().find(|s| matches!(s.effect, Effect::Clone { .. }));
    let clone = clone.expect("a rejoin may clone");
    clone.effect = Effect::Clone { host: "node-a".into(), source: "node-b".into() };
    let findings = lint(plan, &setup.spec, Epoch(1)).expect_err("the lint lets it pass");
    assert!(findings.contains(&Finding::RepairDemotesMaster), "found only {findings:?}");
}

/// A lease where none is asked for, on the wrong host, or of another length would stop what must
/// not stop.
#[test]
fn a_lease_that_is_not_asked_for_is_found() {
    let lease = |host: &str, length_ms| Effect::SetLease { host: host.into(), length_ms };
    let adds = |effect: Effect| {
        move |plan: &mut Plan| plan.steps.last_mut().expect("it has steps").effect = effect
    };
    let found = |finding: &Finding| matches!(finding, Finding::LeaseNotAsked(_));
    expect(adds(lease("node-b", 30_000)), found);
    let (mut plan, mut setup) = failover_plan();
    setup.spec.policy.lease_ms = Some(30_000);
    for (wrong, is_found) in [("node-a", true), ("node-b", false)] {
        adds(lease(wrong, 30_000))(&mut plan);
        let findings = lint(plan.clone(), &setup.spec, Epoch(1)).err().unwrap_or_default();
        assert_eq!(findings.iter().any(found), is_found, "{wrong}: {findings:?}");
    }
    adds(lease("node-b", 20_000))(&mut plan);
    let findings = lint(plan, &setup.spec, Epoch(1)).expect_err("another length");
    assert!(findings.iter().any(found), "{findings:?}");
}

fn powered_off_plan() -> (Plan, Setup) {
    let mut setup = Setup::usual(3, 2);
    let when_undone = WhenUndone::StaysOff;
    setup.spec.policy.fence = FenceGrade::PoweredOff;
    setup.spec.policy.power_fence = Some(PowerFence { deadline_ms: 10_000, when_undone });
    let mut run = Run::new(setup.clone());
    run.advance(3_000).expect("a healthy run breaks nothing");
    let dry_run = run.dry_run(Wish::FailOver(LossOverride::None));
    (dry_run.expect("a healthy pair has a plan").plan, setup)
}

#[test]
fn the_grade_powered_off_demands_a_proof_of_it_right_before_the_pivot() {
    let is_power =
        |step: &observer_core::plan::Step| matches!(step.proof, Proof::PoweredOff { .. });
    let breaks: [fn(&mut Plan, usize); 3] = [
        |plan, at| drop(plan.steps.remove(at)),
        |plan, at| plan.steps[at].on_failure = OnFailure::GoOn,
        // Before the replay, which may take long enough for somebody to switch it on again.
        |plan, at| {
            let step = plan.steps.remove(at);
            plan.steps.insert(0, step);
        },
    ];
    for change in breaks {
        let (mut plan, setup) = powered_off_plan();
        assert!(lint(plan.clone(), &setup.spec, Epoch(1)).is_ok(), "a drafted plan passes");
        let at = plan.steps.iter().position(is_power).expect("it powers off");
        change(&mut plan, at);
        let findings = lint(plan, &setup.spec, Epoch(1)).expect_err("the lint lets it pass");
        assert!(findings.contains(&Finding::NotPoweredOff), "found only {findings:?}");
    }
}

#[test]
fn power_taken_from_another_host_or_by_another_plan_is_found() {
    let (plan, setup) = powered_off_plan();
    let mut of_heir = plan.clone();
    for step in &mut of_heir.steps {
        if let Effect::PowerOff { host } = &mut step.effect {
            *host = "node-b".into();
        }
    }
    let powers_off = |finding: &Finding| matches!(finding, Finding::PowersOff(_));
    let findings = lint(of_heir, &setup.spec, Epoch(1)).expect_err("the lint lets it pass");
    assert!(findings.iter().any(powers_off), "found only {findings:?}");
    let is_power = |s: &&observer_core::plan::Step| matches!(s.effect, Effect::PowerOff { .. });
    let step = plan.steps.iter().find(is_power).expect("it powers off").clone();
    expect_of_switchover(|plan| plan.steps.insert(0, step), powers_off);
}

#[test]
fn services_of_the_master_stopped_by_order_are_found() {
    let setup = Setup::usual(3, 2);
    let mut run = Run::new(setup.clone());
    run.schedule(2_000, Fault::Maintain("node-b".into(), None));
    run.advance(4_000).expect("a healthy run breaks nothing");
    let wish = Wish::Services("node-b".into(), Services::Stop);
    let plan = run.dry_run(wish).expect("a host in maintenance has such a plan").plan;
    assert!(lint(plan.clone(), &setup.spec, Epoch(1)).is_ok(), "a drafted plan passes");
    let of_master = Wish::Services("node-a".into(), Services::Stop);
    assert!(run.dry_run(of_master).is_none(), "there is none for the master");
    let mut wrong = plan;
    for step in &mut wrong.steps {
        if let Effect::StopService { host, .. } = &mut step.effect {
            *host = "node-a".into();
        }
    }
    let findings = lint(wrong, &setup.spec, Epoch(1)).expect_err("the lint lets it pass");
    assert!(findings.contains(&Finding::StopsMastersServices), "found only {findings:?}");
}

/// Files flow from the master to a slave, all before the pivot, and nothing goes on behind it.
#[test]
fn files_that_flow_back_or_are_left_behind_are_found() {
    let plan_of = |wish| {
        let setup = Setup::usual(3, 1).with_files();
        let mut run = Run::new(setup.clone());
        run.advance(12_000).expect("a healthy run breaks nothing");
        (run.dry_run(wish).expect("a healthy pair has a plan").plan, setup)
    };
    let found = |plan: Plan, setup: &Setup| lint(plan, &setup.spec, Epoch(1)).unwrap_err();
    let (plan, setup) = plan_of(Wish::SwitchOver);
    assert!(lint(plan.clone(), &setup.spec, Epoch(1)).is_ok());
    let is_last = |step: &observer_core::plan::Step| {
        matches!(&step.effect, Effect::Pass { kind, .. }
            if *kind == observer_core::files::PassKind::Last)
    };

    let mut without = plan.clone();
    without.steps.retain(|step| !is_last(step));
    let findings = found(without, &setup);
    assert!(findings.contains(&Finding::FilesNotWhole("attachments".to_owned())), "{findings:?}");

    let mut early = plan.clone();
    let last = early.steps.iter().position(is_last).expect("a switchover has a last pass");
    let step = early.steps.remove(last);
    early.steps.insert(0, step);
    let findings = found(early, &setup);
    assert!(findings.contains(&Finding::FilesNotWhole("attachments".to_owned())), "{findings:?}");

    let mut back = plan.clone();
    if let Effect::Pass { host, source, .. } = &mut back.steps[last].effect {
        std::mem::swap(host, source);
    }
    let findings = found(back, &setup);
    assert!(findings.iter().any(|one| matches!(one, Finding::FilesFlowBack(_))), "{findings:?}");

    let (mut failover, setup) = plan_of(Wish::FailOver(LossOverride::None));
    failover.steps.retain(|step| !matches!(step.effect, Effect::EndPasses { .. }));
    let findings = found(failover, &setup);
    assert!(findings.contains(&Finding::PassRuns), "{findings:?}");
}
