//! Checks of a pair whose database is external.

use super::*;
use crate::policy::Store;

fn found(change: impl FnOnce(&mut Survey)) -> ValidationReport {
    let (mut survey, mut spec, roles, observer) = (survey(), spec(), roles(), observer());
    spec.store = Store::External;
    spec.bouncers.clear();
    survey.bouncers.clear();
    for host in survey.hosts.values_mut() {
        host.external = Some(Ok(Reached::Connects));
        host.database = Err(Unread("it is external".to_owned()));
        host.contents = Err(Unread("it is external".to_owned()));
        host.machine.as_mut().unwrap().database_unit = None;
    }
    change(&mut survey);
    let inputs = Inputs { spec: &spec, roles: &roles, survey: &survey, observer: &observer };
    validate(&inputs)
}

/// Of three hosts one is dead, and is neither master nor next master: it keeps nobody from
/// anything, and what to do with it is said.
#[test]
fn a_host_that_no_change_is_about_refuses_none() {
    let (mut survey, mut spec) = (survey(), spec());
    spec.store = Store::External;
    spec.hosts.push("node-c".into());
    spec.bouncers.clear();
    survey.bouncers.clear();
    let silent = || Unread("no answer in time".to_owned());
    for host in survey.hosts.values_mut() {
        host.external = Some(Ok(Reached::Connects));
        host.machine.as_mut().unwrap().database_unit = None;
    }
    let mut dead = survey.hosts[&"node-b".into()].clone();
    (dead.machine, dead.external) = (Err(silent()), Some(Err(silent())));
    survey.hosts.insert("node-c".into(), dead);
    let roles = Roles::of(&spec, &"node-a".into());
    let found = |candidate: &str| {
        let observer = ObserverState { candidate: Some(candidate.into()), ..observer() };
        validate(&Inputs { spec: &spec, roles: &roles, survey: &survey, observer: &observer })
    };
    let beside = found("node-b");
    assert!(beside.readiness.iter().all(|one| one.ready), "{:?}", beside.against());
    let reached = beside.checks.iter().find(|one| one.is_amiss() && one.subject == "node-c");
    let fix = reached.and_then(|one| one.fix.clone()).unwrap();
    assert!(fix.contains("`ha-observer forget node-c"), "{fix}");
    assert!(found("node-c").readiness.iter().all(|one| !one.ready), "the next master is dead");
}

fn slave(survey: &mut Survey) -> &mut HostSurvey {
    survey.hosts.get_mut(&"node-b".into()).unwrap()
}

#[test]
fn nothing_is_asked_of_a_database_that_the_hosts_do_not_have() {
    let report = found(|_| {});
    assert_eq!(amiss(&report), BTreeSet::new());
    assert!(report.readiness.iter().all(|one| one.ready), "{:?}", report.readiness);
    let rewind = report.checks.iter().find(|check| check.id == "rewind").unwrap();
    assert_eq!(rewind.grade, Grade::Skipped);
}

#[test]
fn a_host_that_does_not_reach_it_is_not_ready() {
    let wanted = BTreeSet::from(["database-reached".to_owned()]);
    let refused = found(|survey| slave(survey).external = Some(Ok(Reached::Refused)));
    assert_eq!(amiss(&refused), wanted);
    assert!(refused.readiness.iter().all(|one| !one.ready));
    let silent = || Some(Err(Unread("no answer in time".to_owned())));
    assert_eq!(amiss(&found(|survey| slave(survey).external = silent())), wanted);
}

/// What runs on every host may start there by itself; a singleton may not.
#[test]
fn only_singletons_must_not_start_at_boot() {
    let enabled = |unit: &'static str| {
        found(move |survey| {
            let machine = slave(survey).machine.as_mut().unwrap();
            let units = machine.service_units.iter_mut();
            let own = { units }.find(|one| one.unit == unit).expect("a unit of the pair");
            own.at_boot = "enabled".to_owned();
        })
    };
    assert_eq!(amiss(&enabled("desk.service")), BTreeSet::new());
    let wanted = BTreeSet::from(["starts-at-boot".to_owned()]);
    assert_eq!(amiss(&enabled("desk-scheduler.service")), wanted);
}
