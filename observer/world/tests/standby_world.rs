//! The hands of a switchover and of a rejoin at real PostgreSQL servers: checkpoints, slots, the
//! files of a standby, and the proof that it holds all that its master had.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use observer_core::drive::{Answer, Reply};
use observer_core::plan::{Effect, Proof};
use observer_world::access::HostAccess;
use observer_world::pair_world::PairWorld;
use support::cluster::Cluster;
use support::pair::{databases, host_of, name, perform, prove, proven, shown};
use support::sshd::Sshd;
use support::wait_until;

/// A host whose role may do what the instructions grant.
fn member(sshd: &Sshd, name: &str, cluster: &Cluster) -> HostAccess {
    let mut host = host_of(sshd, name, cluster);
    host.database.replication_user = "postgres".to_owned();
    host
}

fn pair() -> (Sshd, Cluster, Cluster, PairWorld) {
    let sshd = Sshd::start();
    let primary = Cluster::start();
    primary.sql("alter role ha_observer replication");
    primary.sql("grant pg_checkpoint to ha_observer");
    let standby = Cluster::copy_of(&primary, &[]);
    let hosts = (member(&sshd, "node-a", &primary), member(&sshd, "node-b", &standby));
    let world = databases(hosts.0, hosts.1);
    (sshd, primary, standby, world)
}

fn follow() -> Effect {
    Effect::Follow { host: name("node-b"), upstream: name("node-a") }
}

fn follows() -> Proof {
    Proof::Follows { host: name("node-b"), upstream: name("node-a") }
}

fn make_slot() -> Effect {
    Effect::MakeSlot { host: name("node-a"), follower: name("node-b") }
}

/// A standby is made by its files alone: it streams under its name, through its slot, and when its
/// master is shut down it proves to hold the end of it.
#[tokio::test]
async fn a_standby_follows_streams_and_holds_all() {
    let (_sshd, mut primary, mut standby, world) = pair();
    let settings = standby.data().join("postgresql.auto.conf");
    let others = "work_mem = '8MB'\n# ours\n";
    fs::write(&settings, format!("{others}primary_conninfo = 'host=nowhere'\n")).unwrap();
    fs::remove_file(standby.data().join("standby.signal")).unwrap();
    assert!(matches!(prove(&world, &follows()).await, Answer::NotYet(_)));
    for _ in 0..2 {
        assert_eq!(perform(&world, make_slot()).await, Reply::Did);
        assert_eq!(perform(&world, follow()).await, Reply::Did);
    }
    shown(&prove(&world, &follows()).await);
    let text = fs::read_to_string(&settings).unwrap();
    let port = primary.port;
    let expected = format!(
        "{others}primary_conninfo = 'host=127.0.0.1 port={port} user=postgres \
         application_name=node-b'\nprimary_slot_name = 'node_b'\n"
    );
    assert_eq!(text, expected);
    let meta = fs::metadata(&settings).unwrap();
    let owner = fs::metadata(standby.data()).unwrap().uid();
    assert_eq!((meta.permissions().mode() & 0o777, meta.uid()), (0o600, owner));

    standby.run();
    wait_until("the standby to stream", support::pair::PATIENCE, || {
        let sql = "select count(*) from pg_stat_replication join pg_replication_slots \
            on pid = active_pid where application_name = 'node-b' and slot_name = 'node_b' \
            and state = 'streaming'";
        primary.sql(sql) == "1"
    });
    primary.sql("create table t as select generate_series(1, 100000)");
    let (host, master) = (name("node-b"), name("node-a"));
    proven(&world, Proof::LagWithin { host, master, bytes: 1 << 20 }).await;
    let (host, master) = (name("node-b"), name("node-a"));
    let all = Proof::ReplayedShutdown { host, master };
    let early = prove(&world, &all).await;
    assert!(matches!(&early, Answer::NotYet(why) if why.contains("in production")), "{early:?}");
    primary.stop();
    proven(&world, all).await;
}

#[tokio::test]
async fn a_slot_is_made_and_dropped() {
    let (_sshd, primary, _standby, world) = pair();
    let (host, follower) = (name("node-a"), name("node-b"));
    let stands = Proof::SlotStands { host: host.clone(), follower: follower.clone() };
    let gone = Proof::NoSlot { host: host.clone(), follower: follower.clone() };
    assert!(matches!(prove(&world, &stands).await, Answer::NotYet(_)));
    shown(&prove(&world, &gone).await);
    assert_eq!(perform(&world, make_slot()).await, Reply::Did);
    shown(&prove(&world, &stands).await);
    assert!(matches!(prove(&world, &gone).await, Answer::NotYet(_)));
    let kept = "select restart_lsn is not null from pg_replication_slots";
    assert_eq!(primary.sql(kept), "t", "it keeps the log from the beginning");
    for _ in 0..2 {
        let drop = Effect::DropSlot { host: host.clone(), follower: follower.clone() };
        assert_eq!(perform(&world, drop).await, Reply::Did);
    }
    shown(&prove(&world, &gone).await);
}

#[tokio::test]
async fn a_checkpoint_comes_near_and_settles_the_timeline() {
    let (_sshd, primary, mut standby, world) = pair();
    primary.sql("create table t as select generate_series(1, 100000)");
    let near = Proof::CheckpointNear { host: name("node-a"), bytes: 1 << 20 };
    let far = prove(&world, &near).await;
    assert!(matches!(&far, Answer::NotYet(text) if text.contains("MiB")), "{far:?}");
    assert_eq!(perform(&world, Effect::Checkpoint { host: name("node-a") }).await, Reply::Did);
    shown(&prove(&world, &near).await);
    let settled = Proof::TimelineSettled { host: name("node-a") };
    shown(&prove(&world, &settled).await);
    let near = Proof::CheckpointNear { host: name("node-b"), bytes: 1 };
    shown(&prove(&world, &near).await);
    standby.run();
    shown(&prove(&world, &near).await);
    let settled = Proof::TimelineSettled { host: name("node-b") };
    assert!(matches!(prove(&world, &settled).await, Answer::NotYet(_)));
}

/// A primary is never made a standby while it runs.
#[tokio::test]
async fn a_running_primary_is_left_alone() {
    let (_sshd, primary, _standby, world) = pair();
    let before = fs::read(primary.data().join("postgresql.auto.conf")).unwrap();
    let order = Effect::Follow { host: name("node-a"), upstream: name("node-b") };
    let reply = perform(&world, order).await;
    assert!(matches!(&reply, Reply::Refused(why) if why.contains("primary")), "{reply:?}");
    assert_eq!(fs::read(primary.data().join("postgresql.auto.conf")).unwrap(), before);
    assert!(!primary.data().join("standby.signal").exists());
}
