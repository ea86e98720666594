//! Validation on real machines: a healthy pair is ready for everything, and each thing that is
//! broken on purpose is found by its check, with a fix.
//!
//! The breakages follow one another in one lab, each mended before the next; those that take a
//! restart of the slave come together at the end. How each check judges what was read is for the
//! core's own tests.

use std::time::Duration;

use serde_json::Value;
use tests::lab::{POSTGRES_UNIT, Result, SCHEDULER_UNIT, wait_for};
use tests::stage::{OBSERVER_UNIT, Stage};

/// Enough for what was broken to show itself on a busy computer.
const SOON: Duration = Duration::from_secs(30);
/// How `validate` ends when the pair is not ready.
const NOT_READY: i32 = 11;

#[test]
fn what_is_broken_is_found_by_its_check() -> Result<()> {
    let stage = Stage::standard()?;
    healthy(&stage)?;
    sudo_refuses(&stage)?;
    replay_paused(&stage)?;
    long_transaction(&stage)?;
    starts_at_boot(&stage)?;
    rights_and_sequences(&stage)?;
    file_rejected(&stage)?;
    waiting_room_gone(&stage)?;
    reverse_login_refused(&stage)?;
    let paused = ["pause", "--reason", "the rest would be mended by itself"];
    stage.ask(&paused)?.success()?;
    finds(&stage, "observer-free", "desk")?;
    singleton_twice(&stage)?;
    unlogged(&stage)?;
    slot_dropped(&stage)?;
    another_slave(&stage)?;
    nothing_was_changed(&stage)
}

/// A person is told that all is well, in few lines, and a program in JSON.
fn healthy(stage: &Stage) -> Result<()> {
    let strict = stage.ask(&["validate", "--strict", "--all"])?;
    assert_eq!(strict.status.code(), Some(0), "{}{}", strict.stdout, strict.stderr);
    for line in ["switchover:  ready", "failover:    ready", "switch-back: ready"] {
        assert!(strict.stdout.contains(line), "no `{line}` in:\n{}", strict.stdout);
    }
    let report = report(stage)?;
    assert_eq!(report["roles"]["master"], "node-a", "{report}");
    for check in report["checks"].as_array().expect("checks are a list") {
        assert!(check["grade"] == "passed" || check["grade"] == "skipped", "{check}");
    }
    assert!(report["took_ms"].as_u64().is_some_and(|ms| ms > 0), "{report}");
    let list = stage.ask(&["validate", "--list"])?.success()?;
    assert!(list.lines().any(|line| line.starts_with("reverse-login\t")), "{list}");
    Ok(())
}

fn report(stage: &Stage) -> Result<Value> {
    let output = stage.ask(&["validate", "-o", "json"])?;
    Ok(serde_json::from_str(&output.stdout).unwrap_or(Value::Null))
}

/// Waits until the check fails for the subject, with evidence and a fix.
fn finds(stage: &Stage, id: &str, subject: &str) -> Result<()> {
    wait_for(&format!("{id} to be found on {subject}"), SOON, || {
        let report = report(stage).map_err(|error| error.to_string())?;
        let checks = report["checks"].as_array().cloned().unwrap_or_default();
        let own = |check: &&Value| check["id"] == id && check["subject"] == subject;
        let check = checks.iter().find(own).cloned().unwrap_or_default();
        let fix = check["fix"].as_str().unwrap_or_default();
        if check["grade"] == "failed" && !fix.is_empty() {
            return Ok(());
        }
        Err(check.to_string())
    })
}

/// Waits until nothing at all is amiss any more.
fn mended(stage: &Stage) -> Result<()> {
    wait_for("the pair to be ready again", SOON, || {
        let output = stage.ask(&["validate", "--strict"]).map_err(|error| error.to_string())?;
        if output.status.code() == Some(0) { Ok(()) } else { Err(output.stdout) }
    })
}

fn sudo_refuses(stage: &Stage) -> Result<()> {
    let slave = stage.lab.machine("node-b");
    slave.run(&["mv", "/etc/sudoers.d/ha-observer", "/root/kept"])?;
    finds(stage, "host-sudo", "node-b")?;
    let output = stage.ask(&["validate", "--for", "switchover"])?;
    assert_eq!(output.status.code(), Some(NOT_READY), "{}", output.stdout);
    assert!(
        output.stdout.starts_with("switchover:  NOT ready (1 check fails"),
        "{}",
        output.stdout
    );
    assert!(output.stdout.contains("FAILS  host-sudo  node-b"), "{}", output.stdout);
    assert!(!output.stdout.contains("failover:"), "{}", output.stdout);
    assert!(output.stdout.lines().all(|line| line.chars().count() <= 80), "{}", output.stdout);
    slave.run(&["mv", "/root/kept", "/etc/sudoers.d/ha-observer"])?;
    mended(stage)
}

