//! Commands over a real sshd: results, limits, deadlines, and what was sent or not.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it")]

mod support;

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use observer_world::ssh::{
    Command, ConnectError, Ending, NoReply, NotSent, Ssh, SshError, SshTiming, offered_host_key,
};
use support::sshd::Sshd;
use support::{descendants, free_port, signal};

/// Generous: a busy test machine must not turn a pass into a failure.
const PATIENCE: Duration = Duration::from_secs(20);
const LIMIT: usize = 64 * 1024;

fn shell(script: &str) -> Command {
    Command::new("sh").arg("-c").arg(script)
}

async fn stdout_of(ssh: &Ssh, script: &str) -> String {
    let output = ssh.exec(&shell(script), "", PATIENCE, LIMIT).await.unwrap();
    assert!(output.succeeded(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn status_signal_streams_and_input_come_through() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let output =
        ssh.exec(&shell("cat; echo oops >&2; exit 3"), "hello", PATIENCE, LIMIT).await.unwrap();
    assert_eq!(output.ending, Ending::Exited(3));
    assert_eq!(output.stdout, b"hello");
    assert_eq!(output.stderr, b"oops\n");
    assert!(!output.truncated);

    let output = ssh.exec(&shell("kill -TERM $$"), "", PATIENCE, LIMIT).await.unwrap();
    assert_eq!(output.ending, Ending::Signalled("TERM".to_owned()));
}

#[tokio::test]
async fn arguments_arrive_byte_for_byte() {
    let sshd = Sshd::start();
    let hostile: Vec<Vec<u8>> = vec![
        b"$(touch /tmp/x)".to_vec(),
        b"it's; rm -rf `x` | \\ \"y\"".to_vec(),
        b"".to_vec(),
        b"\n\t*?[a]~ #!".to_vec(),
        (1..=255u8).collect(),
    ];
    let command = Command::new("printf").arg(r"%s\000").args(&hostile);
    let output = sshd.ssh().exec(&command, "", PATIENCE, LIMIT).await.unwrap();
    let expected: Vec<u8> =
        hostile.iter().flat_map(|word| [word.as_slice(), &[0]].concat()).collect();
    assert_eq!(output.stdout, expected);

    let command = Command::new("printf").arg("a\0b");
    let error = sshd.ssh().exec(&command, "", PATIENCE, LIMIT).await.unwrap_err();
    assert!(matches!(error, SshError::NotSent(NotSent::Unquotable(_))), "{error}");
}

/// A command that never stops talking costs the limit and no more, and leaves the connection fit.
#[tokio::test]
async fn a_flood_is_cut_off_and_the_connection_survives() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    for script in ["head -c 100000000 /dev/urandom", "head -c 100000000 /dev/zero >&2"] {
        let output = ssh.exec(&shell(script), "", PATIENCE, LIMIT).await.unwrap();
        assert!(output.truncated);
        assert_eq!(output.ending, Ending::CutOff);
        assert_eq!(output.stdout.len() + output.stderr.len(), LIMIT);
        assert!(!output.succeeded());
    }
    assert_eq!(stdout_of(&ssh, "echo fit").await, "fit\n");
    assert_eq!(*ssh.broken().borrow(), 0);

    let all = ssh.exec(&shell("head -c 100000000 /dev/zero"), "", PATIENCE, 200_000_000).await;
    let all = all.unwrap();
    assert!(all.succeeded());
    assert_eq!(all.stdout.len(), 100_000_000);
}

#[tokio::test]
async fn large_input_and_output_move_at_the_same_time() {
    let sshd = Sshd::start();
    let input = vec![7u8; 20_000_000];
    let output =
        sshd.ssh().exec(&Command::new("cat"), input.clone(), PATIENCE, 30_000_000).await.unwrap();
    assert!(output.succeeded());
    assert_eq!(output.stdout, input);
}

#[tokio::test]
async fn a_deadline_says_that_the_command_was_sent() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    ssh.connect(PATIENCE).await.unwrap();
    let mark = sshd.path("ran");
    let script = format!("touch {}; sleep 30", mark.display());
    let deadline = Duration::from_millis(700);
    let error = ssh.exec(&shell(&script), "", deadline, LIMIT).await.unwrap_err();
    assert_eq!(error, SshError::NoReply(NoReply::Deadline { after: deadline }));
    assert!(error.was_sent() && mark.exists());
    assert_eq!(stdout_of(&ssh, "echo next").await, "next\n");
}

