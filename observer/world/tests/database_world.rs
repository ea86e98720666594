//! Eyes and hands at real PostgreSQL servers, through a real sshd: queries, ports from both
//! vantages, the heartbeat with its epoch, and the proofs of a failover.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it")]

mod support;

use std::time::{Duration, Instant};

use observer_core::drive::{Answer, Reply};
use observer_core::plan::{Effect, Proof};
use observer_core::sighting::{DatabaseBusy, DatabaseReport, Look, Seen, Silent, Vantage};
use observer_core::words::{Epoch, Lsn, Timeline};
use observer_world::access::{Connection, HttpProbe};
use observer_world::pair_world::PairWorld;
use support::cluster::Cluster;
use support::pair::{PATIENCE, databases, host, host_of, name, order, prove, proven, shown};
use support::sshd::Sshd;
use support::{free_port, wait_until};

fn database(of: &str) -> Look {
    Look::Database(name(of))
}

fn write(of: &str) -> Look {
    Look::Write(name(of))
}

fn port(of: &str, from: Vantage) -> Look {
    Look::Port { host: name(of), from }
}

async fn look(world: &PairWorld, look: &Look) -> Result<Seen, Silent> {
    world.look(look, PATIENCE).await
}

async fn report(world: &PairWorld, of: &str) -> DatabaseReport {
    match look(world, &database(of)).await {
        Ok(Seen::Database(report)) => report,
        seen => panic!("{seen:?}"),
    }
}

/// A primary and its standby, both running.
fn pair() -> (Sshd, Cluster, Cluster, PairWorld) {
    let sshd = Sshd::start();
    let primary = Cluster::start();
    primary.sql("grant execute on function pg_promote(boolean, integer) to ha_observer");
    let mut standby = Cluster::copy_of(&primary, &[]);
    standby.run();
    let hosts = (host_of(&sshd, "node-a", &primary), host_of(&sshd, "node-b", &standby));
    let world = databases(hosts.0, hosts.1);
    (sshd, primary, standby, world)
}

#[tokio::test]
async fn a_failover_is_looked_at_performed_and_proven() {
    let (_sshd, mut primary, _standby, world) = pair();
    let written = look(&world, &write("node-a")).await;
    assert!(matches!(written, Ok(Seen::Written { .. })), "{written:?}");
    let master = report(&world, "node-a").await;
    assert!(!master.in_recovery && master.walreceiver.is_none());
    assert_eq!(master.replayed, master.lsn);
    let began = Instant::now();
    let slave = loop {
        let slave = report(&world, "node-b").await;
        if slave.walreceiver.is_some() && slave.lsn >= master.lsn {
            break slave;
        }
        assert!(began.elapsed() < PATIENCE, "{slave:?}");
    };
    assert!(slave.in_recovery && slave.system_id == master.system_id);

    primary.kill();
    let promote = Proof::IsPrimary { host: name("node-b"), after: Timeline(1) };
    assert!(matches!(prove(&world, &promote).await, Answer::NotYet(_)));
    let within = |reached: u64, budget_bytes| {
        let (host, reached) = (name("node-b"), Lsn(reached));
        Proof::LossWithin { host, reached, budget_bytes }
    };
    shown(&prove(&world, &within(master.lsn.0, 0)).await);
    shown(&prove(&world, &within(master.lsn.0 + 5_000, 10_000_000)).await);
    let beyond = prove(&world, &within(master.lsn.0 + 50_000_000, 1_000)).await;
    assert!(matches!(&beyond, Answer::NotYet(text) if text.contains("MiB")), "{beyond:?}");
    proven(&world, Proof::ReplayedAll { host: name("node-b") }).await;

    let order = order(2, Effect::Promote { host: name("node-b") });
    assert_eq!(world.perform(&order).await, Reply::Did);
    proven(&world, promote).await;
    assert_eq!(world.perform(&order).await, Reply::Did, "a second time changes nothing");
    let can_write = Proof::CanWrite { host: name("node-b") };
    shown(&world.prove(&can_write, Epoch(2), PATIENCE).await);
    assert_eq!(report(&world, "node-b").await.timeline, Timeline(2));
}

