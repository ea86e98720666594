//! A switchover to a slave that is not fit for it, on real machines: behind, without rights, or
//! with its disk full. It is refused before anybody is held, taken back, or waited for.

use std::time::Duration;

use tests::lab::{Machine, POSTGRES_UNIT, Result, SCHEDULER_UNIT, wait_for};
use tests::stage::{DONE, OBSERVER_UNIT, Promise, REFUSED, Stage, Told, UNDONE, texts};

const LOAD: Duration = Duration::from_secs(400);
const REJOINED: Duration = Duration::from_secs(120);
/// More log than a slave may lie behind.
const WRITE_48_MIB: &str =
    "select count(pg_logical_emit_message(false, 'lag', repeat('x', 1 << 20)))
    from generate_series(1, 48)";
const SUDOERS: &str = "/etc/sudoers.d/ha-observer";
/// Room for the slave's data and little more.
const DISK: &str = "700m";

/// The slave has stopped receiving while much is written: the switchover is refused with the
/// number. Then it has lost the rights it needs: refused. Both are told before anybody is held,
/// and once they are mended, a switchover is done; it ends a transaction that somebody left open.
#[test]
fn behind_then_without_rights_then_fit() -> Result<()> {
    let stage = Stage::standard()?;
    let http = stage.start_http_at(50, LOAD)?;
    stage.wait_written(&http, "node-a")?;
    behind(&stage)?;
    without_rights(&stage)?;
    let events = stage.events()?;
    assert_eq!(events.plans(), 0, "no plan was opened: {}", texts(&events));
    past_a_transaction(&stage)?;
    let http = stage.finish(http, "node-b")?;
    http.assert_unnoticed();
    http.assert_kept(Promise::AllKept);
    Ok(())
}

fn behind(stage: &Stage) -> Result<()> {
    let (master, slave) = (stage.lab.machine("node-a"), stage.lab.machine("node-b"));
    let receiver = slave.sql("postgres", "select pid from pg_stat_wal_receiver")?;
    slave.run(&["kill", "-STOP", &receiver])?;
    master.sql("postgres", WRITE_48_MIB)?;
    let said = refused(stage)?;
    assert!(said.contains("MiB"), "it says by how much: {said}");
    slave.run(&["kill", "-CONT", &receiver])?;
    stage.wait_protected()
}

fn without_rights(stage: &Stage) -> Result<()> {
    let slave = stage.lab.machine("node-b");
    slave.run(&["mv", SUDOERS, "/root/kept"])?;
    let said = refused(stage)?;
    assert!(said.contains("sudo"), "{said}");
    slave.run(&["mv", "/root/kept", SUDOERS])?;
    stage.wait_protected()
}

/// Somebody left a transaction open: it does not hold the switchover up, and what was never
/// committed is nowhere. That such a thing is told before is for the scenarios of validation.
fn past_a_transaction(stage: &Stage) -> Result<()> {
    let master = stage.lab.machine("node-a");
    master.sql("desk", "create table if not exists left_open (id int)")?;
    let left_open = "(echo 'begin; insert into left_open values (1);'; sleep 600) | \
                     runuser -u postgres -- psql -Xq -d desk";
    master.run(&["systemd-run", "--unit=left-open", "/bin/sh", "-c", left_open])?;
    let count = "select count(*) from pg_stat_activity where state = 'idle in transaction' \
                 and query like '%left_open%'";
    wait_for("the transaction to be open", REJOINED, || {
        let open = master.sql("postgres", count).map_err(|error| error.to_string())?;
        if open == "1" { Ok(()) } else { Err(open) }
    })?;
    let ordered = stage.switch_over("past an open transaction")?;
    stage.assert_ended(&ordered, DONE)?;
    stage.wait_protected()?;
    let rows = stage.lab.machine("node-b").sql("desk", "select count(*) from left_open")?;
    assert_eq!(rows, "0", "what was not committed is not there");
    master.run(&["systemctl", "stop", "left-open"]).map(drop)
}

/// The slave loses its rights after the checks have passed, while users are held. It is promoted
/// all the same, since that takes none, and users are let in; what could not be started there is
/// told.
#[test]
fn without_rights_in_the_middle() -> Result<()> {
    let stage = Stage::standard()?;
    let http = stage.start_http_at(50, LOAD)?;
    stage.wait_written(&http, "node-a")?;
    let slave = stage.lab.machine("node-b");
    let place = format!("proven:{}", stage.switchover_steps()?.number("hold users at proxy"));
    let loses = || slave.run(&["mv", SUDOERS, "/root/kept"]).map(drop);
    let harmed = stage.switch_over_harmed(&place, loses, || Ok(()))?;
    assert!(harmed.reached, "{harmed:?}");
    stage.assert_ended(&harmed.ordered, DONE)?;
    let events = stage.events()?;
    let left_out = events.of_kind("step-skipped");
    let told = left_out.iter().any(|event| {
        let why = event["why"].as_str().unwrap_or_default();
        event["name"] == "start desk-scheduler" && why.contains("sudo")
    });
    assert!(told && left_out.len() == 1, "{}", texts(&events));
    stage.wait_written(&http, "node-b")?;
    assert_eq!(stage.let_in()?, serde_json::json!(["node-b"]), "{}", texts(&events));
    slave.run(&["mv", "/root/kept", SUDOERS])?;
    // As the person does who was told.
    slave.run(&["systemctl", "start", SCHEDULER_UNIT])?;
    stage.wait_scheduler("node-b", &["node-a"])?;
    whole(&stage)?;
    let http = stage.finish(http, "node-b")?;
    http.assert_unnoticed();
    http.assert_kept(Promise::AllKept);
    Ok(())
}

