//! The many ways in which a real PostgreSQL does not answer: dead, frozen, restarting.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it")]

mod support;

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use observer_world::postgres::{Failure, StartupAnswer};
use observer_world::ssh::{Nature, OpenError};
use support::cluster::Cluster;
use support::signal;
use support::sshd::Sshd;

const PATIENCE: Duration = Duration::from_secs(20);

/// Losing the postmaster is heard at once, and the next look is a definite answer.
#[tokio::test]
async fn a_killed_postmaster_raises_the_alarm_and_is_definitely_gone() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let mut cluster = Cluster::start();
    let database = cluster.database(&ssh);
    database.look(PATIENCE).await.unwrap();
    let mut broken = database.broken();
    let watch = tokio::spawn(async move {
        broken.changed().await.unwrap();
        Instant::now()
    });
    let killed = Instant::now();
    tokio::task::spawn_blocking(move || {
        cluster.kill();
        cluster
    })
    .await
    .unwrap();
    let heard = tokio::time::timeout(PATIENCE, watch).await.unwrap().unwrap();
    assert!(heard - killed < Duration::from_secs(2), "heard after {:?}", heard - killed);
    let failure = database.look(PATIENCE).await.unwrap_err();
    assert!(matches!(failure, Failure::NotRunning(_)), "{failure}");
    assert_eq!(failure.nature(), Nature::Definite);
    assert!(!failure.is_alive());
    assert!(matches!(database.knock(PATIENCE).await, Err(Failure::NotRunning(_))));
}

/// The socket file of a killed server stays behind, the one of a stopped server does not.
#[tokio::test]
async fn stopped_and_killed_are_both_not_running() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let mut cluster = Cluster::start();
    let database = cluster.database(&ssh);
    cluster.kill();
    let failure = database.look(PATIENCE).await.unwrap_err();
    assert_eq!(failure, Failure::NotRunning(OpenError::Refused));
    cluster.run();
    database.look(PATIENCE).await.unwrap();
    cluster.stop();
    let failure = database.look(PATIENCE).await.unwrap_err();
    assert_eq!(failure, Failure::NotRunning(OpenError::NotFound));
}

/// A frozen postmaster accepts and says nothing. An open session does not notice: its process
/// still answers; a knock does.
#[tokio::test]
async fn a_frozen_postmaster_is_silent_to_those_who_knock() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let cluster = Cluster::start();
    let database = cluster.database(&ssh);
    database.look(PATIENCE).await.unwrap();
    signal(cluster.pid(), Signal::SIGSTOP);
    let after = Duration::from_millis(300);
    assert_eq!(database.knock(after).await, Ok(StartupAnswer::Silent));
    database.look(PATIENCE).await.unwrap();
    let stranger = cluster.database(&ssh);
    assert_eq!(stranger.look(after).await, Err(Failure::Silent { after }));

    let backend = cluster.process("ha_observer");
    signal(backend, Signal::SIGSTOP);
    assert_eq!(database.look(after).await, Err(Failure::Silent { after }));
    signal(backend, Signal::SIGCONT);
    signal(cluster.pid(), Signal::SIGCONT);
    database.look(PATIENCE).await.unwrap();
    assert_eq!(*database.broken().borrow(), 0, "hanging up on our own is no alarm");
}

/// A standby without the WAL that makes it consistent says for ever that it is starting.
#[tokio::test]
async fn a_starting_server_is_not_dead() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let mut primary = Cluster::start();
    let mut standby = Cluster::copy_of(&primary, &["-X", "none"]);
    primary.stop();
    standby.launch();
    let database = standby.database(&ssh);
    let began = Instant::now();
    let failure = loop {
        match database.look(PATIENCE).await.unwrap_err() {
            Failure::NotRunning(_) => assert!(began.elapsed() < PATIENCE, "{}", standby.log()),
            other => break other,
        }
    };
    assert_eq!(failure, Failure::StartingUp);
    assert_eq!(database.knock(PATIENCE).await, Ok(StartupAnswer::StartingUp));
}

#[tokio::test]
async fn a_server_that_shuts_down_says_so() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let cluster = Cluster::start();
    let (patient, newcomer) = (cluster.database(&ssh), cluster.database(&ssh));
    patient.look(PATIENCE).await.unwrap();
    // The smart way waits for the session that is open.
    signal(cluster.pid(), Signal::SIGTERM);
    let began = Instant::now();
    while newcomer.knock(PATIENCE).await == Ok(StartupAnswer::Accepting) {
        assert!(began.elapsed() < PATIENCE);
    }
    assert_eq!(newcomer.knock(PATIENCE).await, Ok(StartupAnswer::ShuttingDown));
    assert_eq!(newcomer.look(PATIENCE).await, Err(Failure::ShuttingDown));
    patient.look(PATIENCE).await.unwrap();
}

/// One crashed process makes the server restart itself: it heals without us.
#[tokio::test]
async fn a_server_in_crash_recovery_says_so_and_comes_back() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let cluster = Cluster::start();
    let database = cluster.database(&ssh);
    database.look(PATIENCE).await.unwrap();
    // A frozen process keeps the server waiting in this state for some seconds.
    signal(cluster.process("walwriter"), Signal::SIGSTOP);
    signal(cluster.process("ha_observer"), Signal::SIGKILL);
    let began = Instant::now();
    let mut seen = Vec::new();
    loop {
        match database.look(PATIENCE).await {
            Ok(_) => break,
            Err(failure) => {
                // A connection that is made while the server ends all of them says nothing.
                let cut = matches!(failure, Failure::Lost(_));
                assert!(failure.is_alive() || cut, "{failure}");
                seen.push(failure);
            }
        }
        assert!(began.elapsed() < PATIENCE, "{seen:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(seen.contains(&Failure::InCrashRecovery), "{seen:?}");
}

#[tokio::test]
async fn a_dead_host_says_nothing_about_its_database() {
    let mut sshd = Sshd::start();
    let ssh = sshd.ssh();
    let cluster = Cluster::start();
    let database = cluster.database(&ssh);
    database.look(PATIENCE).await.unwrap();
    sshd.stop();
    let began = Instant::now();
    let failure = loop {
        match database.look(PATIENCE).await {
            Err(failure) => break failure,
            Ok(_) => assert!(began.elapsed() < PATIENCE),
        }
    };
    assert!(matches!(failure, Failure::Unreachable(_) | Failure::Lost(_)), "{failure}");
    assert_eq!(failure.nature(), Nature::Silent);
    sshd.run();
    let began = Instant::now();
    while database.look(PATIENCE).await.is_err() {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
