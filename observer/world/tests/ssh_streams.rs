//! Streams through a real sshd to Unix sockets and TCP ports, and every way they can fail.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use observer_world::ssh::{ConnectError, Nature, OpenError, Ssh};
use support::free_port;
use support::netns::{inside, ip};
use support::sshd::Sshd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

const PATIENCE: Duration = Duration::from_secs(20);

async fn echo(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    let mut buffer = [0; 1024];
    while let Ok(length) = stream.read(&mut buffer).await {
        if length == 0 || stream.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

async fn talks(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    stream.write_all(b"hello").await.unwrap();
    let mut answer = [0; 5];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"hello");
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.is_empty());
}

async fn unix_error(ssh: &Ssh, path: &std::path::Path) -> OpenError {
    ssh.open_unix(path.to_str().unwrap(), PATIENCE).await.unwrap_err()
}

#[tokio::test]
async fn unix_and_tcp_streams_carry_bytes_both_ways() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let path = sshd.path("socket");
    let unix = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move { echo(unix.accept().await.unwrap().0).await });
    talks(ssh.open_unix(path.to_str().unwrap(), PATIENCE).await.unwrap()).await;

    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = tcp.local_addr().unwrap().port();
    tokio::spawn(async move { echo(tcp.accept().await.unwrap().0).await });
    talks(ssh.open_tcp("127.0.0.1", port, PATIENCE).await.unwrap()).await;
}

#[tokio::test]
async fn a_socket_that_cannot_be_opened_says_why() {
    let sshd = Sshd::start();
    let root = sshd.ssh();
    let unprivileged = Sshd::start_as("postgres", "");
    let stranger = unprivileged.ssh();

    assert_eq!(unix_error(&root, &sshd.path("absent")).await, OpenError::NotFound);
    assert_eq!(unix_error(&root, &sshd.path("no/such/dir")).await, OpenError::NotFound);

    let stale = sshd.path("it's stale");
    drop(UnixListener::bind(&stale).unwrap());
    let error = unix_error(&root, &stale).await;
    assert_eq!(error, OpenError::Refused);
    assert_eq!(error.nature(), Nature::Definite);

    std::fs::set_permissions(sshd.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let private = sshd.path("private");
    let _listener = UnixListener::bind(&private).unwrap();
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o600)).unwrap();
    let error = unix_error(&stranger, &private).await;
    assert!(matches!(error, OpenError::Denied(_)), "{error}");
    let hidden = sshd.path("hidden");
    std::fs::create_dir(&hidden).unwrap();
    std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o700)).unwrap();
    assert!(matches!(unix_error(&stranger, &hidden.join("socket")).await, OpenError::Denied(_)));

    let file = sshd.path("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(unix_error(&root, &file).await, OpenError::Other(_)));
}

/// A frozen server accepts until its queue is full and then looks refused; it is not gone.
#[tokio::test]
async fn a_full_queue_is_not_a_refusal() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let path = sshd.path("full");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(1).unwrap()).unwrap();
    let mut held = Vec::new();
    let error = loop {
        match ssh.open_unix(path.to_str().unwrap(), PATIENCE).await {
            Ok(stream) => held.push(stream),
            Err(error) => break error,
        }
        assert!(held.len() < 50, "the queue never filled");
    };
    assert_eq!(error, OpenError::Busy);
    assert_eq!(error.nature(), Nature::Silent);
}

#[tokio::test]
async fn forwarding_that_is_switched_off_is_denied() {
    let sshd = Sshd::start_with("AllowTcpForwarding no\nAllowStreamLocalForwarding no");
    let ssh = sshd.ssh();
    let error = ssh.open_tcp("127.0.0.1", free_port(), PATIENCE).await.unwrap_err();
    assert!(matches!(error, OpenError::Denied(_)), "{error}");
    let path = sshd.path("socket");
    let _listener = UnixListener::bind(&path).unwrap();
    let error = unix_error(&ssh, &path).await;
    assert!(matches!(error, OpenError::Denied(_)), "{error}");
}

