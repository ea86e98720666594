//! Every effect of every plan loses its reply, runs late, or runs twice, on real machines.
//!
//! One stage for each: a switchover, a failover, the rejoin after it, and small repairs, with users
//! who write all along. Each plan ends as planned or as before, is told whole, and leaves one
//! master that users are led to and a pair that is protected.

use std::time::Duration;

use serde_json::Value;
use tests::lab::{POSTGRES_UNIT, Result, SCHEDULER_UNIT, Whom, wait_for};
use tests::stage::{DONE, OBSERVER_UNIT, Promise, Stage, StageSpec, Told, UNDONE, other, texts};

const SOON: Duration = Duration::from_secs(90);
const LOAD: Duration = Duration::from_secs(600);
const FAIL_OVER: (&str, &str) = ("on_database_crash", "\"fail-over\"");

/// What is done and not heard of is looked for, not done again blindly.
#[test]
fn every_reply_is_lost() -> Result<()> {
    all_plans("reply-lost")
}

/// What was given up comes after all, when other steps are under way.
#[test]
fn every_effect_runs_late() -> Result<()> {
    all_plans("late")
}

/// Doing it again changes nothing.
#[test]
fn every_effect_runs_twice() -> Result<()> {
    all_plans("twice")
}

fn all_plans(fate: &str) -> Result<()> {
    let stage = Stage::set(&StageSpec { policy: vec![FAIL_OVER], ..StageSpec::standard() })?;
    stage.set_environment(&[("HA_OBSERVER_EFFECTS", fate.to_owned())])?;
    stage.observer().run(&["systemctl", "restart", OBSERVER_UNIT])?;
    stage.wait_protected()?;
    let sessions = stage.start_sessions(LOAD)?;
    stage.wait_written(&sessions, "node-a")?;

    let master = switchover(&stage, fate)?;
    stage.wait_written(&sessions, &master)?;
    small_repairs(&stage, &master)?;
    stage.wait_written(&sessions, &master)?;
    stage.finish(sessions, &master)?.assert_kept(Promise::AllKept);

    let sessions = stage.start_sessions(LOAD)?;
    stage.wait_written(&sessions, &master)?;
    let master = failover_and_rejoin(&stage, &master)?;
    stage.wait_written(&sessions, &master)?;
    stage.finish(sessions, &master)?.assert_kept(Promise::LastInFlight);
    every_plan_is_told_whole(&stage)
}

/// A switchover: done or taken back; returns who is the master then.
fn switchover(stage: &Stage, fate: &str) -> Result<String> {
    let timeline = stage.timeline("node-a")?;
    let ordered = stage.switch_over(fate)?;
    stage.wait_status("no plan to be open", SOON, |status| status["plan"].is_null())?;
    stage.wait_protected()?;
    let status = stage.status()?;
    let master = status["master"].as_str().unwrap_or_default().to_owned();
    let moved = master != "node-a";
    let told = texts(&stage.events()?);
    let expected = if moved { DONE } else { UNDONE };
    assert_eq!(
        ordered.status.code(),
        Some(expected),
        "{}{}\n{told}",
        ordered.stdout,
        ordered.stderr
    );
    assert_eq!(stage.timeline(&master)?, timeline + u32::from(moved), "{told}");
    as_it_should_be(stage, &master)?;
    Ok(master)
}

/// The master's database is killed: the slave takes over, and the old master comes back by itself.
fn failover_and_rejoin(stage: &Stage, master: &str) -> Result<String> {
    let timeline = stage.timeline(master)?;
    let heir = other(master);
    stage.lab.machine(master).signal_unit(POSTGRES_UNIT, "KILL", Whom::Main)?;
    stage.wait_status(&format!("{heir} to be the master"), SOON, |status| {
        status["master"] == heir
    })?;
    stage.wait_status("the old master to be the slave", SOON, |status| {
        status["protected"] == true && status["plan"].is_null()
    })?;
    assert_eq!(stage.timeline(heir)?, timeline + 1, "{}", texts(&stage.events()?));
    as_it_should_be(stage, heir)?;
    Ok(heir.to_owned())
}

/// The slave's database is killed, a proxy lets users in to the slave, a singleton dies.
fn small_repairs(stage: &Stage, master: &str) -> Result<()> {
    let slave = other(master);
    let harms: [(&str, &dyn Fn() -> Result<()>); 3] = [
        ("the slave's database", &|| {
            stage.lab.machine(slave).signal_unit(POSTGRES_UNIT, "KILL", Whom::Main)
        }),
        ("the proxy's table", &|| {
            stage.haproxy(&format!("set server desk/{slave} state ready")).map(drop)
        }),
        ("the singleton", &|| {
            stage.lab.machine(master).signal_unit(SCHEDULER_UNIT, "KILL", Whom::Main)
        }),
    ];
    for (what, harm) in harms {
        let plans = stage.events()?.of_kind("plan-closed").len();
        harm()?;
        wait_for(&format!("a plan for {what}"), SOON, || {
            let events = stage.events().map_err(|error| error.to_string())?;
            let closed = events.of_kind("plan-closed").len();
            if closed > plans { Ok(()) } else { Err(texts(&events)) }
        })?;
        stage.wait_protected()?;
        as_it_should_be(stage, master)?;
    }
    Ok(())
}

/// Users are led to the master and nowhere else, and the singleton runs there only.
fn as_it_should_be(stage: &Stage, master: &str) -> Result<()> {
    stage.assert_in_order(master)?;
    stage.wait_scheduler(master, &[other(master)])
}

/// Each plan that was opened was closed, once, and none was left in between.
fn every_plan_is_told_whole(stage: &Stage) -> Result<()> {
    let events = stage.events()?;
    let ids = |kind: &str| -> Vec<Value> {
        events.of_kind(kind).iter().map(|event| event["plan"].clone()).collect()
    };
    assert_eq!(ids("plan-opened"), ids("plan-closed"), "{}", texts(&events));
    assert!(events.plans() >= 6, "{}", texts(&events));
    Ok(())
}
