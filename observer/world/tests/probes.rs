//! TCP, HTTP and HAProxy-socket probes against small real listeners, well-behaved and not.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it")]

mod support;

use std::time::Duration;

use observer_world::haproxy_socket::{AskError, ask};
use observer_world::http::{HttpAnswer, HttpError, HttpQuestion, get};
use observer_world::ssh::{Nature, OpenError};
use observer_world::tcp::{TcpError, connect};
use support::free_port;
use support::netns::{inside, ip};
use support::sshd::Sshd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::oneshot;

const PATIENCE: Duration = Duration::from_secs(20);

/// What a server does once it has read the request.
enum Then {
    HangUp,
    Wait,
}

/// Serves one connection with `answer`, and gives back what a GET of it sees.
async fn answered(answer: &[u8], then: Then, deadline: Duration) -> Result<HttpAnswer, HttpError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = answer.to_vec();
    tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        let request = stream.read(&mut [0; 4096]).await.unwrap();
        assert!(request > 0);
        let _ = stream.write_all(&answer).await;
        if let Then::Wait = then {
            tokio::time::sleep(PATIENCE).await;
        }
    });
    let stream = connect("127.0.0.1", port, PATIENCE).await.unwrap();
    let question =
        HttpQuestion { host: "desk".into(), path: "/healthcheck".into(), body_limit: 64 };
    get(stream, &question, deadline).await
}

#[test]
fn tcp_failures_are_definite_or_silent() {
    inside(async {
        ip("link add near type veth peer name far");
        ip("addr add 192.0.2.1/24 dev near");
        ip("link set near up");
        ip("link set far up");
        ip("route add unreachable 198.51.100.0/24");
        let error = connect("127.0.0.1", free_port(), PATIENCE).await.unwrap_err();
        assert_eq!(error, TcpError::Refused);
        assert_eq!(error.nature(), Nature::Definite);
        let after = Duration::from_millis(200);
        let error = connect("192.0.2.9", 80, after).await.unwrap_err();
        assert_eq!(error, TcpError::TimedOut { after });
        let error = connect("198.51.100.7", 80, PATIENCE).await.unwrap_err();
        assert!(matches!(error, TcpError::NoRoute(_)), "{error}");
        assert_eq!(error.nature(), Nature::Silent);
    });
}

#[tokio::test]
async fn an_answer_is_read_up_to_the_limit() {
    let answer = b"HTTP/1.1 503 Nope\r\ncontent-length: 5\r\n\r\nsorry";
    let answer = answered(answer, Then::Wait, PATIENCE).await.unwrap();
    assert_eq!(
        (answer.status, answer.body.as_slice(), answer.truncated),
        (503, &b"sorry"[..], false)
    );

    let mut long = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    long.resize(50_000_000, b'x');
    let answer = answered(&long, Then::Wait, PATIENCE).await.unwrap();
    assert_eq!((answer.status, answer.body.len(), answer.truncated), (200, 64, true));
}

#[tokio::test]
async fn hanging_hanging_up_and_garbage_are_told_apart() {
    let after = Duration::from_millis(200);
    assert_eq!(answered(b"", Then::Wait, after).await, Err(HttpError::Silent { after }));
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf";
    assert_eq!(answered(half, Then::Wait, after).await, Err(HttpError::Silent { after }));
    let error = answered(half, Then::HangUp, PATIENCE).await.unwrap_err();
    assert!(matches!(error, HttpError::HungUp(_)), "{error}");
    let error = answered(b"", Then::HangUp, PATIENCE).await.unwrap_err();
    assert!(matches!(error, HttpError::HungUp(_)), "{error}");
    let error = answered(b"SSH-2.0-OpenSSH\r\n\r\n", Then::Wait, PATIENCE).await.unwrap_err();
    assert!(matches!(error, HttpError::Garbage(_)), "{error}");
    let endless = vec![b'a'; 10_000_000];
    let error = answered(&endless, Then::Wait, PATIENCE).await.unwrap_err();
    assert!(matches!(error, HttpError::Garbage(_)), "{error}");
}

#[tokio::test]
async fn a_path_that_cannot_be_asked_for_is_refused() {
    let stream = tokio::io::duplex(64).0;
    let question =
        HttpQuestion { host: "desk".into(), path: "/a b\r\nX: y".into(), body_limit: 64 };
    let error = get(stream, &question, PATIENCE).await.unwrap_err();
    assert!(matches!(error, HttpError::BadQuestion(_)), "{error}");
}

/// A socket that answers every line with `answer`, then hangs up or waits.
///
/// The receiver hears when the answer is written.
fn socket(sshd: &Sshd, answer: Vec<u8>, then: Then) -> (String, oneshot::Receiver<()>) {
    let (written, answered) = oneshot::channel();
    let path = sshd.path("haproxy.sock");
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        let mut line = [0; 1024];
        let length = stream.read(&mut line).await.unwrap();
        let _ = stream.write_all(&line[..length]).await;
        let _ = stream.write_all(&answer).await;
        let _ = written.send(());
        if let Then::Wait = then {
            tokio::time::sleep(PATIENCE).await;
        }
    });
    (path.to_str().unwrap().to_owned(), answered)
}

#[tokio::test]
async fn a_batch_is_answered_whole_or_not_at_all() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    ssh.connect(PATIENCE).await.unwrap();

    let (path, _) = socket(&sshd, b"pid: 1\n\n".to_vec(), Then::HangUp);
    let answer = ask(&ssh, &path, "show info;show stat", PATIENCE, 1024).await.unwrap();
    assert_eq!(answer, b"show info;show stat\npid: 1\n\n");

    let error = ask(&ssh, &path, "show info\nshow stat", PATIENCE, 1024).await.unwrap_err();
    assert_eq!(error, AskError::NotOneLine);
    assert!(!error.was_sent());
    let error = ask(&ssh, &path, "show info", PATIENCE, 1024).await.unwrap_err();
    assert_eq!(error, AskError::Open(OpenError::Refused));
    assert!(!error.was_sent());

    let (path, _) = socket(&sshd, vec![b'x'; 10_000_000], Then::HangUp);
    let error = ask(&ssh, &path, "show stat", PATIENCE, 1024).await.unwrap_err();
    assert_eq!(error, AskError::TooLong { limit: 1024 });

    let (path, _) = socket(&sshd, b"half".to_vec(), Then::Wait);
    let after = Duration::from_millis(300);
    let error = ask(&ssh, &path, "show stat", after, 1024).await.unwrap_err();
    assert_eq!(error, AskError::Silent { after });
    assert!(error.was_sent());
}

/// A connection that is cut in the middle of an answer must not pass for its end.
#[tokio::test]
async fn a_cut_answer_is_not_a_short_one() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    ssh.connect(PATIENCE).await.unwrap();
    let (path, answered) = socket(&sshd, b"half of an answer".to_vec(), Then::Wait);
    let asking = tokio::spawn(async move { ask(&ssh, &path, "show stat", PATIENCE, 1024).await });
    answered.await.unwrap();
    sshd.cut_sessions();
    assert_eq!(asking.await.unwrap(), Err(AskError::Lost));
}
