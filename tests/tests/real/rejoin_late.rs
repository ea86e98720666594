//! A replaced master that comes back late, on real machines: the new one has written many segments
//! of log since, with checkpoints between them, and has even changed its timeline once more.
//!
//! Hours of writing are not played: what they do to a rejoin is to push the place where the
//! histories parted out of the log that is kept, and that is played. Ten minutes are, by name.

use std::time::Duration;

use tests::lab::{LabSpec, POSTGRES_UNIT, Result, Turn};
use tests::stage::{OBSERVER_UNIT, ON_RETURN_ASK, Promise, Stage, StageSpec, texts};

const SOON: Duration = Duration::from_secs(60);
/// What streams from a log that is gone is only found out after the deadline of its start.
const REJOINED: Duration = Duration::from_secs(240);
const LOAD: Duration = Duration::from_secs(400);
const DATA: &str = "/var/lib/postgresql/15/main";
const WRITE_SEGMENT: &str = "select pg_logical_emit_message(false, 'late', repeat('x', 15 << 20))";

/// The log since the parting is still there: it is rewound over two changes of timeline. Then the
/// roles are the other way round and the log since the parting is gone on the new master: a rewind
/// would not help, and the host is cloned.
#[test]
fn rewound_while_the_log_is_there_and_else_cloned() -> Result<()> {
    let policy = vec![ON_RETURN_ASK];
    let stage = Stage::set(&StageSpec { policy, ..StageSpec::standard() })?;
    let sql = stage.start_sql(LOAD)?;
    stage.wait_written(&sql, "node-a")?;
    stage.lab.machine("node-a").power_loss()?;
    stage.wait_master("node-b", SOON)?;
    stage.wait_written(&sql, "node-b")?;
    write_segments(&stage, "node-b", 8)?;
    change_timeline(&stage, "node-b")?;
    write_segments(&stage, "node-b", 2)?;
    stage.wait_written(&sql, "node-b")?;
    let timeline = stage.timeline("node-b")?;
    assert!(timeline > 2, "its timeline changed twice: {timeline}");
    rejoin(&stage, "node-a")?;
    assert!(!was_cloned(&stage, "node-a")?, "{}", texts(&stage.events()?));
    assert_eq!(streaming(&stage, "node-b")?, "node-a|streaming");

    stage.lab.machine("node-b").power_loss()?;
    stage.wait_master("node-a", SOON)?;
    stage.wait_written(&sql, "node-a")?;
    let master = stage.lab.machine("node-a");
    master.sql("postgres", "alter system set wal_keep_size = 0")?;
    master.sql("postgres", "select pg_reload_conf()")?;
    write_segments(&stage, "node-a", 8)?;
    rejoin(&stage, "node-b")?;
    assert!(was_cloned(&stage, "node-b")?, "{}", texts(&stage.events()?));
    assert_eq!(streaming(&stage, "node-a")?, "node-b|streaming");
    stage.wait_written(&sql, "node-a")?;
    stage.finish(sql, "node-a")?.assert_kept(Promise::LastInFlight);
    Ok(())
}

/// Ten minutes by the clock, under load: the server's own checkpoints come and go, and what the
/// observer remembers of the failover is past its windows. The old master rejoins by itself.
#[test]
#[ignore = "takes twelve minutes: run it by name, with --ignored"]
fn after_ten_minutes_it_rejoins_by_itself() -> Result<()> {
    // It mostly waits, and for so long that it must not keep a place from others.
    let lab = LabSpec { turn: Turn::Alongside, ..LabSpec::standard() };
    let stage = Stage::set(&StageSpec { lab, ..StageSpec::standard() })?;
    let users = stage.start_http_at(50, Duration::from_secs(900))?;
    stage.wait_written(&users, "node-a")?;
    stage.lab.machine("node-a").power_loss()?;
    stage.wait_master("node-b", SOON)?;
    std::thread::sleep(Duration::from_secs(600));
    stage.wait_written(&users, "node-b")?;
    stage.lab.machine("node-a").power_on()?;
    stage.wait_status("the pair to be protected again", REJOINED, |status| {
        status["protected"] == true && status["plan"].is_null()
    })?;
    assert_eq!(streaming(&stage, "node-b")?, "node-a|streaming");
    assert!(!was_cloned(&stage, "node-a")?, "{}", texts(&stage.events()?));
    stage.wait_written(&users, "node-b")?;
    stage.finish(users, "node-b")?.assert_kept(Promise::LastInFlight);
    Ok(())
}

/// So many segments of log, with a checkpoint after each, so that what is not kept is recycled.
fn write_segments(stage: &Stage, host: &str, count: u32) -> Result<()> {
    let machine = stage.lab.machine(host);
    for _ in 0..count {
        machine.sql("postgres", WRITE_SEGMENT)?;
        machine.sql("postgres", "select pg_switch_wal()")?;
        machine.sql("postgres", "checkpoint")?;
    }
    Ok(())
}

/// Restarts the master through recovery by hand, as a restore from a backup would.
fn change_timeline(stage: &Stage, host: &str) -> Result<()> {
    const CHANGE: &str = "set -eu
        systemctl stop \"$1\"
        runuser -u postgres -- touch \"$2/standby.signal\"
        systemctl start \"$1\"
        runuser -u postgres -- psql -Xq -c 'select pg_promote()'
        runuser -u postgres -- psql -Xq -c checkpoint";
    stage.observer().run(&["systemctl", "stop", OBSERVER_UNIT])?;
    let words = ["/bin/sh", "-c", CHANGE, "change", POSTGRES_UNIT, DATA];
    stage.lab.machine(host).run(&words)?;
    stage.start_observer()
}

/// Powers the host on and orders its rejoin.
fn rejoin(stage: &Stage, host: &str) -> Result<()> {
    stage.lab.machine(host).power_on()?;
    tests::lab::wait_for("a rejoin to be taken", SOON, || {
        let words = ["ha-observer", "rejoin", "--yes"];
        let ordered = stage.observer().exec_within(REJOINED, &words);
        let ordered = ordered.map_err(|error| error.to_string())?;
        if ordered.status.success() { Ok(()) } else { Err(ordered.stderr) }
    })?;
    stage.wait_status("the pair to be protected again", REJOINED, |status| {
        status["protected"] == true && status["plan"].is_null()
    })
}

/// A clone leaves the old data beside it.
fn was_cloned(stage: &Stage, host: &str) -> Result<bool> {
    let look = stage.lab.machine(host).exec(&["test", "-d", &format!("{DATA}.ha-observer-old")])?;
    Ok(look.status.success())
}

fn streaming(stage: &Stage, master: &str) -> Result<String> {
    let sql = "select application_name, state from pg_stat_replication";
    stage.lab.machine(master).sql("postgres", sql)
}