fn replay_paused(stage: &Stage) -> Result<()> {
    stage.lab.machine("node-b").sql("postgres", "select pg_wal_replay_pause()")?;
    finds(stage, "replay-paused", "node-b")?;
    stage.lab.machine("node-b").sql("postgres", "select pg_wal_replay_resume()")?;
    mended(stage)
}

/// It is a warning: the pair is ready, and is not if warnings count.
fn long_transaction(stage: &Stage) -> Result<()> {
    let master = stage.lab.machine("node-a");
    let words = ["runuser", "-u", "postgres", "--", "psql", "-Xq", "-c", "select pg_sleep(600)"];
    let mut sleeper = master.enter()?.args(words).spawn().expect("psql can be started");
    let found = finds(stage, "long-transaction", "node-a");
    let (plain, strict) = (stage.ask(&["validate"]), stage.ask(&["validate", "--strict"]));
    let ended = master.sql(
        "postgres",
        "select pg_terminate_backend(pid) from pg_stat_activity where query like '%sleep(600)%' \
         and pid <> pg_backend_pid()",
    );
    sleeper.wait().expect("it was started here");
    found?;
    ended?;
    let (plain, strict) = (plain?, strict?);
    assert_eq!(plain.status.code(), Some(0), "{}", plain.stdout);
    assert_eq!(strict.status.code(), Some(NOT_READY), "{}", strict.stdout);
    mended(stage)
}

/// Rights that only a rejoin misses, and numbers that end soon.
fn rights_and_sequences(stage: &Stage) -> Result<()> {
    let master = stage.lab.machine("node-a");
    for (take, give) in [
        ("alter role ha_observer noreplication", "alter role ha_observer replication"),
        ("revoke pg_checkpoint from ha_observer", "grant pg_checkpoint to ha_observer"),
    ] {
        master.sql("postgres", take)?;
        finds(stage, "database-rights", "node-a")?;
        master.sql("postgres", give)?;
        mended(stage)?;
    }
    master.sql(
        "desk",
        "create sequence ends_soon maxvalue 100; select setval('ends_soon', 95); \
         grant select on sequence ends_soon to ha_observer",
    )?;
    finds(stage, "sequences", "node-a")?;
    master.sql("desk", "drop sequence ends_soon")?;
    mended(stage)
}

fn starts_at_boot(stage: &Stage) -> Result<()> {
    let slave = stage.lab.machine("node-b");
    slave.run(&["systemctl", "add-wants", "multi-user.target", SCHEDULER_UNIT])?;
    finds(stage, "starts-at-boot", "node-b")?;
    let link = format!("/etc/systemd/system/multi-user.target.wants/{SCHEDULER_UNIT}");
    slave.run(&["rm", &link])?;
    slave.run(&["systemctl", "daemon-reload"])?;
    mended(stage)
}

const HAPROXY_CFG: &str = "/etc/haproxy/haproxy.cfg";

/// Edits haproxy.cfg by hand, looks, and puts the file back.
fn edited(stage: &Stage, script: &str, id: &str) -> Result<()> {
    let proxy = stage.lab.machine("proxy");
    proxy.run(&["cp", "-p", HAPROXY_CFG, "/root/kept"])?;
    proxy.run(&["sed", "-i", script, HAPROXY_CFG])?;
    finds(stage, id, "proxy")?;
    proxy.run(&["cp", "-p", "/root/kept", HAPROXY_CFG])?;
    mended(stage)
}

fn file_rejected(stage: &Stage) -> Result<()> {
    edited(stage, "s/^defaults http$/&\\n    nosuchkeyword/", "proxy-check")
}

fn waiting_room_gone(stage: &Stage) -> Result<()> {
    edited(stage, "/server hold /d", "waiting-room")
}

