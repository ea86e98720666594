//! The checks of file sets where a breakage of a healthy pair is not enough to show them.

use super::*;

fn found(id: &str, spec: &PairSpec, observer: &ObserverState) -> (Grade, String) {
    let (roles, survey) = (roles(), survey());
    let report = validate(&Inputs { spec, roles: &roles, survey: &survey, observer });
    let check = report.checks.into_iter().find(|check| check.id == id).unwrap();
    (check.grade, check.evidence)
}

#[track_caller]
fn is((grade, evidence): (Grade, String), wanted: Grade, part: &str) {
    assert_eq!(grade, wanted, "{evidence}");
    assert!(evidence.contains(part), "{evidence}");
}

#[test]
fn a_copy_that_nobody_knows_of_is_neither_young_nor_in_time() {
    let mut observer = observer();
    observer.files.standings.clear();
    for id in ["files-current", "files-in-time"] {
        is(found(id, &spec(), &observer), Grade::Unknown, "attachments");
    }
}

/// Users are held while the last pass compares: a set that is too large for the time it is given is
/// told before anybody waits. A pass that had much to bring says nothing of that.
#[test]
fn a_last_pass_that_cannot_end_in_time_stands_against_a_switchover() {
    let told = |took_ms, files, hold_limit_ms| {
        let (mut observer, mut spec) = (observer(), spec());
        let pass = &mut observer.files.standings[0].clean.as_mut().unwrap().1;
        (pass.took_ms, pass.files) = (took_ms, files);
        spec.policy.hold_limit_ms = hold_limit_ms;
        found("files-last-pass", &spec, &observer)
    };
    is(told(15_001, 0, 30_000), Grade::Failed, "is given 15.0 s (`last_deadline`)");
    is(told(14_999, 0, 30_000), Grade::Passed, "took 15.0 s of 15.0 s");
    is(told(14_999, 0, 14_000), Grade::Failed, "users are held 14.0 s at most");
    is(told(200_000, 1, 30_000), Grade::Passed, "no pass has found nothing to bring yet");
}

#[test]
fn a_copy_that_passes_cannot_keep_young_is_told() {
    let told = |took_ms| {
        let mut observer = observer();
        let pass = &mut observer.files.standings[0].clean.as_mut().unwrap().1;
        (pass.took_ms, pass.files) = (took_ms, 1);
        found("files-in-time", &spec(), &observer)
    };
    is(told(60_001), Grade::Failed, "up to 2 min old; `stale_after` is 2 min");
    is(told(59_000), Grade::Passed, "a pass took 59.0 s");
}
