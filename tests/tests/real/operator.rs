//! What is no death of the master, on real machines: restarts, reboots, and a person's orders.

use std::time::Duration;

use serde_json::Value;

use tests::lab::{POSTGRES_UNIT, Result, wait_for};
use tests::stage::{Promise, REFUSED, Stage, Told, texts};

const SOON: Duration = Duration::from_secs(30);
const LOAD: Duration = Duration::from_secs(180);

/// Restarting is not dead: a package upgrade restarts the database, and then the whole machine is
/// rebooted. No role moves; after the reboot, at which nothing starts by itself, the database is
/// started in place and nothing is lost.
#[test]
fn restarts_are_no_death() -> Result<()> {
    let stage = Stage::asking()?;
    let master = stage.lab.machine("node-a");
    let (http, sql) = (stage.start_http(LOAD)?, stage.start_sql(LOAD)?);
    stage.wait_written(&http, "node-a")?;
    master.run(&["systemctl", "restart", POSTGRES_UNIT])?;
    stage.wait_written(&http, "node-a")?;
    stage.wait_written(&sql, "node-a")?;
    stage.wait_protected()?;
    let events = stage.events()?;
    assert_eq!(events.plans(), 0, "a restart needs no help: {}", texts(&events));

    master.shut_down()?;
    master.power_on()?;
    wait_for("the master's database and services to be started", SOON, || {
        let events = stage.events().map_err(|error| error.to_string())?;
        let closed = events.of_kind("plan-closed");
        let done = closed.last().is_some_and(|event| event["outcome"] == "done");
        if done { Ok(()) } else { Err(texts(&events)) }
    })?;
    stage.wait_protected()?;
    stage.wait_written(&http, "node-a")?;
    stage.wait_written(&sql, "node-a")?;
    stage.wait_scheduler("node-a", &["node-b"])?;
    stage.finish(http, "node-a")?.assert_kept(Promise::AllKept);
    stage.finish(sql, "node-a")?.assert_kept(Promise::AllKept);
    let events = stage.events()?;
    let opened = events.of_kind("plan-opened");
    let repairs = opened.iter().all(|event| event["rule"] == "D1");
    assert!(repairs && opened.len() == 1, "{}", texts(&events));
    assert!(events.names_rule("D6"), "restarting was told: {}", texts(&events));
    assert_eq!(stage.timeline("node-a")?, 1, "nobody was promoted");
    Ok(())
}

/// A person looks at what a failover would do, and nothing changes. Then the person orders it: the
/// master is stopped in order, so that no acknowledged row is lost.
#[test]
fn dry_run_and_order() -> Result<()> {
    let stage = Stage::asking()?;
    let (http, sql) = (stage.start_http(LOAD)?, stage.start_sql(LOAD)?);
    stage.wait_written(&http, "node-a")?;
    stage.wait_written(&sql, "node-a")?;
    let before = stage.events()?;
    let plan = stage.ask(&["failover", "--dry-run", "-o", "json"])?.success()?;
    every_step_is_told(&serde_json::from_str(&plan).expect("the plan is JSON"));
    let text = stage.ask(&["failover", "--dry-run"])?.success()?;
    for word in ["proxy:", "node-a: sudo -n -- /usr/bin/systemctl", "the pivot", "deadline:"] {
        assert!(text.contains(word), "no `{word}` in:\n{text}");
    }
    let after = stage.events()?;
    assert_eq!(before.len(), after.len(), "a dry run changes nothing: {}", texts(&after));
    stage.wait_protected()?;
    stage.wait_written(&http, "node-a")?;
    let nobody = stage.ask(&["failover"])?;
    assert_eq!(nobody.status.code(), Some(10), "nobody confirmed: {}", nobody.stderr);

    let ordered = stage.ask(&["failover", "--yes", "--reason", "rehearsal"])?;
    assert!(ordered.status.success(), "{}{}", ordered.stdout, ordered.stderr);
    stage.wait_master("node-b", SOON)?;
    stage.wait_written(&http, "node-b")?;
    stage.wait_written(&sql, "node-b")?;
    stage.wait_scheduler("node-b", &["node-a"])?;
    stage.finish(http, "node-b")?.assert_kept(Promise::AllKept);
    stage.finish(sql, "node-b")?.assert_kept(Promise::AllKept);
    let events = stage.events()?;
    let opened = events.of_kind("plan-opened");
    assert_eq!(opened.len(), 1, "{}", texts(&events));
    assert_eq!(opened[0]["asker"], "operator", "{}", texts(&events));
    assert_eq!(opened[0]["ordered"]["reason"], "rehearsal", "{}", texts(&events));
    let incident = stage.ask(&["incident"])?.success()?;
    assert!(incident.contains("ordered by root (uid 0): rehearsal"), "{incident}");
    assert_eq!(stage.timeline("node-b")?, 2, "exactly one promotion");
    Ok(())
}