/// The row knows the epoch that a restarted observer has forgotten, and an older plan is late.
#[tokio::test]
async fn the_heartbeat_remembers_the_epoch() {
    let sshd = Sshd::start();
    let cluster = Cluster::start();
    let world =
        || databases(host_of(&sshd, "node-a", &cluster), host(&sshd, "node-b", "127.0.0.12"));
    let before = world();
    let can_write = Proof::CanWrite { host: name("node-a") };
    shown(&before.prove(&can_write, Epoch(5), PATIENCE).await);

    let restarted = world();
    assert_eq!(restarted.epoch(), Epoch(0));
    let written = look(&restarted, &write("node-a")).await;
    assert!(matches!(written, Ok(Seen::Written { .. })), "{written:?}");
    assert_eq!(restarted.epoch(), Epoch(5));
    let late = restarted.perform(&order(4, Effect::Promote { host: name("node-a") })).await;
    assert!(matches!(&late, Reply::Refused(why) if why.contains("epoch 5")), "{late:?}");
    let stale = restarted.prove(&can_write, Epoch(4), PATIENCE).await;
    assert!(matches!(stale, Answer::NotYet(_)), "{stale:?}");
}

/// An administrator's stop says farewell to open sessions; that is the look's answer, once.
#[tokio::test]
async fn a_stop_by_order_is_told_from_a_crash() {
    let sshd = Sshd::start();
    let mut cluster = Cluster::start();
    let world = databases(host_of(&sshd, "node-a", &cluster), host(&sshd, "node-b", "127.0.0.12"));
    let mut alarms = world.alarms();
    report(&world, "node-a").await;
    cluster.stop();
    let alarm = tokio::time::timeout(PATIENCE, alarms.recv()).await.unwrap().unwrap();
    assert_eq!((alarm.host.as_str(), alarm.connection), ("node-a", Connection::Database));
    let stopping = Ok(Seen::DatabaseBusy(DatabaseBusy::ShuttingDown));
    assert_eq!(look(&world, &database("node-a")).await, stopping);
    assert_eq!(look(&world, &database("node-a")).await, Ok(Seen::Refused));

    cluster.run();
    report(&world, "node-a").await;
    cluster.kill();
    assert_eq!(look(&world, &database("node-a")).await, Ok(Seen::Refused), "no word of farewell");
}

#[tokio::test]
async fn the_port_is_seen_from_here_and_from_the_other_host() {
    let sshd = Sshd::start();
    let mut cluster = Cluster::start();
    let world = databases(host_of(&sshd, "node-a", &cluster), host(&sshd, "node-b", "127.0.0.12"));
    for from in [Vantage::Observer, Vantage::Host(name("node-b"))] {
        assert_eq!(look(&world, &port("node-a", from)).await, Ok(Seen::PortOpen));
    }
    cluster.stop();
    for from in [Vantage::Observer, Vantage::Host(name("node-b"))] {
        assert_eq!(look(&world, &port("node-a", from)).await, Ok(Seen::Refused));
    }
}

/// What accepts and says nothing is silence, from either vantage, and never longer than asked.
#[tokio::test]
async fn a_port_that_hangs_is_silence() {
    let sshd = Sshd::start();
    let hung = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut a = host(&sshd, "node-a", "127.0.0.1");
    a.database.port = hung.local_addr().unwrap().port();
    let world = databases(a, host(&sshd, "node-b", "127.0.0.12"));
    let deadline = Duration::from_millis(500);
    // The connection that a look goes through is up before it is timed.
    let _ = look(&world, &Look::Machine(name("node-b"))).await;
    for from in [Vantage::Observer, Vantage::Host(name("node-b"))] {
        let began = Instant::now();
        let seen = world.look(&port("node-a", from), deadline).await;
        assert_eq!(seen, Err(Silent::Timeout));
        assert!(began.elapsed() < deadline + Duration::from_millis(500));
    }
}

/// Sessions of other clients, ended with the test.
struct Crowd(Vec<std::process::Child>);

