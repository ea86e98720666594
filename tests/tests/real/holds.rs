//! What must not move the master, on real machines: silence that is the observer's own, cut lines,
//! a dead slave, a dead sshd, a person at work, a pause. Each is named, users notice nothing, and
//! nothing is done until it is right to do something.
//!
//! Scenarios that leave no trace in one another share a lab, one after another. How each verdict
//! comes about is for the simulated twins.

use std::time::Duration;

use serde_json::Value;
use tests::lab::{POSTGRES_UNIT, Result};
use tests::stage::{Booked, OBSERVER_UNIT, Stage, Told, texts};

/// Enough for silence to be believed and told on a busy computer.
const SOON: Duration = Duration::from_secs(20);
/// Enough for connections that were silent for a while to find one another again.
const HEALED: Duration = Duration::from_secs(60);
/// How long a hold is watched: longer than any failover takes.
const WATCHED: Duration = Duration::from_secs(10);
const LOAD: Duration = Duration::from_secs(300);
/// Nothing should happen to users, and a busy computer may still let one statement wait.
const UNNOTICED_MS: f64 = 900.0;

/// Lines fall silent and hosts die, and the master is well all the while.
#[test]
fn the_master_is_well_and_something_else_is_not() -> Result<()> {
    let stage = Stage::asking()?;
    let load = stage.start_sql(LOAD)?;

    observer_isolated(&stage)?;
    master_and_slave_cut(&stage)?;
    observer_and_master_cut(&stage)?;
    sshd_dead(&stage)?;
    slave_dead(&stage)?;

    unnoticed(&stage.finish(load, "node-a")?);
    let events = stage.events()?;
    assert_eq!(events.plans(), 0, "{}", texts(&events));
    assert_eq!(stage.timeline("node-a")?, 1, "nobody was promoted");
    Ok(())
}

/// The observer sees nobody: it is itself the suspect, and says so to whoever asks it.
fn observer_isolated(stage: &Stage) -> Result<()> {
    stage.observer().pull_cable()?;
    told(stage, "B1", "observer-isolated", "Check the observer's own network.")?;
    stays_held(stage, "B1")?;
    stage.observer().plug_cable()?;
    protected_again(stage)
}

/// Both answer the observer, and the slave cannot hear the master.
fn master_and_slave_cut(stage: &Stage) -> Result<()> {
    stage.lab.cut("node-a", "node-b")?;
    told(stage, "S5", "slave-cut-off", "Check cables, firewall and routes")?;
    stage.lab.heal("node-a", "node-b")?;
    protected_again(stage)
}

/// Only the observer lost the master; the proxies' own checks of it pass.
fn observer_and_master_cut(stage: &Stage) -> Result<()> {
    stage.lab.cut("observer", "node-a")?;
    told(stage, "D8", "users-served", "Check sshd on the master, and the network")?;
    stays_held(stage, "D8")?;
    stage.lab.heal("observer", "node-a")?;
    protected_again(stage)
}

/// sshd dies with every connection that it had, on a master that serves.
fn sshd_dead(stage: &Stage) -> Result<()> {
    let master = stage.lab.machine("node-a");
    master.run(&["systemctl", "mask", "--runtime", "--now", "ssh.service"])?;
    end_sessions(stage)?;
    told(stage, "D8", "users-served", "Check sshd on the master, and the network")?;
    stays_held(stage, "D8")?;
    let why = stage.ask(&["why"])?.stdout;
    assert!(why.contains("node-a over SSH: connection refused"), "{why}");
    master.run(&["systemctl", "unmask", "--runtime", "ssh.service"])?;
    master.run(&["systemctl", "start", "ssh.service"])?;
    protected_again(stage)
}

/// First a person stops its database, then the whole machine is gone.
fn slave_dead(stage: &Stage) -> Result<()> {
    let slave = stage.lab.machine("node-b");
    slave.run(&["systemctl", "stop", POSTGRES_UNIT])?;
    told(stage, "S2", "slave-down", "`repair` starts it")?;
    slave.run(&["systemctl", "restart", POSTGRES_UNIT])?;
    protected_again(stage)?;
    slave.power_loss()?;
    told(stage, "S3", "slave-silent", "Check the slave's power, network and sshd.")?;
    stays_held(stage, "S3")
}

/// A person stops the master's database: that is a decision, named, and answered with nothing.
/// Later it refuses writes, which is nobody's decision.
#[test]
fn a_person_is_at_work_on_the_master() -> Result<()> {
    let stage = Stage::asking()?;
    let master = stage.lab.machine("node-a");

    master.run(&["systemctl", "stop", POSTGRES_UNIT])?;
    told(&stage, "D5", "master-stopped", "Start what was stopped if the maintenance is over")?;
    stays_held(&stage, "D5")?;
    let state = master.exec(&["systemctl", "is-active", POSTGRES_UNIT])?.stdout;
    assert_eq!(state.trim(), "inactive", "nobody but the person starts it");
    master.run(&["systemctl", "start", POSTGRES_UNIT])?;
    protected_again(&stage)?;

    // What guards against full disks do to a database before it comes to the worst: users are moved
    // to the slave, which loses nothing.
    read_only(&stage, "on")?;
    stage.wait_master("node-b", SOON)?;
    stage.wait_protected()?;
    let events = stage.events()?;
    assert!(events.names_rule("D14"), "{}", texts(&events));
    assert_eq!(events.plans(), 1, "{}", texts(&events));
    assert_eq!(stage.timeline("node-b")?, 2, "exactly one promotion");
    Ok(())
}

