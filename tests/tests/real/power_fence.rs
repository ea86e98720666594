//! The power fence on real machines: a management controller that switches them, obeys or not.

use std::time::Duration;

use serde_json::Value;
use tests::lab::{POSTGRES_UNIT, Result, Whom, wait_for};
use tests::stage::{Bmc, Mood, ON_RETURN_ASK, PowerSwitch, Promise, Stage, StageSpec, Told, texts};

const SOON: Duration = Duration::from_secs(40);
/// A failover that failed is not tried again for a quarter of a minute.
const AGAIN: Duration = Duration::from_secs(90);
const LOAD: Duration = Duration::from_secs(180);

fn stage(grade: &'static str) -> Result<Stage> {
    let policy = vec![ON_RETURN_ASK, ("fence", grade)];
    Stage::set(&StageSpec { policy, power: PowerSwitch::Controller, ..StageSpec::standard() })
}

/// Plays `scenario` beside the controller, on a stage where this grade is asked for.
fn play(
    grade: &'static str,
    scenario: impl FnOnce(&Stage, &Bmc) -> Result<()> + Send,
) -> Result<()> {
    let stage = stage(grade)?;
    stage.beside_bmc(|bmc| scenario(&stage, bmc))?
}

fn is_off(stage: &Stage, host: &str) -> bool {
    stage.lab.machine(host).leader_pid().is_none()
}

/// Position of the first event of this kind in whose text all these words stand.
fn place(events: &[Value], kind: &str, words: &[&str]) -> usize {
    let meant = |event: &Value| {
        let text = event.to_string();
        event["kind"] == kind && words.iter().all(|word| text.contains(word))
    };
    let found = events.iter().position(meant);
    found.unwrap_or_else(|| panic!("no {kind} with {words:?}:\n{}", texts(events)))
}

/// The master's cable is pulled: it goes on running, and nobody sees it. It is switched off, seen
/// to be off, and only then is the slave promoted. The verb and the validation say beforehand that
/// the fence works, the dry run shows its command, and its password stands nowhere.
#[test]
fn a_master_out_of_sight_is_switched_off_first() -> Result<()> {
    play("\"powered-off\"", |stage, bmc| {
        let test = stage.ask(&["fence", "test"])?.success()?;
        assert!(test.contains("node-a  works: the host is on"), "{test}");
        assert!(test.contains("node-b  works: the host is on"), "{test}");
        let validation = stage.ask(&["validate", "--for", "failover", "--all"])?.success()?;
        assert!(validation.contains("power-fence  desk: node-a: on, node-b: on"), "{validation}");
        let dry_run = stage.ask(&["failover", "--dry-run"])?.stdout;
        assert!(dry_run.contains("/etc/ha-observer/fence/power off node-a"), "{dry_run}");
        let load = stage.start_http(LOAD)?;
        stage.wait_written(&load, "node-a")?;
        stage.lab.machine("node-a").pull_cable()?;
        stage.wait_master("node-b", SOON)?;
        stage.wait_written(&load, "node-b")?;
        assert!(is_off(stage, "node-a"), "it has power");
        assert_eq!(bmc.orders(), ["off node-a"]);
        stage.finish(load, "node-b")?.assert_kept(Promise::LastInFlight);
        let events = stage.events()?;
        let off = place(&events, "step-proven", &["the power fence says that node-a is off"]);
        let promoted = place(&events, "step-ordered", &["promote node-b"]);
        assert!(off < promoted, "{}", texts(&events));
        let test = stage.ask(&["fence", "test", "node-a"])?.success()?;
        assert!(test.contains("node-a  works: the host is off"), "{test}");
        let incident = stage.ask(&["incident"])?.success()?;
        assert!(incident.contains("power-off"), "{incident}");
        let told = format!("{dry_run}{incident}{}", texts(&events));
        let journal = stage.observer().journal(tests::stage::OBSERVER_UNIT)?;
        for text in [told, journal] {
            assert!(!text.contains("what-only-the-controller-knows"), "a password is told");
        }
        Ok(())
    })
}