fn reverse_login_refused(stage: &Stage) -> Result<()> {
    let slave = stage.lab.machine("node-b");
    let file = "/etc/postgresql/15/main/pg_hba.conf";
    slave.run(&["cp", "-p", file, "/root/kept"])?;
    slave.run(&["sed", "-i", "/replicator/d", file])?;
    slave.sql("postgres", "select pg_reload_conf()")?;
    finds(stage, "reverse-login", "node-b")?;
    slave.run(&["cp", "-p", "/root/kept", file])?;
    // One that lets standbys in over TLS only is as good.
    slave.run(&["sed", "-i", "s/^host \\(.*replication.*replicator\\)/hostssl \\1/", file])?;
    assert_eq!(slave.run(&["grep", "-c", "^hostssl", file])?, "1");
    slave.sql("postgres", "select pg_reload_conf()")?;
    mended(stage)?;
    slave.run(&["cp", "-p", "/root/kept", file])?;
    slave.sql("postgres", "select pg_reload_conf()")?;
    mended(stage)
}

fn singleton_twice(stage: &Stage) -> Result<()> {
    let slave = stage.lab.machine("node-b");
    // The real one ends where it cannot write; another that runs on is what does harm.
    let sleeper = b"[Service]\nExecStart=\nExecStart=/bin/sleep 600\n";
    let file = format!("/etc/systemd/system/{SCHEDULER_UNIT}.d/test.conf");
    slave.put_file(&file, sleeper, 0o644, "root:root")?;
    slave.run(&["systemctl", "daemon-reload"])?;
    slave.run(&["systemctl", "start", SCHEDULER_UNIT])?;
    finds(stage, "singletons", "desk")?;
    slave.run(&["systemctl", "stop", SCHEDULER_UNIT])?;
    Ok(())
}

fn unlogged(stage: &Stage) -> Result<()> {
    let master = stage.lab.machine("node-a");
    master.sql("desk", "create unlogged table scratch (id int)")?;
    finds(stage, "unlogged", "node-a")?;
    master.sql("desk", "drop table scratch").map(drop)
}

/// Whoever drops the slot finds out at the next look, not when the slave has fallen off.
fn slot_dropped(stage: &Stage) -> Result<()> {
    let master = stage.lab.machine("node-a");
    // The slave takes its slot again within moments: dropping it is a race.
    master.sql(
        "postgres",
        "do $$ begin for try in 1..200 loop begin \
         perform pg_terminate_backend(active_pid) from pg_replication_slots; \
         perform pg_sleep(0.01); perform pg_drop_replication_slot('node_b'); return; \
         exception when object_in_use then null; end; end loop; \
         raise 'the slot is in use all the time'; end $$",
    )?;
    finds(stage, "slot", "node-b")?;
    finds(stage, "streaming", "node-b")?;
    master.sql("postgres", "select pg_create_physical_replication_slot('node_b')")?;
    wait_for("the slave to stream again", SOON, || {
        let query = "select count(*) from pg_stat_replication where state = 'streaming'";
        let count = master.sql("postgres", query).map_err(|error| error.to_string())?;
        if count == "1" { Ok(()) } else { Err(count) }
    })
}

/// Other limits than the master's, the log on a disk that is nearly full, and an account for the
/// data whose shared memory logind would remove.
const ANOTHER: &str = r#"
set -eu
data=/var/lib/postgresql/15/main
runuser -u postgres -- psql -Xqc 'alter system set max_connections = 150'
systemctl stop "$1"
mkdir /var/lib/postgresql/small
mount -t tmpfs -o size=300m tmpfs /var/lib/postgresql/small
cp -a $data/pg_wal /var/lib/postgresql/small/
rm -rf $data/pg_wal
ln -s /var/lib/postgresql/small/pg_wal $data/pg_wal
usermod -u 3000 postgres
chown -R postgres /var/lib/postgresql /etc/postgresql /var/log/postgresql /run/postgresql
systemctl start "$1"
"#;

fn another_slave(stage: &Stage) -> Result<()> {
    let slave = stage.lab.machine("node-b");
    slave.run(&["/bin/sh", "-c", ANOTHER, "another", POSTGRES_UNIT])?;
    finds(stage, "settings-of-master", "node-b")?;
    finds(stage, "disk-room", "node-b")?;
    finds(stage, "remove-ipc", "node-b")
}

/// It was asked often, and every time it only looked.
fn nothing_was_changed(stage: &Stage) -> Result<()> {
    for event in stage.events()? {
        let kind = event["kind"].as_str().unwrap_or_default();
        assert!(!kind.starts_with("plan") && !kind.starts_with("step"), "{event}");
    }
    let journal = stage.observer().journal(OBSERVER_UNIT)?;
    assert!(!journal.contains("panicked"), "{journal}");
    Ok(())
}
