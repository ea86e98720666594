//! Monitor files on a real disk, behind a real sshd: put there and taken away, never through a link
//! and never where others may write as root; and sessions of others, counted by `ss`.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it")]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use observer_core::drive::{Answer, Reply};
use observer_core::plan::{Effect, Proof};
use observer_core::policy::{MonitorSpec, PairSpec, UsersGo};
use observer_core::sighting::{Look, Says, Seen};
use observer_core::words::Epoch;
use observer_world::access::{HostAccess, MonitorAccess};
use observer_world::pair_world::PairWorld;
use support::netns;
use support::pair::{PATIENCE, host, hosts_alone, order, spec};
use support::sshd::Sshd;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

fn world(sshd: &Sshd, path: &Path, means: Says, port: u16) -> PairWorld {
    let with_file = |host: HostAccess| {
        let (path, user) = (path.to_owned(), "root".to_owned());
        HostAccess { monitor: Some(MonitorAccess { path, means, user, port }), ..host }
    };
    let hosts = ["node-a", "node-b"].map(|name| with_file(host(sshd, name, "127.0.0.1")));
    let monitor = Some(MonitorSpec { users: UsersGo::Master, settle_ms: 0 });
    let spec = PairSpec { proxies: Vec::new(), monitor, ..spec() };
    PairWorld::connect(hosts_alone(spec, hosts.to_vec())).unwrap()
}

async fn say(world: &PairWorld, says: Says) -> Reply {
    world.perform(&order(1, Effect::Monitor { host: "node-a".into(), says })).await
}

async fn says(world: &PairWorld, says: Says) -> Answer {
    let proof = Proof::MonitorSays { host: "node-a".into(), says };
    world.prove(&proof, Epoch(1), PATIENCE).await
}

#[track_caller]
fn shown(answer: &Answer) -> bool {
    match answer {
        Answer::Shown(_) => true,
        Answer::NotYet(_) => false,
        other => panic!("{other:?}"),
    }
}

/// A folder that is root's alone, up to the root of the file system.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in("/var/lib").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[tokio::test]
async fn a_file_says_in_or_out_by_being_there() {
    let (sshd, folder) = (Sshd::start(), folder());
    let path = folder.path().join("serve");
    for (means, other) in [(Says::In, Says::Out), (Says::Out, Says::In)] {
        let world = world(&sshd, &path, means, 1);
        for _ in 0..2 {
            assert_eq!(say(&world, means).await, Reply::Did);
            assert!(path.is_file());
            assert!(shown(&says(&world, means).await) && !shown(&says(&world, other).await));
        }
        // What a person has written into it is theirs.
        fs::write(&path, "by jo").unwrap();
        assert_eq!(say(&world, means).await, Reply::Did);
        assert_eq!(fs::read_to_string(&path).unwrap(), "by jo");
        for _ in 0..2 {
            assert_eq!(say(&world, other).await, Reply::Did);
            assert!(!path.exists());
            assert!(shown(&says(&world, other).await) && !shown(&says(&world, means).await));
        }
        assert_eq!(
            world.describe(&Effect::Monitor { host: "node-a".into(), says: means }).len(),
            3
        );
    }
}

#[tokio::test]
async fn nothing_is_written_through_a_link_or_beside_others() {
    let (sshd, folder) = (Sshd::start(), folder());
    let (path, target) = (folder.path().join("serve"), folder.path().join("target"));
    symlink(&target, &path).unwrap();
    let own = world(&sshd, &path, Says::In, 1);
    assert_eq!(say(&own, Says::In).await, Reply::Did);
    assert!(path.symlink_metadata().unwrap().is_file() && !target.exists());

    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    match say(&own, Says::Out).await {
        Reply::Refused(why) => {
            assert!(why.contains("another account than root"), "{why}");
            assert!(why.contains("fix: write user = \"OWNER\" in [monitor_file]"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    assert!(path.exists(), "it is as it was");
    // Nor is a folder made that is not there.
    let nowhere = world(&sshd, &folder.path().join("none/serve"), Says::In, 1);
    assert!(matches!(say(&nowhere, Says::In).await, Reply::Refused(_)));
}

async fn count(world: &PairWorld) -> u64 {
    match world.look(&Look::Sessions("node-a".into()), PATIENCE).await {
        Ok(Seen::Sessions(count)) => count,
        other => panic!("{other:?}"),
    }
}

/// Both ends of a session from this address.
async fn open(listener: &TcpListener, from: &str) -> (TcpStream, TcpStream) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let connecting = socket.connect(SocketAddr::new("10.9.9.9".parse().unwrap(), port));
    let (ours, theirs) = tokio::join!(connecting, listener.accept());
    (ours.unwrap(), theirs.unwrap().0)
}

#[test]
fn sessions_of_others_are_counted_until_the_last_has_gone() {
    netns::inside(async {
        netns::ip("address add 10.9.9.9/32 dev lo");
        // A thread of this one is in its namespace, and needs nothing that can be sent there.
        let story = std::thread::spawn(|| {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap().block_on(sessions_come_and_go());
        });
        story.join().unwrap();
    });
}

async fn sessions_come_and_go() {
    let (sshd, folder) = (Sshd::start(), folder());
    let listener = TcpListener::bind(SocketAddr::new([0, 0, 0, 0].into(), 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let world = world(&sshd, &folder.path().join("serve"), Says::In, port);
    assert_eq!(count(&world).await, 0);
    // The pair's own machines are at 127.0.0.1 here.
    let _own = open(&listener, "127.0.0.1").await;
    assert_eq!(count(&world).await, 0);
    let session = open(&listener, "10.9.9.9").await;
    assert_eq!(count(&world).await, 1);
    let gone = Proof::NoSessions { host: "node-a".into() };
    let answer = world.prove(&gone, Epoch(1), PATIENCE).await;
    assert_eq!(answer, Answer::NotYet("1 session of others is left".to_owned()));
    drop(session);
    assert_eq!(count(&world).await, 0);
    assert!(shown(&world.prove(&gone, Epoch(1), PATIENCE).await));
    // A file that calls users does not count as nobody there.
    assert_eq!(say(&world, Says::In).await, Reply::Did);
    assert!(!shown(&world.prove(&gone, Epoch(1), PATIENCE).await));
}
