//! Checks that depend on the grade of the fence.

use super::*;
use crate::policy::UsersGo;

#[test]
fn a_power_fence_that_fails_is_a_warning_where_the_proxies_are_enough() {
    let amiss_with = |fence, power_fence| {
        let (mut survey, mut spec, roles) = (survey(), spec(), roles());
        survey.hosts.get_mut(&"node-a".into()).unwrap().power = Some(Err(Unread(String::new())));
        spec.policy.fence = fence;
        spec.policy.power_fence = power_fence;
        let observer = observer();
        let inputs = Inputs { spec: &spec, roles: &roles, survey: &survey, observer: &observer };
        amiss(&validate(&inputs))
    };
    let configured = spec().policy.power_fence;
    let severe = BTreeSet::from(["power-fence".to_owned()]);
    let warning = BTreeSet::from(["power-fence-beside".to_owned()]);
    assert_eq!(amiss_with(FenceGrade::ProxiedOff, configured), warning);
    assert_eq!(amiss_with(FenceGrade::Stopped, configured), severe);
    assert_eq!(amiss_with(FenceGrade::PoweredOff, configured), severe);
    assert_eq!(amiss_with(FenceGrade::PoweredOff, None), severe);
    assert_eq!(amiss_with(FenceGrade::Stopped, None), BTreeSet::new());
    assert_eq!(amiss_with(FenceGrade::ProxiedOff, None), BTreeSet::new());
}

#[test]
fn an_application_on_every_host_needs_a_way_to_the_master_alone() {
    let amiss_with = |fence, shared: usize| {
        let (mut survey, mut spec, roles, observer) = (survey(), spec(), roles(), observer());
        let rows = proxy(&mut survey).running.as_mut().unwrap();
        rows.iter_mut().take(shared).for_each(|row| row.users = UsersGo::EveryHost);
        (spec.policy.fence, spec.policy.power_fence) = (fence, None);
        amiss(&validate(&Inputs {
            spec: &spec,
            roles: &roles,
            survey: &survey,
            observer: &observer,
        }))
    };
    let found = BTreeSet::from(["proxy-database".to_owned()]);
    assert_eq!(amiss_with(FenceGrade::ProxiedOff, 2), found);
    assert_eq!(amiss_with(FenceGrade::ProxiedOff, 1), BTreeSet::new());
    assert_eq!(amiss_with(FenceGrade::Stopped, 2), BTreeSet::new());
}
