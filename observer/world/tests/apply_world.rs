//! Changes of a real HAProxy's file that end in a reload: applied and proven, or the old file is
//! whole and HAProxy runs with it.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it")]

mod support;

use std::cell::RefCell;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use observer_core::drive::{Answer, Reply};
use observer_core::plan::{Effect, Proof, Sessions};
use observer_world::access::HttpProbe;
use observer_world::pair_world::{Applied, ApplyStep, NewFile, PairWorld};
use support::pair::{behind, name, perform, prove, proven, with_probe, with_real_config};
use support::proxy::{Haproxy, NODE_A};
use support::sshd::Sshd;
use support::{free_port, wait_until};

fn new_file(haproxy: &Haproxy, change: impl Fn(&str) -> String) -> NewFile {
    let before = haproxy.file();
    let after = change(&before).into_bytes();
    NewFile { proxy: "proxy".into(), before: before.into(), after, master: name("node-a") }
}

/// One more backend: its server runs once the new content is loaded.
fn with_backend(text: &str) -> String {
    format!("{text}backend third\n    server x 127.0.0.98:9\n")
}

async fn apply(world: &PairWorld, file: &NewFile) -> (Applied, Vec<ApplyStep>) {
    let steps = RefCell::new(Vec::new());
    let acted = world.plans_acted();
    let applied = world.apply(file, acted, &|step| steps.borrow_mut().push(step)).await;
    (applied, steps.into_inner())
}

#[track_caller]
fn assert_as_before(haproxy: &Haproxy, file: &NewFile) {
    assert_eq!(haproxy.file().as_bytes(), file.before, "the old file is whole");
    assert!(!haproxy.path(".haproxy.cfg.ha-observer").exists(), "no draft is left");
    wait_until("users are served", Duration::from_secs(5), || {
        haproxy.visit().is_some_and(|(_, node)| node == NODE_A)
    });
}

#[tokio::test]
async fn a_change_is_loaded_and_proven_and_the_session_under_way_stays() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let (session, _) = haproxy.visit().unwrap();
    let file = new_file(&haproxy, with_backend);
    world.prepare(&file).await.unwrap();
    assert_eq!(haproxy.file().as_bytes(), file.before, "a check touches nothing");
    let (applied, steps) = apply(&world, &file).await;
    assert!(matches!(&applied, Applied::Loaded(seen) if seen.contains("worker")), "{applied:?}");
    assert_eq!(steps, [ApplyStep::Put, ApplyStep::Ordered, ApplyStep::Proven]);
    assert_eq!(haproxy.file().as_bytes(), file.after);
    assert!(!support::proxy::is_ended(&session), "the old worker goes on with it");
    assert!(haproxy.visit().is_some());
}

/// An address that is not there passes `haproxy -c`, which binds nothing.
#[tokio::test]
async fn a_new_file_that_cannot_be_bound_is_taken_back() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let file = new_file(&haproxy, |text| {
        text.replace(
            "    default_backend app\n",
            "    bind 192.0.2.77:81\n    default_backend app\n",
        )
    });
    world.prepare(&file).await.unwrap();
    let (applied, steps) = apply(&world, &file).await;
    let Applied::RolledBack(why) = &applied else { panic!("{applied:?}") };
    assert!(why.contains("the old content is back and loaded"), "{why}");
    assert_eq!(steps, [ApplyStep::Put, ApplyStep::Ordered, ApplyStep::Back]);
    assert_as_before(&haproxy, &file);
}

#[tokio::test]
async fn a_port_that_another_process_holds_is_found_before_anything_is_touched() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().port();
    let file = new_file(&haproxy, |text| {
        let more = format!("    bind 127.0.0.1:{taken}\n    default_backend app\n");
        text.replace("    default_backend app\n", &more)
    });
    let why = world.prepare(&file).await.unwrap_err();
    assert!(why.contains("another process listens at this port"), "{why}");
    assert_as_before(&haproxy, &file);
}

#[tokio::test]
async fn what_haproxy_rejects_is_found_before_anything_is_touched() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let file = new_file(&haproxy, |text| {
        text.replace("    default_backend app\n", "    bind 192.0.2.77:81 ssl crt /no/such.pem\n")
    });
    let why = world.prepare(&file).await.unwrap_err();
    assert!(why.contains("HAProxy rejects the new file") && why.contains("no/such.pem"), "{why}");
    let (applied, steps) = apply(&world, &file).await;
    assert!(matches!(&applied, Applied::Refused(why) if why.contains("rejects")), "{applied:?}");
    assert!(steps.is_empty());
    assert_as_before(&haproxy, &file);
}