/// The slave's disk is full when the switchover is ordered: refused. It fills in the middle, when
/// the master is stopped already: a promotion needs room for its log, does not come through, and
/// everything is taken back. Users have only waited.
#[test]
fn with_its_disk_full() -> Result<()> {
    let stage = Stage::standard()?;
    let slave = stage.lab.machine("node-b");
    // It would start the database in the middle of the move.
    stage.observer().run(&["systemctl", "stop", OBSERVER_UNIT])?;
    on_a_small_disk(slave)?;
    stage.start_observer()?;
    stage.wait_protected()?;
    let http = stage.start_http_at(50, LOAD)?;
    stage.wait_written(&http, "node-a")?;
    fill(slave)?;
    refused(&stage)?;
    make_room(slave)?;
    whole(&stage)?;

    let place = format!("proven:{}", stage.switchover_steps()?.number("replay to the end"));
    let harmed = stage.switch_over_harmed(&place, || fill(slave), || Ok(()))?;
    assert!(harmed.reached, "{harmed:?}");
    stage.assert_ended(&harmed.ordered, UNDONE)?;
    make_room(slave)?;
    stage.wait_written(&http, "node-a")?;
    assert_eq!(stage.let_in()?, serde_json::json!(["node-a"]), "{}", texts(&stage.events()?));
    whole_by_advice(&stage)?;
    let http = stage.finish(http, "node-a")?;
    http.assert_unnoticed();
    http.assert_kept(Promise::AllKept);
    assert_eq!(stage.timeline("node-a")?, 1, "nobody was promoted");
    Ok(())
}

/// Moves the machine's database to a file system of its own that is soon full.
fn on_a_small_disk(machine: &Machine) -> Result<()> {
    const MOVE: &str = "set -eu
        data=/var/lib/postgresql/15/main
        systemctl stop \"$1\"
        mv \"$data\" \"$data.moved\"
        mkdir \"$data\"
        mount -t tmpfs -o size=\"$2\" tmpfs \"$data\"
        cp -a \"$data.moved/.\" \"$data\"
        chown postgres: \"$data\"
        chmod 700 \"$data\"
        rm -rf \"$data.moved\"
        systemctl start \"$1\"";
    machine.run(&["/bin/sh", "-c", MOVE, "move", POSTGRES_UNIT, DISK]).map(drop)
}

fn fill(machine: &Machine) -> Result<()> {
    const FILL: &str = "cat /dev/zero >/var/lib/postgresql/15/main/ballast 2>/dev/null || true";
    machine.run(&["/bin/sh", "-c", FILL]).map(drop)
}

fn make_room(machine: &Machine) -> Result<()> {
    machine.run(&["rm", "-f", "/var/lib/postgresql/15/main/ballast"]).map(drop)
}

/// Orders a switchover that must be refused without a plan; returns what was said.
#[track_caller]
fn refused(stage: &Stage) -> Result<String> {
    let ordered = stage.switch_over("unfit")?;
    stage.assert_ended(&ordered, REFUSED)?;
    stage.stays_master("node-a", Duration::from_secs(1))?;
    Ok(format!("{}{}", ordered.stdout, ordered.stderr))
}

fn whole(stage: &Stage) -> Result<()> {
    stage.wait_status("the pair to be protected", REJOINED, |status| {
        status["protected"] == true && status["plan"].is_null()
    })
}

/// Like [`whole`], by what the status advises: a slave whose database falls for want of room a
/// second time within the policy's window is told, and waits for the person who made room.
fn whole_by_advice(stage: &Stage) -> Result<()> {
    wait_for("the pair to be protected", REJOINED, || {
        let status = stage.status().map_err(|error| error.to_string())?;
        let waits = status["plan"].is_null() && status["cause"] == "slave-down";
        let advice = status["advice"].as_str().unwrap_or_default();
        if waits && advice.contains("`repair`") {
            // Refused if the daemon has just begun to start it by itself, which is as good.
            stage.ask(&["repair", "--yes"]).map_err(|error| error.to_string())?;
        }
        match status["protected"] == true && status["plan"].is_null() {
            true => Ok(()),
            false => Err(status.to_string()),
        }
    })
}