/// The controller refuses, then says that it was done and does nothing: each time the plan is taken
/// back with the reason, nobody is promoted, and the machine keeps its power. Once the controller
/// obeys, the failover comes through by itself.
#[test]
fn nobody_is_promoted_while_the_power_fence_fails_or_lies() -> Result<()> {
    play("\"powered-off\"", |stage, bmc| {
        bmc.turn(Mood::Refuses);
        stage.lab.machine("node-a").pull_cable()?;
        turned_back(stage, "the controller refuses")?;
        stands_by(stage)?;
        bmc.turn(Mood::Lies);
        turned_back(stage, "the power fence says that node-a is on")?;
        stands_by(stage)?;
        let status = stage.status()?;
        assert_eq!(status["protected"], false, "{status}");
        bmc.turn(Mood::Obeys);
        stage.wait_master("node-b", AGAIN)?;
        assert!(is_off(stage, "node-a"), "it has power");
        Ok(())
    })
}

/// Waits for a plan that is taken back for this reason.
fn turned_back(stage: &Stage, why: &str) -> Result<()> {
    wait_for(&format!("a plan to be taken back: {why}"), AGAIN, || {
        let events = stage.events().map_err(|error| error.to_string())?;
        let told =
            events.of_kind("plan-closed").iter().any(|event| event.to_string().contains(why));
        if told { Ok(()) } else { Err(texts(&events)) }
    })
}

/// node-b is a standby still, and node-a runs, though nobody sees it.
fn stands_by(stage: &Stage) -> Result<()> {
    let recovery = stage.lab.machine("node-b").sql("postgres", "select pg_is_in_recovery()")?;
    assert_eq!(recovery, "t", "node-b was promoted");
    assert!(!is_off(stage, "node-a"), "node-a has no power");
    assert_eq!(stage.status()?["master"], "node-a");
    Ok(())
}

/// The database hangs and its host answers: with the grade *powered-off* that is not enough either.
#[test]
fn a_hung_master_is_switched_off() -> Result<()> {
    play("\"powered-off\"", |stage, bmc| {
        stage.lab.machine("node-a").signal_unit(POSTGRES_UNIT, "STOP", Whom::All)?;
        stage.wait_master("node-b", SOON)?;
        assert!(is_off(stage, "node-a"), "it has power");
        assert_eq!(bmc.orders(), ["off node-a"]);
        assert!(stage.events()?.names_rule("F3"), "{}", texts(&stage.events()?));
        Ok(())
    })
}

/// With the shipped grade the failover goes on without a controller that refuses, and says so; the
/// verb ends with its own exit code once nobody answers.
#[test]
fn beside_the_proxies_it_holds_nobody_up() -> Result<()> {
    let stage = stage("\"proxied-off\"")?;
    stage.beside_bmc(|bmc| {
        bmc.turn(Mood::Refuses);
        stage.lab.machine("node-a").pull_cable()?;
        stage.wait_master("node-b", SOON)?;
        let events = stage.events()?;
        let skipped = place(&events, "step-skipped", &["the controller refuses"]);
        let let_in = place(&events, "step-proven", &["let in at proxy"]);
        assert!(let_in < skipped, "{}", texts(&events));
        assert!(!is_off(&stage, "node-a"));
        Ok::<(), tests::lab::LabError>(())
    })??;
    let test = stage.ask(&["fence", "test", "node-b"])?;
    assert_eq!(test.status.code(), Some(12), "{}{}", test.stdout, test.stderr);
    assert!(test.stdout.contains("node-b  FAILS"), "{}", test.stdout);
    let validation = stage.ask(&["validate"])?.stdout;
    assert!(validation.contains("power-fence-beside"), "{validation}");
    Ok(())
}