/// A reload brings up a worker that knows only the file: none is ordered once a plan has begun to
/// tell the running one who is let in.
#[tokio::test]
async fn a_plan_goes_first() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let file = new_file(&haproxy, with_backend);
    let acted = world.plans_acted();
    let effect =
        Effect::LetIn { proxy: "proxy".into(), host: name("node-a"), everywhere: Vec::new() };
    perform(&world, effect).await;
    let applied = world.apply(&file, acted, &|_| {}).await;
    assert!(matches!(&applied, Applied::Refused(why) if why.contains("plan")), "{applied:?}");
    assert_as_before(&haproxy, &file);
}

/// Whenever a plan fences the master while a change is under way, it is out in the end: at the
/// worker that the reload brings up, too, which knows only the file.
#[tokio::test]
async fn a_fence_during_a_change_holds_at_the_worker_that_comes_up() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let (proxy, host) = (|| "proxy".into(), || name("node-a"));
    let out = Proof::IsOut { proxy: proxy(), host: host() };
    for (round, delay_ms) in [0, 40, 80, 120, 180, 260].into_iter().enumerate() {
        let file = new_file(&haproxy, |text| format!("{text}# round {round}\n"));
        let fence = async {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            let sessions = Sessions::Finish;
            perform(&world, Effect::TakeOut { proxy: proxy(), host: host(), sessions }).await
        };
        let ((applied, _), fenced) = tokio::join!(apply(&world, &file), fence);
        assert_eq!(fenced, Reply::Did, "{delay_ms} ms: {applied:?}");
        proven(&world, out.clone()).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let still = prove(&world, &out).await;
        assert!(matches!(still, Answer::Shown(_)), "{delay_ms} ms: {applied:?}, then {still:?}");
        perform(&world, Effect::LetIn { proxy: proxy(), host: host(), everywhere: Vec::new() })
            .await;
    }
}

/// The file lies on another disk than its link: the draft is beside it, or it could not be renamed.
#[tokio::test]
async fn a_change_behind_a_symbolic_link_is_loaded_and_taken_back_there() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let disk = tempfile::tempdir_in("/dev/shm").unwrap();
    let real = disk.path().join("real.cfg");
    let first = new_file(&haproxy, with_backend);
    fs::write(&real, haproxy.file()).unwrap();
    fs::remove_file(haproxy.config()).unwrap();
    symlink(&real, haproxy.config()).unwrap();
    let unknown = behind(&sshd, &haproxy);
    let why = unknown.prepare(&first).await.unwrap_err();
    assert!(why.contains("real_config"), "{why}");

    let world = with_real_config(&sshd, &haproxy, &real);
    world.prepare(&first).await.unwrap();
    let (applied, _) = apply(&world, &first).await;
    assert!(matches!(applied, Applied::Loaded(_)), "{applied:?}");
    assert!(haproxy.config().is_symlink());
    assert_eq!(fs::read(&real).unwrap(), first.after);

    let second = new_file(&haproxy, |text| {
        let more = "    bind 192.0.2.77:81\n    default_backend app\n";
        text.replace("    default_backend app\n", more)
    });
    let (applied, _) = apply(&world, &second).await;
    assert!(matches!(applied, Applied::RolledBack(_)), "{applied:?}");
    assert!(haproxy.config().is_symlink());
    assert_eq!(fs::read(&real).unwrap(), second.before);
    assert!(!disk.path().join(".real.cfg.ha-observer").exists(), "no draft is left");
}

/// Every server runs and the master is let in, and users get the wrong answer all the same.
#[tokio::test]
async fn a_change_after_which_the_frontend_does_not_answer_well_is_taken_back() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let asked = free_port();
    let probe = HttpProbe {
        address: "127.0.0.1".to_owned(),
        port: asked,
        path: "/healthcheck".to_owned(),
        host_header: None,
        status: 200,
    };
    let world = with_probe(&sshd, &haproxy, probe);
    let answers = |text: &str, status: u16| {
        format!(
            "{text}frontend probed\n    mode http\n    bind 127.0.0.1:{asked}\n    \
             http-request return status {status}\n"
        )
    };
    let ill = new_file(&haproxy, |text| answers(text, 503));
    let (applied, steps) = apply(&world, &ill).await;
    let Applied::RolledBack(why) = &applied else { panic!("{applied:?}") };
    assert!(why.contains("does not answer /healthcheck well: status 503"), "{why}");
    assert_eq!(steps, [ApplyStep::Put, ApplyStep::Ordered, ApplyStep::Back]);
    assert_as_before(&haproxy, &ill);
    let absent = new_file(&haproxy, with_backend);
    let (applied, _) = apply(&world, &absent).await;
    let refused = matches!(&applied, Applied::RolledBack(why) if why.contains("refused"));
    assert!(refused, "{applied:?}");
    let well = new_file(&haproxy, |text| answers(text, 200));
    let (applied, _) = apply(&world, &well).await;
    let told = matches!(&applied, Applied::Loaded(seen) if seen.contains("the frontend answers"));
    assert!(told, "{applied:?}");
}