impl Crowd {
    fn of(size: usize, cluster: &Cluster) -> Self {
        let client = || {
            let mut psql = cluster.psql("ha_observer", "select pg_sleep(300)");
            psql.args(["-U", "ha_observer"]).stderr(std::process::Stdio::null()).spawn().unwrap()
        };
        let mut crowd = Self((0..size).map(|_| client()).collect());
        wait_until("the crowd is in", PATIENCE, || {
            // Whoever counts takes a place, too, and may have kept one of the crowd out.
            for member in &mut crowd.0 {
                if member.try_wait().unwrap().is_some() {
                    *member = client();
                }
            }
            let sleeping = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
            cluster.sql(sleeping) == size.to_string()
        });
        crowd
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for client in &mut self.0 {
            let _ = client.kill();
            let _ = client.wait();
        }
    }
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_alive() {
    let sshd = Sshd::start();
    let cluster = Cluster::start_with("max_connections = 4\nsuperuser_reserved_connections = 1");
    let world = databases(host_of(&sshd, "node-a", &cluster), host(&sshd, "node-b", "127.0.0.12"));
    // Our own session was there first, and answers although no other can be opened.
    report(&world, "node-a").await;
    let _crowd = Crowd::of(2, &cluster);
    report(&world, "node-a").await;
    let seen = look(&world, &write("node-a")).await;
    assert!(
        matches!(&seen, Err(Silent::Denied(text)) if text.contains("no connection left")),
        "{seen:?}"
    );
    assert_eq!(look(&world, &port("node-a", Vantage::Observer)).await, Ok(Seen::PortOpen));
}

#[tokio::test]
async fn the_application_is_asked_over_http_from_both_vantages() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let sshd = Sshd::start();
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut a = host(&sshd, "node-a", "127.0.0.1");
    let probe = HttpProbe {
        address: "127.0.0.1".to_owned(),
        port: server.local_addr().unwrap().port(),
        path: "/healthcheck".to_owned(),
        host_header: None,
        status: 200,
    };
    a.application = Some(probe.clone());
    let mut b = host(&sshd, "node-b", "127.0.0.12");
    b.application = Some(HttpProbe { port: free_port(), ..probe });
    let world = databases(a, b);
    tokio::spawn(async move {
        let mut turn = 0;
        while let Ok((mut stream, _)) = server.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let answer = match turn / 2 {
                0 => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                1 => "HTTP/1.1 503 Ill\r\ncontent-length: 9\r\n\r\ndisk\x1b[2J\n",
                _ => "SSH-2.0-odd\r\n",
            };
            let _ = stream.write_all(answer.as_bytes()).await;
            turn += 1;
        }
    });
    let application = |of: &str, from| Look::Application { host: name(of), from };
    let vantages = || [Vantage::Observer, Vantage::Host(name("node-b"))];
    for from in vantages() {
        assert_eq!(look(&world, &application("node-a", from)).await, Ok(Seen::ApplicationWell));
    }
    for from in vantages() {
        let seen = look(&world, &application("node-a", from)).await;
        let text = "status 503: disk [2J".to_owned();
        assert_eq!(seen, Ok(Seen::ApplicationIll(text)));
    }
    for from in vantages() {
        let seen = look(&world, &application("node-a", from)).await;
        assert!(matches!(seen, Ok(Seen::ApplicationIll(_))), "{seen:?}");
    }
    for from in [Vantage::Observer, Vantage::Host(name("node-a"))] {
        assert_eq!(look(&world, &application("node-b", from)).await, Ok(Seen::Refused));
    }
}

/// A host that lets nobody in: its machine refuses, and what lies behind it is not known.
#[tokio::test]
async fn nothing_is_known_behind_an_ssh_that_is_down() {
    let mut sshd = Sshd::start();
    let cluster = Cluster::start();
    let world = databases(host_of(&sshd, "node-a", &cluster), host(&sshd, "node-b", "127.0.0.12"));
    report(&world, "node-a").await;
    sshd.stop();
    let began = Instant::now();
    loop {
        // The death of the connection itself may still be on its way to us.
        match look(&world, &Look::Machine(name("node-a"))).await {
            Ok(Seen::Refused) => break,
            seen => assert!(began.elapsed() < PATIENCE, "{seen:?}"),
        }
    }
    for behind in
        [database("node-a"), write("node-a"), port("node-a", Vantage::Host(name("node-b")))]
    {
        assert_eq!(look(&world, &behind).await, Err(Silent::NoWay), "{behind}");
    }
    assert_eq!(look(&world, &port("node-a", Vantage::Observer)).await, Ok(Seen::PortOpen));
    let stopped = Proof::DatabaseStopped { host: name("node-a") };
    assert!(matches!(prove(&world, &stopped).await, Answer::Unknown(_)));
    let reply = world.perform(&order(1, Effect::Promote { host: name("node-a") })).await;
    assert!(matches!(reply, Reply::Refused(_)), "{reply:?}");
}

#[tokio::test]
async fn a_changed_host_key_stops_every_look_with_both_fingerprints() {
    let mut sshd = Sshd::start();
    let world = databases(host(&sshd, "node-a", "127.0.0.11"), host(&sshd, "node-b", "127.0.0.12"));
    let pinned = sshd.host_key().fingerprint();
    sshd.change_host_key();
    let offered = sshd.host_key().fingerprint();
    let stop = Err(Silent::HostKeyChanged { pinned, offered });
    assert_eq!(look(&world, &Look::Machine(name("node-a"))).await, stop);
    assert_eq!(look(&world, &database("node-a")).await, stop);
    assert_eq!(look(&world, &port("node-b", Vantage::Host(name("node-a")))).await, stop);
}
