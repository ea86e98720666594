//! The disk of a real master fills up. Little room is told in time; none is found although the
//! observer's own row can still be rewritten, and users are moved.

use std::time::Duration;

use tests::lab::{POSTGRES_UNIT, Result};
use tests::stage::{OBSERVER_UNIT, ON_RETURN_ASK, Promise, Stage, StageSpec, Told, texts};

const SOON: Duration = Duration::from_secs(60);
const LOAD: Duration = Duration::from_secs(240);
/// The folder above the data directory.
const PLACE: &str = "/var/lib/postgresql/15";

/// Data and log lie on one disk. It is told while there is little room; then there is none at all,
/// and users are moved with everything that was acknowledged.
#[test]
fn no_room_for_data() -> Result<()> {
    let stage = on_small_disk(PLACE, "320m")?;
    let master = stage.lab.machine("node-a");
    master.run(&["sh", "-c", &format!("{FREE}; fill $(($free - 50))"), PLACE])?;
    stage.wait_cause("disk-low", SOON)?;
    let status = stage.status()?;
    assert_eq!((&status["rule"], &status["master"]), (&"U3".into(), &"node-a".into()), "{status}");
    let told = status["hosts"][0]["machine"].to_string();
    assert!(told.contains("free on /var/lib/postgresql"), "{status}");
    assert_eq!(stage.events()?.plans(), 0);

    let (http, sql) = (stage.start_http(LOAD)?, stage.start_sql(LOAD)?);
    stage.wait_written(&http, "node-a")?;
    stage.wait_written(&sql, "node-a")?;
    master.run(&["sh", "-c", &format!("{FREE}; fill $(($free + 100))"), PLACE])?;
    stage.wait_master("node-b", SOON)?;
    stage.wait_written(&http, "node-b")?;
    stage.wait_written(&sql, "node-b")?;
    let events = stage.events()?;
    stage.finish(http, "node-b")?.assert_kept(Promise::LastInFlight);
    stage.finish(sql, "node-b")?.assert_kept(Promise::LastInFlight);
    assert!(events.names_rule("D15"), "{}", texts(&events));
    assert_eq!(events.plans(), 1, "nothing is tried in vain: {}", texts(&events));
    assert_eq!(stage.timeline("node-b")?, 2, "exactly one promotion");
    Ok(())
}

/// Only the log has a disk of its own, which is full: the master commits in the segments that it
/// has, and falls for want of the next one.
#[test]
fn no_room_for_the_log() -> Result<()> {
    let stage = on_small_disk(&format!("{PLACE}/main/pg_wal"), "128m")?;
    let master = stage.lab.machine("node-a");
    let sql = stage.start_sql(LOAD)?;
    stage.wait_written(&sql, "node-a")?;
    let place = format!("{PLACE}/main/pg_wal");
    master.run(&["sh", "-c", &format!("{FREE}; fill $(($free + 100))"), &place])?;
    // More log than all the segments there are can hold.
    let much = "create table much as select repeat(i::text, 100) from generate_series(1, 500000) i";
    let _ = master.sql("desk", much);
    stage.wait_master("node-b", SOON)?;
    stage.wait_written(&sql, "node-b")?;
    stage.finish(sql, "node-b")?.assert_kept(Promise::LastInFlight);
    assert_eq!(stage.timeline("node-b")?, 2, "exactly one promotion");
    Ok(())
}

/// Says how many MiB are free, and makes a file of so many, or of as many as there is room for.
const FREE: &str = "free=$(df -BM --output=avail \"$0\" | tail -1 | tr -dc 0-9)
    fill() { dd if=/dev/zero of=\"$0/filler-$1\" bs=1M count=$1 2>/dev/null; true; }";

/// A pair whose master has `place` on a file system of its own of this size.
fn on_small_disk(place: &str, size: &str) -> Result<Stage> {
    let policy = vec![ON_RETURN_ASK, ("disk_low", "\"64MiB\""), ("disk_low_time", "\"0s\"")];
    let stage = Stage::set(&StageSpec { policy, ..StageSpec::standard() })?;
    let master = stage.lab.machine("node-a");
    stage.observer().run(&["systemctl", "stop", OBSERVER_UNIT])?;
    master.sql("postgres", "alter system set wal_keep_size = 0")?;
    master.run(&["systemctl", "stop", POSTGRES_UNIT])?;
    let script = "set -e; mv \"$0\" \"$0.was\"; mkdir \"$0\"
        mount -t tmpfs -o size=$1,mode=700 tmpfs \"$0\"; cp -a \"$0.was/.\" \"$0/\"
        chown postgres:postgres \"$0\"";
    master.run(&["sh", "-c", script, place, size])?;
    master.run(&["systemctl", "start", POSTGRES_UNIT])?;
    stage.start_observer()?;
    stage.wait_protected()?;
    Ok(stage)
}
