//! A real PostgreSQL behind a real sshd: what it says about itself, and what we order.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it")]

mod support;

use std::time::{Duration, Instant};

use observer_world::postgres::{
    Database, DatabaseTarget, Door, Failure, Look, Replay, StartupAnswer, startup_probe,
};
use support::cluster::{Cluster, ROLE};
use support::run;
use support::sshd::Sshd;

/// Generous: a busy test machine must not turn a pass into a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// Looks until `done`, and gives back the look that was.
async fn look_until(what: &str, database: &Database, done: impl Fn(&Look) -> bool) -> Look {
    let began = Instant::now();
    loop {
        let look = database.look(PATIENCE).await.unwrap();
        if done(&look) {
            return look;
        }
        assert!(began.elapsed() < PATIENCE, "still waiting for {what}: {look:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn replay_until(what: &str, database: &Database, done: impl Fn(Replay) -> bool) {
    let began = Instant::now();
    loop {
        let replay = database.replay(PATIENCE).await.unwrap();
        if done(replay) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "still waiting for {what}: {replay:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The whole life of a pair as the observer's role sees it, with `pg_monitor` and one grant.
#[tokio::test]
async fn a_pair_is_seen_and_its_standby_promoted() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let primary = Cluster::start();
    primary.sql("grant execute on function pg_promote(boolean, integer) to ha_observer");
    let mut standby = Cluster::copy_of(&primary, &["-C", "-S", "node_b"]);
    standby.run();
    let (near, far) = (primary.database(&ssh), standby.database(&ssh));

    let look = look_until("streaming", &near, |look| {
        let streams = |state: &Option<String>| state.as_deref() == Some("streaming");
        look.standbys.iter().any(|one| streams(&one.state) && one.flushed_lsn.is_some())
    });
    let look = look.await;
    assert!(!look.in_recovery);
    assert_eq!(look.timeline, 1);
    assert!(look.version >= 130_000 && look.started_at_ms > 1_600_000_000_000);
    assert!(look.flushed_lsn.unwrap() > 0 && look.written_lsn >= look.flushed_lsn);
    assert_eq!((look.received_lsn, look.replayed_lsn, look.replay_paused), (None, None, None));
    assert_eq!(look.walreceiver, None);
    assert_eq!(look.slots.len(), 1);
    assert!(look.slots[0].name == "node_b" && look.slots[0].active);
    assert_eq!(look.standbys[0].sync_state.as_deref(), Some("async"));
    assert!(look.standbys[0].flushed_lsn.unwrap() > 0);

    assert_eq!(near.heartbeat_seen(PATIENCE).await, Ok(None));
    let beat = near.heartbeat(1, "node-a", PATIENCE).await.unwrap();
    assert!(beat.number == 1 && beat.latency < PATIENCE);
    assert_eq!(near.heartbeat(2, "node-a", PATIENCE).await.unwrap().number, 2);
    let stale = near.heartbeat(1, "node-b", PATIENCE).await;
    assert_eq!(stale, Err(Failure::StaleEpoch { ours: 1, newer: 2 }));

    let flushed = near.look(PATIENCE).await.unwrap().flushed_lsn.unwrap();
    let seen = look_until("replay", &far, |look| look.replayed_lsn.unwrap() >= flushed).await;
    assert!(seen.in_recovery && seen.timeline == 1 && seen.replay_paused == Some(false));
    assert_eq!(seen.system_identifier, look.system_identifier);
    assert!(seen.received_lsn >= seen.replayed_lsn);
    assert!(seen.replayed_commit_age_ms.unwrap() < 20_000);
    let receiver = seen.walreceiver.unwrap();
    assert_eq!(receiver.status, "streaming");
    assert_eq!(receiver.slot.as_deref(), Some("node_b"));
    assert!(receiver.last_message_age_ms.unwrap() < 20_000);
    assert!(far.replay_caught_up(PATIENCE).await.unwrap());
    let beat = far.heartbeat_seen(PATIENCE).await.unwrap().unwrap();
    assert_eq!((beat.epoch, beat.host.as_str(), beat.number), (2, "node-a", 2));
    assert_eq!(far.heartbeat(3, "node-b", PATIENCE).await, Err(Failure::ReadOnly));

    far.promote(PATIENCE).await.unwrap();
    let promoted = look_until("promotion", &far, |look| !look.in_recovery).await;
    assert_eq!(promoted.timeline, 2);
    assert!(promoted.written_lsn.unwrap() >= flushed);
    assert_eq!(far.heartbeat(3, "node-b", PATIENCE).await.unwrap().number, 3);
    assert_eq!(far.promote(PATIENCE).await, Err(Failure::NotInRecovery));
    assert_eq!(far.replay(PATIENCE).await, Err(Failure::NotInRecovery));
}

/// A standby that follows a promotion knows its new timeline before any restart point.
#[tokio::test]
async fn a_standby_of_a_promoted_server_knows_the_new_timeline() {
    let sshd = Sshd::start();
    let primary = Cluster::start();
    let mut middle = Cluster::copy_of(&primary, &[]);
    middle.run();
    let mut last = Cluster::copy_of(&middle, &[]);
    last.run();
    middle.sql("select pg_promote()");
    let database = last.database(&sshd.ssh());
    let seen = look_until("timeline 2", &database, |look| look.timeline == 2).await;
    assert!(seen.in_recovery);
    assert!(database.replay(PATIENCE).await.unwrap().fed);

    // It knows it still when the server that it follows is gone, however far its control file is.
    last.sql("alter system set wal_retrieve_retry_interval = '1h'");
    last.sql("select pg_reload_conf()");
    middle.kill();
    let alone = look_until("no walreceiver", &database, |look| look.walreceiver.is_none()).await;
    let control = last.sql(
        "select greatest(timeline_id, min_recovery_end_timeline)
         from pg_control_checkpoint(), pg_control_recovery()",
    );
    assert_eq!((alone.timeline, control.trim()), (2, "1"));
    replay_until("starving", &database, |replay| !replay.fed && replay.starved).await;
    last.sql("alter system set restore_command = 'false'");
    last.sql("select pg_reload_conf()");
    replay_until("an archive that may bring more", &database, |replay| replay.fed).await;
}

#[tokio::test]
async fn privileges_and_logins_that_lack_are_named() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let cluster = Cluster::start_with("max_connections = 5\nsuperuser_reserved_connections = 3");
    let database = cluster.database(&ssh);
    assert!(matches!(database.promote(PATIENCE).await, Err(Failure::Forbidden(_))));

    let stranger = cluster.database_for(&ssh, "nobody");
    assert!(matches!(stranger.look(PATIENCE).await, Err(Failure::AuthRejected(_))));

    let second = cluster.database(&ssh);
    second.look(PATIENCE).await.unwrap();
    let full = cluster.database(&ssh).look(PATIENCE).await.unwrap_err();
    assert!(matches!(full, Failure::TooManyConnections(_)), "{full}");
    assert!(full.is_alive());
    assert_eq!(database.knock(PATIENCE).await, Ok(StartupAnswer::Accepting));
}

/// A write that waits for a lock is silent; the look beside it still answers.
#[tokio::test]
async fn a_blocked_write_does_not_block_the_look() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let cluster = Cluster::start();
    let database = cluster.database(&ssh);
    database.heartbeat(1, "node-a", PATIENCE).await.unwrap();
    let lock = "begin; lock ha_observer.heartbeat; select pg_sleep(20)";
    let mut blocker = cluster.psql("ha_observer", lock).spawn().unwrap();
    let held = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted
        and relation = 'ha_observer.heartbeat'::regclass";
    support::wait_until("the lock", PATIENCE, || cluster.sql(held) == "1");

    let after = Duration::from_millis(300);
    assert_eq!(database.heartbeat(1, "node-a", after).await, Err(Failure::Silent { after }));
    database.look(PATIENCE).await.unwrap();
    assert_eq!(*database.broken().borrow(), 0);

    blocker.kill().unwrap();
    blocker.wait().unwrap();
    let end =
        "select pg_terminate_backend(pid) from pg_stat_activity where query like 'begin; lock%'";
    cluster.sql(end);
    assert!(database.heartbeat(1, "node-a", PATIENCE).await.unwrap().number >= 2);
}

/// What a trigger raises stands for the server's own errors on a full disk: same code, same wire.
#[tokio::test]
async fn a_full_disk_and_unknown_errors_are_told_apart() {
    let sshd = Sshd::start();
    let cluster = Cluster::start();
    let database = cluster.database(&sshd.ssh());
    database.heartbeat(1, "node-a", PATIENCE).await.unwrap();
    assert_eq!(database.grow(PATIENCE).await, Ok(()), "there is room");
    assert_eq!(database.grow(PATIENCE).await, Ok(()), "nothing is left of the first");
    let raise = |code: &str| {
        cluster.sql(&format!(
            "create or replace function fail() returns trigger language plpgsql as
             $$ begin raise exception using errcode = '{code}', message = E'no\\nway'; end $$;
             create or replace trigger fail before insert on ha_observer.heartbeat
             for each row execute function fail()"
        ));
    };
    raise("53100");
    let failure = database.heartbeat(1, "node-a", PATIENCE).await.unwrap_err();
    assert_eq!(failure, Failure::DiskFull("no way".to_owned()));
    assert!(failure.is_alive());
    raise("XX001");
    let failure = database.heartbeat(1, "node-a", PATIENCE).await.unwrap_err();
    let expected = Failure::Other { sqlstate: "XX001".to_owned(), text: "no way".to_owned() };
    assert_eq!(failure, expected);
}

/// The probe without a login works over the other host's TCP and leaves no trace in the log.
#[tokio::test]
async fn the_startup_probe_sees_a_server_and_leaves_no_trace() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let cluster = Cluster::start();
    let hba = cluster.data().join("pg_hba.conf");
    std::fs::write(&hba, "local all postgres trust\nhost all all all scram-sha-256\n").unwrap();
    run(&mut cluster.psql("postgres", "select pg_reload_conf()"));
    let reloaded = "reloading configuration files";
    support::wait_until(reloaded, PATIENCE, || cluster.log().contains(reloaded));
    let before = cluster.log();

    let stream = ssh.open_tcp("127.0.0.1", cluster.port, PATIENCE).await.unwrap();
    let answer = startup_probe(stream, ROLE, "ha_observer", PATIENCE).await;
    assert_eq!(answer, StartupAnswer::Accepting);
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", cluster.port)).await.unwrap();
    let answer = startup_probe(stream, ROLE, "ha_observer", PATIENCE).await;
    assert_eq!(answer, StartupAnswer::Accepting);
    let through_port = Database::new(DatabaseTarget {
        door: Door::Port { ssh, address: "127.0.0.1".to_owned(), port: cluster.port },
        user: ROLE.to_owned(),
        database: "ha_observer".to_owned(),
    });
    assert_eq!(through_port.knock(PATIENCE).await, Ok(StartupAnswer::Accepting));
    let began = Instant::now();
    while cluster.sql("select count(*) from pg_stat_activity where usename = 'ha_observer'") != "0"
    {
        assert!(began.elapsed() < PATIENCE);
    }
    assert_eq!(cluster.log(), before);
}

