//! Readiness probes against small real services on loopback, ready and not: what they see is named,
//! and none of them takes longer than it may or leaves anything running.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use observer_core::policy::{PairSpec, Placement, Probed, ReadinessSpec, ServiceSpec, UserWait};
use observer_core::sighting::{Look, Seen, Silent};
use observer_world::access::{
    HttpReadiness, ListensAt, PairAccess, ReadinessProbe, ReadinessQuestion,
};
use observer_world::pair_world::PairWorld;
use support::pair::{PATIENCE, databases, host, hosts_alone, spec};
use support::sshd::Sshd;
use support::{free_port, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A pair whose only service is asked like this.
fn asking(sshd: &Sshd, deadline_ms: u64, question: ReadinessQuestion) -> PairWorld {
    let service = ServiceSpec {
        name: "portal".into(),
        unit: "portal.service".to_owned(),
        placement: Placement::Master,
        probed: Probed::Unit,
        readiness: Some(ReadinessSpec { deadline_ms }),
        users: UserWait::Wait,
        start_deadline_ms: 10_000,
        stop_deadline_ms: None,
    };
    let spec = PairSpec { services: vec![service], proxies: Vec::new(), ..spec() };
    let hosts = vec![host(sshd, "node-a", "127.0.0.1"), host(sshd, "node-b", "127.0.0.1")];
    let readiness = vec![ReadinessProbe { service: "portal".into(), deadline_ms, question }];
    PairWorld::connect(PairAccess { readiness, ..hosts_alone(spec, hosts) }).unwrap()
}

async fn look(world: &PairWorld) -> Result<Seen, Silent> {
    let look = Look::Readiness { host: "node-a".into(), service: "portal".into() };
    world.look(&look, PATIENCE).await
}

#[track_caller]
fn not_ready(seen: Result<Seen, Silent>, words: &str) {
    match &seen {
        Ok(Seen::NotReady(said)) => assert_eq!(said, words),
        other => panic!("{other:?}, wanted {words}"),
    }
}

fn http(port: u16) -> HttpReadiness {
    HttpReadiness {
        listens_at: ListensAt::Loopback,
        port,
        path: "/ready?deep=1".to_owned(),
        host_header: Some("desk.example.org".to_owned()),
        status: 200..=299,
        headers: vec![("X-State".to_owned(), "running".to_owned())],
        body: Some("queue open".to_owned()),
    }
}

/// Answers every request with `answer`, and gives its port. Without one it says nothing.
async fn serve(answer: Option<&'static str>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let mut stream = listener.accept().await.unwrap().0;
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                assert!(request.starts_with("GET /ready?deep=1 "), "{request}");
                assert!(request.contains("host: desk.example.org"), "{request}");
                match answer {
                    Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                    None => tokio::time::sleep(PATIENCE).await,
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn an_http_answer_is_held_against_what_is_wanted() {
    let sshd = Sshd::start();
    let ask = async |answer| {
        let port = serve(answer).await;
        look(&asking(&sshd, 2_000, ReadinessQuestion::Http(http(port)))).await
    };
    let well =
        "HTTP/1.1 200 OK\r\nx-state: running\r\ncontent-length: 16\r\n\r\nthe queue open\r\n";
    assert_eq!(ask(Some(well)).await, Ok(Seen::Ready("status 200".to_owned())));
    let warming = "HTTP/1.1 503 No\r\ncontent-length: 7\r\n\r\nwarming";
    not_ready(ask(Some(warming)).await, "status 503, wanted 200 to 299: warming");
    let paused = "HTTP/1.1 200 OK\r\nX-State: paused\r\ncontent-length: 0\r\n\r\n";
    not_ready(ask(Some(paused)).await, "status 200, header X-State says paused, wanted running");
    let shut = "HTTP/1.1 200 OK\r\nX-State: running\r\ncontent-length: 10\r\n\r\nqueue shut";
    let words = "status 200, and its body does not hold \"queue open\": queue shut";
    not_ready(ask(Some(shut)).await, words);
    let other = "SSH-2.0-OpenSSH_9.2\r\n";
    match ask(Some(other)).await {
        Ok(Seen::NotReady(said)) => assert!(said.contains("not HTTP"), "{said}"),
        seen => panic!("{seen:?}"),
    }
}

#[tokio::test]
async fn a_service_that_says_nothing_is_not_waited_for_beyond_the_deadline() {
    let sshd = Sshd::start();
    let port = serve(None).await;
    let world = asking(&sshd, 300, ReadinessQuestion::Http(http(port)));
    let began = Instant::now();
    not_ready(look(&world).await, "no complete answer within 300 ms");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_port_is_ready_while_somebody_listens() {
    let sshd = Sshd::start();
    let listens_at = ListensAt::Address;
    let port = free_port();
    let world = asking(&sshd, 2_000, ReadinessQuestion::Tcp { listens_at, port });
    not_ready(look(&world).await, &format!("nobody listens at port {port}"));
    let _listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    assert_eq!(look(&world).await, Ok(Seen::Ready(format!("it listens at port {port}"))));
}

/// A script of the test, and how it is asked.
fn script(sshd: &Sshd, text: &str) -> ReadinessQuestion {
    let path = sshd.path("ready");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let words = vec![path.to_str().unwrap().to_owned(), "a b".to_owned()];
    ReadinessQuestion::Command { words, user: "root".to_owned() }
}

#[tokio::test]
async fn the_exit_code_of_a_command_decides_and_is_named() {
    let sshd = Sshd::start();
    let ask = async |text| look(&asking(&sshd, 5_000, script(&sshd, text))).await;
    let seen = ask("test \"$1\" = 'a b'").await;
    assert_eq!(seen, Ok(Seen::Ready("exit code 0".to_owned())));
    not_ready(ask("echo 'queue is shut'; exit 3").await, "exit code 3: queue is shut");
    not_ready(ask("echo out; echo err >&2; exit 1").await, "exit code 1: err");
    not_ready(ask("exit 124").await, "exit code 124");
    let endless = ask("yes").await;
    not_ready(endless, "it says too much");
    let none = ReadinessQuestion::Command {
        words: vec!["/nonexistent/ready".to_owned()],
        user: "root".to_owned(),
    };
    match look(&asking(&sshd, 5_000, none)).await {
        Ok(Seen::NotReady(said)) => assert!(said.starts_with("exit code 127: "), "{said}"),
        seen => panic!("{seen:?}"),
    }
}

/// Nor does what it has started there, or whatever ignores the first signal.
#[tokio::test]
async fn a_command_that_hangs_is_ended_on_its_host() {
    let sshd = Sshd::start();
    let left = sshd.path("pid");
    let text = format!("trap '' TERM; echo $$ > {}; while :; do sleep 1; done", left.display());
    let world = asking(&sshd, 400, script(&sshd, &text));
    let mut seen = look(&world).await;
    for _ in 0..5 {
        if seen == Err(Silent::Timeout) {
            // This machine was too busy to begin it in time; the host was silent, then.
            seen = look(&world).await;
        }
    }
    not_ready(seen, "no end within 400 ms");
    let pid = fs::read_to_string(left).unwrap();
    let process = format!("/proc/{}", pid.trim());
    wait_until("the command is gone", Duration::from_secs(5), || !fs::exists(&process).unwrap());
}

#[tokio::test]
async fn a_host_that_cannot_be_asked_is_silent_and_no_answer() {
    let mut sshd = Sshd::start();
    let port = free_port();
    let listens_at = ListensAt::Loopback;
    let world = asking(&sshd, 500, ReadinessQuestion::Tcp { listens_at, port });
    not_ready(look(&world).await, &format!("nobody listens at port {port}"));
    sshd.stop();
    let seen = look(&world).await;
    assert!(seen.is_err(), "{seen:?}");
    let other = databases(host(&sshd, "node-a", "127.0.0.1"), host(&sshd, "node-b", "127.0.0.1"));
    assert!(matches!(look(&other).await, Err(Silent::Denied(_))));
}