/// Requests that wait in a worker could not be released once it is replaced.
#[tokio::test]
async fn nothing_is_loaded_while_users_wait() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let (proxy, host) = ("proxy".into(), name("node-a"));
    perform(&world, Effect::TakeOut { proxy, host, sessions: Sessions::Finish }).await;
    let file = new_file(&haproxy, with_backend);
    let why = world.prepare(&file).await.unwrap_err();
    assert!(why.contains("users of backend app wait"), "{why}");
    let (applied, _) = apply(&world, &file).await;
    assert!(matches!(applied, Applied::Refused(_)), "{applied:?}");
    assert_eq!(haproxy.file().as_bytes(), file.before);
}

#[tokio::test]
async fn whoever_edits_the_file_after_it_was_shown_wins() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let file = new_file(&haproxy, with_backend);
    let edited = format!("{}# by hand\n", haproxy.file());
    fs::write(haproxy.config(), &edited).unwrap();
    let (applied, _) = apply(&world, &file).await;
    let changed = matches!(&applied, Applied::Refused(why) if why.contains("by somebody"));
    assert!(changed, "{applied:?}");
    assert_eq!(haproxy.file(), edited);
}

/// Two writers never interleave: whoever has the folder's lock is waited for, and then told of.
#[tokio::test]
async fn a_writer_that_hangs_is_told_and_nothing_is_written_beside_it() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let file = new_file(&haproxy, with_backend);
    let mut holder = Command::new("flock");
    let mut holder =
        holder.arg("-F").arg(haproxy.dir.path()).args(["sleep", "60"]).spawn().unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (applied, _) = apply(&world, &file).await;
    let _ = holder.kill();
    let _ = holder.wait();
    let told = matches!(&applied, Applied::Refused(why) if why.contains("somebody else"));
    assert!(told, "{applied:?}");
    assert_as_before(&haproxy, &file);
    let (applied, _) = apply(&world, &file).await;
    assert!(matches!(applied, Applied::Loaded(_)), "{applied:?}");
}

/// Neither is a file begun that could not be loaded afterwards.
#[tokio::test]
async fn a_master_socket_that_does_not_answer_is_found_first() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let file = new_file(&haproxy, with_backend);
    world.prepare(&file).await.unwrap();
    fs::rename(haproxy.path("master.sock"), haproxy.path("away.sock")).unwrap();
    let why = world.prepare(&file).await.unwrap_err();
    assert!(why.contains("the master socket"), "{why}");
    fs::rename(haproxy.path("away.sock"), haproxy.path("master.sock")).unwrap();
    assert_as_before(&haproxy, &file);
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A file system that takes no write.
#[tokio::test]
async fn a_read_only_file_system_leaves_the_old_file() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let folder = haproxy.path("fixed");
    fs::create_dir(&folder).unwrap();
    let mount = ["-t", "tmpfs", "-o", "mode=755", "tmpfs"];
    assert!(Command::new("mount").args(mount).arg(&folder).status().unwrap().success());
    let _unmount = Unmount(folder.clone());
    fs::copy(haproxy.config(), folder.join("haproxy.cfg")).unwrap();
    let remount = ["-o", "remount,ro"];
    assert!(Command::new("mount").args(remount).arg(&folder).status().unwrap().success());
    let world = support::pair::with_config(&sshd, &haproxy, &folder.join("haproxy.cfg"));
    let file = new_file(&haproxy, with_backend);
    let why = world.prepare(&file).await.unwrap_err();
    assert!(why.to_lowercase().contains("read-only"), "{why}");
    let (applied, _) = apply(&world, &file).await;
    assert!(matches!(applied, Applied::Refused(_)), "{applied:?}");
    assert_eq!(fs::read(folder.join("haproxy.cfg")).unwrap(), file.before);
}