#[tokio::test]
async fn without_a_connection_the_reason_is_the_connections() {
    let mut sshd = Sshd::start();
    let ssh = sshd.ssh();
    sshd.stop();
    let error = ssh.open_tcp("127.0.0.1", 1, PATIENCE).await.unwrap_err();
    assert_eq!(error, OpenError::Connect(ConnectError::Refused));
    assert_eq!(error.nature(), Nature::Silent, "nothing is known of what lies behind");
}

#[test]
fn tcp_destinations_are_told_apart() {
    inside(async {
        // Nobody answers on the far end of the pair: packets for this network vanish.
        ip("link add near type veth peer name far");
        ip("addr add 192.0.2.1/24 dev near");
        ip("link set near up");
        ip("link set far up");
        ip("route add unreachable 198.51.100.0/24");
        let sshd = Sshd::start();
        let ssh = sshd.ssh();
        ssh.connect(PATIENCE).await.unwrap();

        let error = ssh.open_tcp("127.0.0.1", free_port(), PATIENCE).await.unwrap_err();
        assert_eq!(error, OpenError::Refused);
        let error = ssh.open_tcp("198.51.100.7", 80, PATIENCE).await.unwrap_err();
        assert_eq!(error, OpenError::NoRoute);
        let error = ssh.open_tcp("192.0.2.9", 80, Duration::from_millis(200)).await.unwrap_err();
        assert_eq!(error, OpenError::TimedOut);
        let error = ssh.open_tcp("192.0.2.10", 80, PATIENCE).await.unwrap_err();
        assert_eq!(error, OpenError::NoRoute);

        // The observer's own connection, to a host that is gone in each of these ways.
        let mut target = sshd.target();
        target.timing.connect = Duration::from_millis(200);
        target.address = "192.0.2.11".to_owned();
        let error = Ssh::new(target.clone()).connect(PATIENCE).await.unwrap_err();
        assert!(matches!(error, ConnectError::TimedOut { during: "connecting", .. }), "{error}");
        target.address = "198.51.100.7".to_owned();
        let error = Ssh::new(target.clone()).connect(PATIENCE).await.unwrap_err();
        assert!(matches!(error, ConnectError::NoRoute(_)), "{error}");
    });
}

/// Answers to many questions at once must not be mixed up: a refusal is a definite death, and a
/// missing route is silence.
#[test]
fn refusals_that_come_together_are_not_confused() {
    inside(async {
        ip("link add near type veth peer name far");
        ip("addr add 192.0.2.1/24 dev near");
        ip("link set near up");
        ip("link set far up");
        let sshd = Sshd::start();
        let ssh = sshd.ssh();
        ssh.connect(PATIENCE).await.unwrap();
        let began = Instant::now();
        let silent: Vec<_> = (20..26)
            .map(|last| (ssh.clone(), format!("192.0.2.{last}")))
            .map(|(ssh, to)| tokio::spawn(async move { ssh.open_tcp(&to, 80, PATIENCE).await }))
            .collect();
        let mut refused = 0;
        while silent.iter().any(|question| !question.is_finished()) {
            let error = ssh.open_tcp("127.0.0.1", 1, PATIENCE).await.unwrap_err();
            assert_eq!(error, OpenError::Refused);
            refused += 1;
            assert!(began.elapsed() < PATIENCE);
        }
        for question in silent {
            assert_eq!(question.await.unwrap().unwrap_err(), OpenError::NoRoute);
        }
        assert!(refused > 100, "only {refused} refusals were asked for in between");
    });
}

/// More open questions than the bound are silence at once, and cost sshd nothing more.
#[test]
fn a_silent_destination_does_not_pile_up_questions() {
    inside(async {
        ip("link add near type veth peer name far");
        ip("addr add 192.0.2.1/24 dev near");
        ip("link set near up");
        ip("link set far up");
        let sshd = Sshd::start();
        let ssh = sshd.ssh();
        ssh.connect(PATIENCE).await.unwrap();
        for _ in 0..40 {
            let wait = Duration::from_millis(5);
            let error = ssh.open_tcp("192.0.2.30", 80, wait).await.unwrap_err();
            assert_eq!(error, OpenError::TimedOut);
        }
        let began = Instant::now();
        let error = ssh.open_tcp("192.0.2.30", 80, PATIENCE).await.unwrap_err();
        assert_eq!(error, OpenError::TimedOut);
        assert!(began.elapsed() < Duration::from_secs(1));
    });
}
