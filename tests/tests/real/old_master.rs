//! The old master comes back on real machines: it never serves and never becomes a second writer.

use std::time::Duration;

use tests::http;
use tests::lab::{DESK_UNIT, POSTGRES_UNIT, Result, wait_for};
use tests::stage::{Guard, Promise, Stage, StageSpec, Told, texts};

const SOON: Duration = Duration::from_secs(30);
const LOAD: Duration = Duration::from_secs(180);
/// How long the old master is watched for what it must not do: a few rounds of costly looks.
const WATCHED: Duration = Duration::from_secs(8);
const TOMBSTONE: &str = "/var/lib/postgresql/15/main/standby.signal";

/// After a failover the old master is powered on: it stays off its database. Somebody starts it
/// by hand: stopped at once, and the tombstone makes the next start by hand that of a standby.
/// HAProxy is restarted in between: its file keeps users where they are.
#[test]
fn never_serves_again() -> Result<()> {
    // The guard would refuse the start by hand: here somebody forgot to install it.
    let stage = Stage::set(&StageSpec { guard: Guard::Missing, ..StageSpec::asking() })?;
    let old = stage.lab.machine("node-a");
    old.power_loss()?;
    stage.wait_master("node-b", SOON)?;
    let (http, sql) = (stage.start_http(LOAD)?, stage.start_sql(LOAD)?);
    stage.wait_written(&http, "node-b")?;
    stage.wait_written(&sql, "node-b")?;

    old.power_on()?;
    stage.wait_cause("slave-down", SOON)?;
    stage.stays_master("node-b", WATCHED)?;
    assert_ne!(state_of(&stage, POSTGRES_UNIT)?, "active", "nobody started it");
    let events = stage.events()?;
    assert_eq!(events.plans(), 1, "{}", texts(&events));
    let status = stage.status()?;
    assert_eq!(status["protected"], false, "{status}");

    started_by_hand(&stage)?;
    haproxy_restarted(&stage)?;

    stage.wait_scheduler("node-b", &["node-a"])?;
    stage.finish(sql, "node-b")?.assert_kept(Promise::AllKept);
    stage.finish(http, "node-b")?.assert_kept(Promise::AllKept);
    assert_eq!(stage.timeline("node-b")?, 2, "exactly one promotion");
    no_row_of_users_on_the_old(&stage)
}

/// Twice: as a primary, and under the tombstone.
fn started_by_hand(stage: &Stage) -> Result<()> {
    let old = stage.lab.machine("node-a");
    // It may be stopped before its start is over, which systemctl then calls a failure.
    old.exec(&["systemctl", "start", POSTGRES_UNIT, DESK_UNIT])?;
    wait_for("the stale master to be stopped", SOON, || {
        let events = stage.events().map_err(|error| error.to_string())?;
        let closed = events.of_kind("plan-closed");
        let done = closed.get(1).is_some_and(|event| event["outcome"] == "done");
        if done { Ok(()) } else { Err(texts(&events)) }
    })?;
    assert_ne!(state_of(stage, POSTGRES_UNIT)?, "active");
    old.run(&["test", "-e", TOMBSTONE])?;
    let events = stage.events()?;
    assert!(events.names_rule("R3"), "{}", texts(&events));
    let verdicts = events.of_kind("verdict-changed");
    let told = verdicts.iter().any(|event| event["cause"] == "stale-master");
    assert!(told, "it is reported: {}", texts(&events));
    let plans = events.plans();
    stage.wait_cause("slave-down", SOON)?;

    old.run(&["systemctl", "start", POSTGRES_UNIT])?;
    let role = wait_for("the old master to answer", SOON, || {
        old.sql("postgres", "select pg_is_in_recovery()").map_err(|error| error.to_string())
    })?;
    assert_eq!(role, "t", "the tombstone makes it a standby");
    stage.stays_master("node-b", WATCHED)?;
    let events = stage.events()?;
    assert_eq!(events.plans(), plans, "a standby is nobody's writer: {}", texts(&events));
    old.run(&["test", "-e", TOMBSTONE])?;
    Ok(())
}

/// The file is true: a restarted HAProxy lets users in to the new master only.
fn haproxy_restarted(stage: &Stage) -> Result<()> {
    stage.lab.machine("proxy").run(&["systemctl", "restart", "haproxy.service"])?;
    stage.wait_status("the proxy to be seen again", SOON, |status| {
        let proxy = &status["proxies"][0];
        proxy["state"] == "serves"
            && proxy["lets_in"] == serde_json::json!(["node-b"])
            && proxy["file_lets_in"] == serde_json::json!(["node-b"])
    })?;
    let address = stage.lab.http_address();
    stage.lab.in_client(|| {
        wait_for("users to be served", SOON, || {
            let answer = http::get(address, "/healthcheck", Duration::from_secs(2))?;
            if answer.status == 200 { Ok(()) } else { Err(answer.body) }
        })
    })??;
    let events = stage.events()?;
    let repaired = events.of_kind("plan-opened").iter().any(|event| event["rule"] == "P1");
    assert!(!repaired, "the file needed no repair: {}", texts(&events));
    Ok(())
}

/// What the loads wrote after the failover is on the new master alone.
fn no_row_of_users_on_the_old(stage: &Stage) -> Result<()> {
    for table in ["load_rows", "tickets"] {
        let query = format!("select count(*) from {table}");
        assert_eq!(stage.lab.machine("node-a").sql("desk", &query)?, "0", "{table}");
        assert_ne!(stage.lab.machine("node-b").sql("desk", &query)?, "0", "{table}");
    }
    Ok(())
}

fn state_of(stage: &Stage, unit: &str) -> Result<String> {
    let output = stage.lab.machine("node-a").exec(&["systemctl", "is-active", unit])?;
    Ok(output.stdout.trim().to_owned())
}