#[track_caller]
fn every_step_is_told(plan: &Value) {
    assert_eq!(plan["refused"], Value::Null, "{plan}");
    assert_eq!((&plan["master"], &plan["next_master"]), (&"node-a".into(), &"node-b".into()));
    let steps = plan["steps"].as_array().expect("steps are a list");
    assert!(steps.len() >= 10, "{plan}");
    assert_eq!(steps.iter().filter(|step| step["is_pivot"] == true).count(), 1, "{plan}");
    for step in steps {
        assert!(step["deadline_ms"].as_u64().is_some_and(|ms| ms > 0), "{step}");
        assert!(step["undo"]["what"].as_str().is_some_and(|text| !text.is_empty()), "{step}");
        assert!(step["proof"].as_str().is_some_and(|text| !text.is_empty()), "{step}");
        let commands = step["commands"].as_array().expect("commands are a list");
        assert!(!commands.is_empty() || step["what"] == "look", "{step}");
        for command in commands {
            let host = command["host"].as_str().unwrap_or_default();
            assert!(["node-a", "node-b", "proxy"].contains(&host), "{command}");
            assert!(command["command"].as_str().is_some_and(|text| !text.is_empty()), "{command}");
        }
    }
}

/// The slave stops receiving under load, and then the master dies: promoting would lose more than
/// the budget. Refused with the number; a person may accept the loss, which is recorded.
#[test]
fn loss_over_budget() -> Result<()> {
    let stage = Stage::asking()?;
    let (master, slave) = (stage.lab.machine("node-a"), stage.lab.machine("node-b"));
    let sql = stage.start_sql(LOAD)?;
    stage.wait_written(&sql, "node-a")?;
    let receiver = slave.sql("postgres", "select pid from pg_stat_wal_receiver")?;
    slave.run(&["kill", "-STOP", &receiver])?;
    // More than the budget and what the network's buffers hold on the way.
    let fill = "create table filling as select repeat('x', 1000) from generate_series(1, 80000)";
    master.sql("desk", fill)?;
    stage.wait_status("the slave to lag by far", SOON, |status| {
        status["hosts"][1]["lag_bytes"].as_u64().is_some_and(|bytes| bytes > 60 << 20)
    })?;
    master.power_loss()?;
    // Nothing more can come. A receiver that is stopped would keep PostgreSQL from promoting.
    slave.run(&["kill", "-CONT", &receiver])?;
    stage.wait_cause("loss-over-budget", SOON)?;
    let status = stage.status()?;
    assert_eq!(status["rule"], "F4", "{status}");
    let loss = status["loss"].as_str().unwrap_or_default().to_owned();
    assert!(loss.contains("MiB of log"), "{status}");
    let why = stage.ask(&["why"])?.success()?;
    assert!(why.contains("F4"), "{why}");

    let refused = stage.ask(&["failover", "--yes"])?;
    assert_eq!(refused.status.code(), Some(REFUSED), "{}{}", refused.stdout, refused.stderr);
    assert!(refused.stderr.contains("loss-over-budget"), "{}", refused.stderr);
    assert!(refused.stderr.contains("MiB of log"), "with the number: {}", refused.stderr);
    assert!(refused.stderr.contains("--accept-loss"), "with the fix: {}", refused.stderr);
    let events = stage.events()?;
    assert_eq!(events.plans(), 0, "{}", texts(&events));

    let words = ["failover", "--accept-loss", "--reason", "the machine is gone", "--yes"];
    let ordered = stage.ask(&words)?;
    assert!(ordered.status.success(), "{}{}", ordered.stdout, ordered.stderr);
    stage.wait_master("node-b", SOON)?;
    stage.wait_written(&sql, "node-b")?;
    let booked = stage.finish(sql, "node-b")?;
    assert!(booked.compared.doubled.is_empty(), "doubled: {:?}", booked.compared.doubled);
    let events = stage.events()?;
    let accepted = events.of_kind("loss-accepted");
    assert_eq!(accepted.len(), 1, "single-use and recorded: {}", texts(&events));
    assert_eq!(accepted[0]["reason"], "the machine is gone");
    assert!(accepted[0]["by"].as_str().is_some_and(|by| by.contains("root")), "{}", accepted[0]);
    let told = accepted[0]["loss"].as_str().unwrap_or_default();
    assert!(told.contains("MiB of log"), "{}", accepted[0]);
    assert_eq!(stage.timeline("node-b")?, 2, "exactly one promotion");
    Ok(())
}
