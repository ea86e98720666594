//! The parser against what a real systemd printed, and against what a hostile host might.

use super::*;

/// Recorded from systemd 252 on Debian 12: a database that runs, a service that was stopped and
/// is forgotten by systemd, a unit that does not exist.
const RECORDED: &str = "\
Last login: Sat Nov 21 06:58:01 2026 from 10.80.0.10
=== ha-observer machine
c8b6b5a0-58b8-4d3b-95f5-3a2f5a3f8e11
running
=== ha-observer units
Result=success
LoadState=loaded
ActiveState=active
ActiveEnterTimestampMonotonic=3825307049

Result=success
LoadState=loaded
ActiveState=inactive
ActiveEnterTimestampMonotonic=0

Result=success
LoadState=not-found
ActiveState=inactive
ActiveEnterTimestampMonotonic=0
=== ha-observer lease
Description=HA Observer lease of 30 s, 0123456789
=== ha-observer end
";

const NAMES: [&str; 3] = ["database", "desk.service", "nosuch.service"];

#[test]
fn what_a_real_systemd_prints_is_read() {
    let (boot, report, lease) = parse(RECORDED.as_bytes(), &NAMES).unwrap();
    assert_eq!(lease.as_deref(), Some("HA Observer lease of 30 s, 0123456789"));
    assert_eq!(boot, "c8b6b5a0-58b8-4d3b-95f5-3a2f5a3f8e11");
    assert_eq!(report.system, SystemState::Running);
    assert_eq!(report.unit("database").unwrap().state, UnitState::Active);
    assert_eq!(report.unit("desk.service").unwrap().state, UnitState::NeverStarted);
    assert_eq!(report.unit("nosuch.service"), None, "systemd does not know it");
}

#[track_caller]
fn state(active: &str, result: &str, entered: &str) -> Option<UnitState> {
    unit_state(&format!(
        "Result={result}\nLoadState=loaded\nActiveState={active}\n\
         ActiveEnterTimestampMonotonic={entered}"
    ))
}

#[test]
fn an_order_is_told_from_a_crash_and_both_from_a_fresh_boot() {
    assert_eq!(state("inactive", "success", "0"), Some(UnitState::NeverStarted));
    assert_eq!(state("inactive", "success", "17"), Some(UnitState::Stopped));
    assert_eq!(state("failed", "signal", "17"), Some(UnitState::Failed));
    assert_eq!(state("failed", "exit-code", "0"), Some(UnitState::Failed), "never came up");
    assert_eq!(state("inactive", "timeout", "17"), Some(UnitState::Failed));
    assert_eq!(state("activating", "signal", "17"), Some(UnitState::Activating), "restarts itself");
    assert_eq!(state("deactivating", "success", "17"), Some(UnitState::Deactivating));
    assert_eq!(state("reloading", "success", "17"), Some(UnitState::Active));
    assert_eq!(state("quantum", "success", "17"), None);
}

#[test]
fn every_state_of_the_machine_has_a_meaning() {
    for (word, meaning) in [
        ("running", SystemState::Running),
        ("degraded", SystemState::Running),
        ("maintenance", SystemState::Running),
        ("", SystemState::Running),
        ("initializing", SystemState::Starting),
        ("starting", SystemState::Starting),
        ("stopping", SystemState::Stopping),
    ] {
        assert_eq!(system_state(word), meaning, "{word}");
    }
}

#[test]
fn a_systemd_that_says_nothing_leaves_a_machine_that_is_up() {
    let silent = RECORDED.replace("running\n", "");
    let (_, report, _) = parse(silent.as_bytes(), &NAMES).unwrap();
    assert_eq!(report.system, SystemState::Running);
}

#[test]
fn what_is_cut_short_or_has_other_blocks_is_no_report() {
    for end in 0..RECORDED.len() {
        let cut = &RECORDED.as_bytes()[..end];
        assert_eq!(parse(cut, &NAMES), None, "{}", String::from_utf8_lossy(cut));
    }
    assert_eq!(parse(RECORDED.as_bytes(), &NAMES[..2]), None);
    assert_eq!(parse(b"\xff\xfe=== ha-observer units\n=== ha-observer end\n", &NAMES), None);
}

#[test]
fn a_banner_that_imitates_us_does_not_hide_the_report() {
    let fake = "=== ha-observer machine\nx\nstopping\n=== ha-observer units\n";
    let (boot, report, _) = parse(format!("{fake}{RECORDED}").as_bytes(), &NAMES).unwrap();
    assert_eq!(boot, "c8b6b5a0-58b8-4d3b-95f5-3a2f5a3f8e11");
    assert_eq!(report.system, SystemState::Running);
}

/// A cluster of Debian's is enabled by a generator at each boot, and never for good.
#[test]
fn what_a_boot_starts_is_seen() {
    let unit = |state: &str| format!("LoadState=loaded\nUnitFileState={state}\nActiveState=active");
    for (state, at_boot) in [
        ("enabled", true),
        ("enabled-runtime", true),
        ("disabled", false),
        ("indirect", false),
        ("static", false),
        ("masked", false),
        ("", false),
    ] {
        assert_eq!(is_enabled(&unit(state)), at_boot, "{state}");
    }
    assert!(!is_enabled("LoadState=loaded\nActiveState=active"));
}

/// `systemctl --no-block` returns before systemd has begun: until then the unit is active still.
#[test]
fn what_was_told_to_end_is_not_active() {
    let told = "LoadState=loaded\nActiveState=active\nJob=1234\nResult=success";
    assert_eq!(unit_state(told), Some(UnitState::Deactivating));
    assert_eq!(unit_state(&told.replace("1234", "")), Some(UnitState::Active));
}

#[test]
fn a_unit_that_ran_and_was_forgotten_was_stopped() {
    let ran = RanInThisBoot::default();
    let units = |state| {
        vec![UnitReport { unit: "database".to_owned(), state, loops: false, at_boot: false }]
    };
    let corrected = |boot: &str, state| {
        let mut units = units(state);
        ran.correct(boot, &mut units);
        units[0].state
    };
    assert_eq!(corrected("boot 1", UnitState::NeverStarted), UnitState::NeverStarted);
    assert_eq!(corrected("boot 1", UnitState::Active), UnitState::Active);
    assert_eq!(corrected("boot 1", UnitState::NeverStarted), UnitState::Stopped);
    assert_eq!(corrected("boot 1", UnitState::Failed), UnitState::Failed);
    assert_eq!(corrected("boot 2", UnitState::NeverStarted), UnitState::NeverStarted);
}