/// A background child that keeps the output open must not hold up its parent's result.
#[tokio::test]
async fn a_child_that_holds_the_output_does_not_delay_the_result() {
    let sshd = Sshd::start();
    let began = Instant::now();
    assert_eq!(stdout_of(&sshd.ssh(), "sleep 9 & echo done").await, "done\n");
    assert!(began.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn without_a_listener_nothing_was_sent() {
    let mut sshd = Sshd::start();
    let ssh = sshd.ssh();
    sshd.stop();
    let error = ssh.exec(&shell("true"), "", PATIENCE, LIMIT).await.unwrap_err();
    assert_eq!(error, SshError::NotSent(NotSent::Connect(ConnectError::Refused)));
    assert!(!error.was_sent());
}

#[tokio::test]
async fn a_connection_lost_while_a_command_runs_is_no_reply() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    ssh.connect(PATIENCE).await.unwrap();
    let mut broken = ssh.broken();
    let running = {
        let ssh = ssh.clone();
        tokio::spawn(async move { ssh.exec(&shell("sleep 30"), "", PATIENCE, LIMIT).await })
    };
    while sleepers(&sshd) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sshd.cut_sessions();
    let cut = Instant::now();
    tokio::time::timeout(PATIENCE, broken.changed()).await.unwrap().unwrap();
    assert!(cut.elapsed() < Duration::from_secs(1), "the alarm took {:?}", cut.elapsed());
    let error = running.await.unwrap().unwrap_err();
    assert_eq!(error, SshError::NoReply(NoReply::ConnectionLost));
    assert_eq!(stdout_of(&ssh, "echo again").await, "again\n");
}

/// How many `sleep` commands run below the server.
fn sleepers(sshd: &Sshd) -> usize {
    let named =
        |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    descendants(sshd.pid()).iter().filter(|pid| named(pid).trim() == "sleep").count()
}

#[tokio::test]
async fn too_many_sessions_are_not_sent() {
    let sshd = Sshd::start_with("MaxSessions 1");
    let ssh = sshd.ssh();
    ssh.connect(PATIENCE).await.unwrap();
    let first = {
        let ssh = ssh.clone();
        tokio::spawn(async move { ssh.exec(&shell("sleep 3"), "", PATIENCE, LIMIT).await })
    };
    while sleepers(&sshd) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let error = ssh.exec(&shell("true"), "", PATIENCE, LIMIT).await.unwrap_err();
    assert!(matches!(error, SshError::NotSent(NotSent::SessionRefused(_))), "{error}");
    assert!(first.await.unwrap().unwrap().succeeded());
}

#[tokio::test]
async fn a_changed_host_key_is_a_hard_stop_until_reconfigured() {
    let mut sshd = Sshd::start();
    let ssh = sshd.ssh();
    ssh.connect(PATIENCE).await.unwrap();
    let pinned = sshd.host_key().fingerprint();
    let mut broken = ssh.broken();
    sshd.change_host_key();
    tokio::time::timeout(PATIENCE, broken.changed()).await.unwrap().unwrap();
    let offered = sshd.host_key().fingerprint();
    let expected = ConnectError::HostKeyChanged { pinned: vec![pinned], offered };
    let seen = loop {
        match ssh.connect(PATIENCE).await {
            Ok(()) => panic!("an unpinned key was accepted"),
            Err(ConnectError::HostKeyChanged { pinned, offered }) => {
                break ConnectError::HostKeyChanged { pinned, offered };
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    assert_eq!(seen, expected);

    // Not asked again: the old key coming back does not lift the stop by itself.
    sshd.stop();
    assert_eq!(ssh.connect(PATIENCE).await.unwrap_err(), expected);
    sshd.run();
    assert_eq!(ssh.connect(PATIENCE).await.unwrap_err(), expected);
    assert_eq!(offered_host_key(&sshd.target()).await.unwrap(), sshd.host_key());
    ssh.reconfigure(sshd.target());
    assert_eq!(stdout_of(&ssh, "echo trusted").await, "trusted\n");
}

#[tokio::test]
async fn a_restarted_server_is_found_again_without_being_asked() {
    let mut sshd = Sshd::start();
    let ssh = sshd.ssh();
    ssh.connect(PATIENCE).await.unwrap();
    let mut broken = ssh.broken();
    sshd.stop();
    tokio::time::timeout(PATIENCE, broken.changed()).await.unwrap().unwrap();
    assert_eq!(ssh.connect(PATIENCE).await.unwrap_err(), ConnectError::Refused);
    sshd.run();
    // Nobody calls: the link connects by itself, which its session process shows.
    let began = Instant::now();
    while descendants(sshd.pid()).len() < 2 {
        assert!(began.elapsed() < PATIENCE, "no session appeared: {}", sshd.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(stdout_of(&ssh, "echo back").await, "back\n");
}

/// Ten callers in one round knock once.
#[tokio::test]
async fn callers_share_one_connection_and_one_failure() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let calls: Vec<_> = (0..10)
        .map(|_| ssh.clone())
        .map(|ssh| tokio::spawn(async move { stdout_of(&ssh, "echo $SSH_CONNECTION").await }))
        .collect();
    let mut seen = std::collections::BTreeSet::new();
    for call in calls {
        seen.insert(call.await.unwrap());
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
}

#[tokio::test]
async fn a_frozen_server_is_silent_and_a_wrong_key_is_rejected() {
    let sshd = Sshd::start();
    let mut target = sshd.target();
    target.timing = SshTiming { connect: Duration::from_millis(300), ..target.timing };
    signal(sshd.pid(), Signal::SIGSTOP);
    let error = Ssh::new(target).connect(PATIENCE).await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { during: "logging in", .. }), "{error}");
    signal(sshd.pid(), Signal::SIGCONT);

    let mut target = sshd.target();
    target.key_path = sshd.path("host");
    let error = Ssh::new(target.clone()).connect(PATIENCE).await.unwrap_err();
    assert_eq!(error, ConnectError::AuthRejected { user: "root".to_owned() });
    target.key_path = sshd.path("absent");
    let error = Ssh::new(target.clone()).connect(PATIENCE).await.unwrap_err();
    assert!(matches!(error, ConnectError::KeyUnusable { .. }), "{error}");
    target.pinned.clear();
    let error = Ssh::new(target.clone()).connect(PATIENCE).await.unwrap_err();
    assert_eq!(error, ConnectError::NothingPinned);
    target.port = free_port();
    target.pinned.push(sshd.host_key());
    assert_eq!(Ssh::new(target).connect(PATIENCE).await.unwrap_err(), ConnectError::Refused);
}

/// An established connection whose peer falls silent (not dead) is given up by the keepalives.
#[tokio::test]
async fn a_silent_connection_is_declared_dead_by_keepalives() {
    let sshd = Sshd::start();
    let mut target = sshd.target();
    target.timing.keepalive_interval = Duration::from_millis(100);
    let ssh = Ssh::new(target);
    ssh.connect(PATIENCE).await.unwrap();
    let mut broken = ssh.broken();
    let sessions = descendants(sshd.pid());
    sessions.iter().for_each(|&pid| signal(pid, Signal::SIGSTOP));
    let began = Instant::now();
    tokio::time::timeout(PATIENCE, broken.changed()).await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "took {:?}", began.elapsed());
    sessions.iter().for_each(|&pid| signal(pid, Signal::SIGCONT));
    assert_eq!(stdout_of(&ssh, "echo anew").await, "anew\n");
}
