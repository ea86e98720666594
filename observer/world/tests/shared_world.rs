//! Backends whose users may go to every host, at a real HAProxy: the others are left alone when
//! these are turned, and the other way round.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it")]

mod support;

use observer_core::drive::{Answer, Reply};
use observer_core::plan::{Effect, Proof, Sessions};
use observer_core::policy::UsersGo;
use observer_core::sighting::{Admission, Look, Seen};
use observer_core::words::HostName;
use observer_world::access::ProxyAccess;
use observer_world::pair_world::PairWorld;
use support::pair::{PATIENCE, name, perform, prove, proven, proxy, with_access};
use support::proxy::Haproxy;
use support::sshd::Sshd;

fn hosts(names: &[&str]) -> Vec<HostName> {
    names.iter().map(|host| name(host)).collect()
}

fn let_in(everywhere: &[&str]) -> Effect {
    let everywhere = hosts(everywhere);
    Effect::LetIn { proxy: "proxy".into(), host: name("node-a"), everywhere }
}

fn is_in(everywhere: &[&str]) -> Proof {
    let everywhere = hosts(everywhere);
    Proof::IsIn { proxy: "proxy".into(), host: name("node-a"), everywhere }
}

fn file_says(everywhere: &[&str]) -> Proof {
    let everywhere = hosts(everywhere);
    Proof::FileSays { proxy: "proxy".into(), master: name("node-a"), everywhere }
}

fn rewrite(everywhere: &[&str]) -> Effect {
    let everywhere = hosts(everywhere);
    Effect::Rewrite { proxy: "proxy".into(), master: name("node-a"), everywhere }
}

/// `app` leads to the master, `other` to every host.
fn shared(sshd: &Sshd, haproxy: &Haproxy) -> PairWorld {
    let every_host = vec!["other".to_owned()];
    with_access(sshd, ProxyAccess { every_host, ..proxy(sshd, haproxy.dir.path()) })
}

/// The servers that take sessions, as the running process has them.
async fn open(world: &PairWorld) -> Vec<String> {
    let Ok(Seen::Proxy(report)) = world.look(&Look::Proxy("proxy".into()), PATIENCE).await else {
        panic!("HAProxy answers");
    };
    for row in &report.servers {
        let shares = row.users == UsersGo::EveryHost;
        assert_eq!(shares, row.backend == "other", "{row:?}");
    }
    let open = report.servers.iter().filter(|row| row.admission == Admission::LetIn);
    open.map(|row| format!("{}/{}", row.backend, row.server)).collect()
}

#[tokio::test]
async fn what_runs_is_turned_for_the_master_and_for_all_apart() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = shared(&sshd, &haproxy);
    assert_eq!(perform(&world, let_in(&["node-a", "node-b"])).await, Reply::Did);
    proven(&world, is_in(&["node-a", "node-b"])).await;
    assert_eq!(open(&world).await, ["app/node-a", "other/node-a", "other/node-b"]);
    for wrong in [&["node-a"][..], &["node-b"], &[]] {
        assert!(matches!(prove(&world, &is_in(wrong)).await, Answer::NotYet(_)), "{wrong:?}");
    }
    // The master is drained where others share its users, and nowhere else.
    assert_eq!(perform(&world, let_in(&["node-b"])).await, Reply::Did);
    proven(&world, is_in(&["node-b"])).await;
    assert_eq!(open(&world).await, ["app/node-a", "other/node-b"]);
}

/// HAProxy calls a server without weight *up*, and sends it nobody new. One that it drains takes
/// whoever sticks to it: neither is in, nor out.
#[tokio::test]
async fn who_has_no_weight_or_is_drained_by_hand_is_not_let_in() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = shared(&sshd, &haproxy);
    for order in [
        "set server app/node-a weight 0",
        "set server other/node-b weight 0",
        "set server app/node-b state drain",
    ] {
        assert_eq!(perform(&world, let_in(&["node-a", "node-b"])).await, Reply::Did);
        proven(&world, is_in(&["node-a", "node-b"])).await;
        haproxy.order(order);
        let host = order[..].split(['/', ' ']).nth(3).unwrap();
        let is_out = Proof::IsOut { proxy: "proxy".into(), host: name(host) };
        for proof in [is_in(&["node-a", "node-b"]), is_out] {
            assert!(matches!(prove(&world, &proof).await, Answer::NotYet(_)), "{order}");
        }
        assert_eq!(open(&world).await.len(), if order.ends_with("0") { 2 } else { 3 }, "{order}");
    }
    assert_eq!(perform(&world, let_in(&["node-a", "node-b"])).await, Reply::Did);
    proven(&world, is_in(&["node-a", "node-b"])).await;
    assert_eq!(open(&world).await, ["app/node-a", "other/node-a", "other/node-b"]);
}

#[tokio::test]
async fn all_who_share_are_held_and_the_masters_users_go_on() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = shared(&sshd, &haproxy);
    let drained = Proof::SharedDrained { proxy: "proxy".into() };
    assert_eq!(perform(&world, let_in(&["node-a", "node-b"])).await, Reply::Did);
    assert!(matches!(prove(&world, &drained).await, Answer::NotYet(_)));
    let hold = Effect::HoldShared { proxy: "proxy".into() };
    assert_eq!(world.describe(&hold).len(), 2, "{:?}", world.describe(&hold));
    assert_eq!(perform(&world, hold).await, Reply::Did);
    proven(&world, drained).await;
    assert_eq!(open(&world).await, ["app/node-a"]);
    // A fence takes a host out of both.
    let sessions = Sessions::End;
    let fence = Effect::TakeOut { proxy: "proxy".into(), host: name("node-a"), sessions };
    assert_eq!(perform(&world, fence).await, Reply::Did);
    assert_eq!(open(&world).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_file_is_turned_for_the_master_and_for_all_apart() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = shared(&sshd, &haproxy);
    let before = std::fs::read_to_string(haproxy.dir.path().join("haproxy.cfg")).unwrap();
    assert_eq!(perform(&world, rewrite(&["node-a", "node-b"])).await, Reply::Did);
    proven(&world, file_says(&["node-a", "node-b"])).await;
    assert!(matches!(prove(&world, &file_says(&["node-a"])).await, Answer::NotYet(_)));
    let after = std::fs::read_to_string(haproxy.dir.path().join("haproxy.cfg")).unwrap();
    let changed = before.lines().zip(after.lines()).filter(|(old, new)| old != new).count();
    assert_eq!(changed, 1, "{after}");
    assert_eq!(perform(&world, rewrite(&["node-a"])).await, Reply::Did);
    let back = std::fs::read_to_string(haproxy.dir.path().join("haproxy.cfg")).unwrap();
    assert_eq!(back, before);
}

/// A backend that the file does not have is said, and nothing is written.
#[tokio::test]
async fn a_backend_that_is_not_there_is_refused() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let every_host = vec!["nope".to_owned()];
    let access = ProxyAccess { every_host, ..proxy(&sshd, haproxy.dir.path()) };
    let world = with_access(&sshd, access);
    let before = std::fs::read(haproxy.dir.path().join("haproxy.cfg")).unwrap();
    let reply = perform(&world, rewrite(&["node-a"])).await;
    let Reply::Refused(why) = &reply else { panic!("not refused: {reply:?}") };
    assert!(why.contains("there is no backend or listen section \"nope\""), "{why}");
    assert_eq!(std::fs::read(haproxy.dir.path().join("haproxy.cfg")).unwrap(), before);
    let seen = world.look(&Look::ProxyFile("proxy".into()), PATIENCE).await;
    assert!(seen.is_err_and(|silent| silent.to_string().contains("nope")));
}
