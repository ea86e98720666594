//! Commits that wait for the slave, on real machines: the pair comes to it by itself, a master that
//! dies takes nothing acknowledged along, and a slave that dies holds nobody up for long.

use std::time::Duration;

use tests::lab::{Result, wait_for};
use tests::stage::{Promise, Stage, StageSpec, Told, texts};

const SOON: Duration = Duration::from_secs(30);
const REJOINED: Duration = Duration::from_secs(120);
const LOAD: Duration = Duration::from_secs(240);
/// What is told of commits that wait for the slave.
const NONE_LOST: &str = "none of them is lost";

/// Under load the master loses its power. Every acknowledged write is on the slave, which the dry
/// run promised before and the report tells afterwards.
#[test]
fn a_dead_master_takes_nothing_along() -> Result<()> {
    let stage = synchronous()?;
    let (http, sql) = (stage.start_http(LOAD)?, stage.start_sql(LOAD)?);
    stage.wait_written(&http, "node-a")?;
    stage.wait_written(&sql, "node-a")?;
    let plan = stage.ask(&["failover", "--dry-run"])?.success()?;
    assert!(plan.contains(NONE_LOST), "{plan}");

    stage.lab.machine("node-a").power_loss()?;
    stage.wait_master("node-b", SOON)?;
    stage.wait_written(&http, "node-b")?;
    stage.wait_written(&sql, "node-b")?;
    let asked = stage.lab.machine("node-b").sql("postgres", "show synchronous_standby_names")?;
    assert_eq!(asked, "", "the new master waits for nobody");
    stage.finish(http, "node-b")?.assert_kept(Promise::AllKept);
    stage.finish(sql, "node-b")?.assert_kept(Promise::AllKept);
    let report = stage.ask(&["incident"])?.success()?;
    assert!(report.contains(NONE_LOST), "{report}");
    assert_eq!(stage.timeline("node-b")?, 2, "exactly one promotion");
    Ok(())
}

/// The slave loses its power under load: after the patience commits go on without it, which is
/// said. Once it is back they wait for it again; and after a switchover for the old master.
#[test]
fn a_dead_slave_holds_nobody_up_for_long() -> Result<()> {
    let stage = synchronous()?;
    let sql = stage.start_sql(LOAD)?;
    stage.wait_written(&sql, "node-a")?;
    let slave = stage.lab.machine("node-b");
    slave.power_loss()?;
    wait_rule(&stage, "Y1")?;
    stage.wait_written(&sql, "node-a")?;
    let plan = stage.ask(&["failover", "--dry-run"])?;
    assert!(!plan.stdout.contains(NONE_LOST), "{}", plan.stdout);
    assert!(stage.status()?["protected"] == false, "{}", stage.status()?);

    slave.power_on()?;
    wait_synchronous(&stage, "node-a", "node-b", REJOINED)?;
    stage.wait_status("the pair to be protected again", REJOINED, |status| {
        status["protected"] == true && status["plan"].is_null()
    })?;
    stage.wait_written(&sql, "node-a")?;

    let ordered = stage.ask(&["switchover", "--yes", "--reason", "the other way round"])?;
    assert!(ordered.status.success(), "{}{}", ordered.stdout, ordered.stderr);
    stage.wait_master("node-b", SOON)?;
    wait_synchronous(&stage, "node-b", "node-a", SOON)?;
    stage.wait_protected()?;
    stage.wait_written(&sql, "node-b")?;
    let left = stage.lab.machine("node-a").sql("postgres", "show synchronous_standby_names")?;
    let asked = stage.ask(&["validate"])?;
    assert!(!asked.stdout.contains("synchronous_standby_names ="), "{left}: {}", asked.stdout);
    stage.finish(sql, "node-b")?.assert_kept(Promise::AllKept);
    Ok(())
}

/// A stage whose pair came to be synchronous by itself.
fn synchronous() -> Result<Stage> {
    let policy = vec![("durability", "\"sync\"")];
    let stage = Stage::set(&StageSpec { policy, ..StageSpec::standard() })?;
    wait_synchronous(&stage, "node-a", "node-b", SOON)?;
    wait_rule(&stage, "Y3")?;
    stage.wait_status("the plan to be closed", SOON, |status| {
        status["protected"] == true && status["plan"].is_null()
    })?;
    Ok(stage)
}

/// Asks PostgreSQL itself whom its commits wait for.
fn wait_synchronous(stage: &Stage, master: &str, slave: &str, limit: Duration) -> Result<()> {
    let sql = "select current_setting('synchronous_standby_names') || coalesce((
        select string_agg(' ' || application_name || ' ' || state || ' ' || sync_state, ',')
        from pg_stat_replication), '')";
    let wanted = format!("\"{slave}\" {slave} streaming sync");
    wait_for(&format!("commits on {master} to wait for {slave}"), limit, || {
        let told = stage.lab.machine(master).sql("postgres", sql);
        let told = told.map_err(|error| error.to_string())?;
        if told == wanted { Ok(()) } else { Err(told) }
    })
}

fn wait_rule(stage: &Stage, rule: &str) -> Result<()> {
    wait_for(&format!("rule {rule} to be told"), SOON, || {
        let events = stage.events().map_err(|error| error.to_string())?;
        if events.names_rule(rule) { Ok(()) } else { Err(texts(&events)) }
    })
}