/// The master dies in observe-only mode and under a pause: what would have been done is told, and
/// nothing is done until a person resumes.
#[test]
fn watching_only_then_paused_then_resumed() -> Result<()> {
    let stage = Stage::asking()?;
    set_mode(&stage, "observe-only")?;
    stage.wait_cause("observe-only", SOON)?;
    let load = stage.start_sql(LOAD)?;

    stage.lab.machine("node-a").power_loss()?;
    barred(&stage, "F1", "observe-only")?;
    stays_undone(&stage)?;
    let told = stage.ask(&["events"])?.stdout;
    assert!(told.contains("not done: observe-only"), "{told}");

    stage.ask(&["pause", "--reason", "the network is being rebuilt"])?.success()?;
    set_mode(&stage, "auto")?;
    barred(&stage, "F1", "paused")?;
    stays_undone(&stage)?;
    let status = stage.ask(&["status"])?.stdout;
    assert!(status.contains("the network is being rebuilt"), "{status}");

    stage.ask(&["resume"])?.success()?;
    stage.wait_master("node-b", SOON)?;
    let booked = stage.finish(load, "node-b")?;
    assert!(booked.compared.doubled.is_empty(), "{:?}", booked.compared);
    let events = stage.events()?;
    assert_eq!(events.plans(), 1, "{}", texts(&events));
    assert!(events.of_kind("plan-opened")[0]["rule"] == "F1", "{}", texts(&events));
    assert_eq!(stage.timeline("node-b")?, 2, "exactly one promotion");
    Ok(())
}

/// Changes the mode as an administrator does: in the file, and by a reload.
fn set_mode(stage: &Stage, mode: &str) -> Result<()> {
    let config = "/etc/ha-observer/pairs/desk.toml";
    let change = format!("s/^mode = .*/mode = \"{mode}\"/");
    stage.observer().run(&["sed", "-i", &change, config])?;
    stage.observer().run(&["systemctl", "reload", OBSERVER_UNIT]).map(drop)
}

/// Ends what an sshd that is stopped left behind: the connections it had accepted.
fn end_sessions(stage: &Stage) -> Result<()> {
    let master = stage.lab.machine("node-a");
    // The machine's own process names; nothing outside it is seen from there.
    let script = "for pid in $(pgrep -x sshd); do kill -KILL $pid; done";
    master.run(&["/bin/sh", "-c", script]).map(drop)
}

fn read_only(stage: &Stage, state: &str) -> Result<()> {
    let set = format!("alter system set default_transaction_read_only = {state}");
    stage.lab.machine("node-a").sql("postgres", &set)?;
    stage.lab.machine("node-a").sql("postgres", "select pg_reload_conf()").map(drop)
}

/// Waits until the hold is told: by this rule, for this cause, with this advice, and no plan.
fn told(stage: &Stage, rule: &str, cause: &str, advice: &str) -> Result<()> {
    let what = format!("{rule} to be told");
    stage.wait_status(&what, SOON, |status| status["rule"] == rule)?;
    let status = stage.status()?;
    assert_eq!(status["cause"], cause, "{status}");
    assert_eq!(status["protected"], false, "{status}");
    assert_eq!(status["plan"], Value::Null, "{status}");
    assert!(text(&status["advice"]).contains(advice), "{status}");
    assert!(text(&status["next"]).contains("nothing by itself"), "{status}");
    let first = stage.ask(&["status"])?.stdout;
    assert!(first.lines().next().unwrap_or_default().contains("NOT PROTECTED"), "{first}");
    let events = stage.events()?;
    assert!(events.names_rule(rule), "{}", texts(&events));
    Ok(())
}

fn stays_held(stage: &Stage, rule: &str) -> Result<()> {
    stage.stays_master("node-a", WATCHED)?;
    let status = stage.status()?;
    assert_eq!(status["rule"], rule, "{status}");
    assert_eq!(status["plan"], Value::Null, "{status}");
    Ok(())
}

/// Waits until the master's death is judged and the verdict is barred by `cause`.
fn barred(stage: &Stage, rule: &str, cause: &str) -> Result<()> {
    let what = format!("{rule} barred by {cause}");
    stage.wait_status(&what, SOON, |status| status["rule"] == rule)?;
    let why = stage.ask(&["why", "-o", "json"])?.stdout;
    let why: Value = serde_json::from_str(&why).unwrap_or_default();
    assert_eq!(why["ruling"]["barred"], cause, "{why}");
    Ok(())
}

fn stays_undone(stage: &Stage) -> Result<()> {
    stage.stays_master("node-a", WATCHED)?;
    let events = stage.events()?;
    assert_eq!(events.plans(), 0, "{}", texts(&events));
    Ok(())
}

fn protected_again(stage: &Stage) -> Result<()> {
    stage
        .wait_status("the pair to be protected again", HEALED, |status| status["protected"] == true)
}

#[track_caller]
fn unnoticed(booked: &Booked) {
    let summary = &booked.summary;
    assert!(summary.failed.is_empty(), "users saw failures: {:?}", summary.failed);
    assert!(summary.longest_gap_ms < UNNOTICED_MS, "a gap of {} ms", summary.longest_gap_ms);
    assert!(booked.compared.lost.is_empty(), "lost: {:?}", booked.compared.lost);
    assert!(booked.compared.doubled.is_empty(), "doubled: {:?}", booked.compared.doubled);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