/// Looks that fall into the very moment of a promotion see one role or the other, and no error.
#[tokio::test]
async fn a_look_in_the_middle_of_a_promotion_is_whole() {
    let sshd = Sshd::start();
    let primary = Cluster::start();
    let mut standby = Cluster::copy_of(&primary, &[]);
    standby.run();
    let database = standby.database(&sshd.ssh());
    database.look(PATIENCE).await.unwrap();
    standby.sql("select pg_promote(false)");
    let look = look_until("promotion", &database, |look| {
        assert_eq!(look.in_recovery, look.written_lsn.is_none(), "{look:?}");
        !look.in_recovery
    });
    assert_eq!(look.await.timeline, 2);
}

/// What a validation reads of a pair, with no more than `pg_monitor`: the slot, the role of the
/// standby without its password, what is open, what is unlogged, and the right that is missing.
#[tokio::test]
async fn a_pair_is_surveyed() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let primary = Cluster::start_with("max_prepared_transactions = 2\narchive_mode = off");
    primary.sql("create unlogged table scratch (id int)");
    let mut standby = Cluster::copy_of(&primary, &["-C", "-S", "node_b"]);
    standby.configure("");
    // Where the copy says whom it follows; what comes last there is in force.
    let auto = standby.data().join("postgresql.auto.conf");
    let before = std::fs::read_to_string(&auto).unwrap();
    let follows = "primary_conninfo = 'user=repl password=secret host=127.0.0.1 port=1'\n";
    std::fs::write(&auto, before + follows).unwrap();
    standby.run();
    let near = primary.database(&ssh).survey(PATIENCE).await.unwrap();
    let far = standby.database(&ssh).survey(PATIENCE).await.unwrap();

    assert!(!near.in_recovery && far.in_recovery);
    assert_eq!(near.system_identifier, far.system_identifier);
    assert_eq!((near.timeline, far.timeline), (1, 1));
    assert_eq!(near.slots.len(), 1);
    assert_eq!(near.settings["max_prepared_transactions"], "2");
    assert_eq!(far.settings["primary_slot_name"], "node_b");
    assert_eq!(far.replication_user.as_deref(), Some("repl"));
    assert!(!format!("{far:?}").contains("secret"), "a password stays where it is");
    assert_eq!(near.archiving, None);
    assert_eq!(near.wal_bytes_per_second, None, "too young to say anything");
    let missing = [
        "grant execute on function pg_promote(boolean, integer) to ha_observer",
        "alter role ha_observer replication",
        "grant pg_checkpoint to ha_observer",
    ];
    assert_eq!(near.missing_rights, missing);
    assert!(far.available_extensions.iter().any(|one| one.starts_with("plpgsql ")), "{far:?}");
    assert_eq!(near.databases, ["ha_observer", "postgres"]);

    let contents = primary.database(&ssh).contents("ha_observer", PATIENCE).await.unwrap();
    assert_eq!(contents.unlogged, Ok(vec!["public.scratch".to_owned()]));
    assert!(primary.database(&ssh).contents("nosuch", PATIENCE).await.is_err());
}
