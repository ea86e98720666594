//! Eyes and hands at a real HAProxy, through a real sshd: admission, file, reload, and everything
//! that must be refused.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it")]

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use observer_core::drive::{Answer, Reply};
use observer_core::plan::{Effect, Proof, Sessions};
use observer_core::sighting::{Admission, CheckResult, Look, Seen, Silent};
use support::pair::{
    PATIENCE, behind, behind_folder, name, order, perform, prove, proven, shown, with_real_config,
};
use support::proxy::{Haproxy, NODE_A, NODE_B, is_ended};
use support::sshd::Sshd;
use support::wait_until;

fn take_out(host: &str, sessions: Sessions) -> Effect {
    Effect::TakeOut { proxy: "proxy".into(), host: name(host), sessions }
}

fn let_in(host: &str) -> Effect {
    Effect::LetIn { proxy: "proxy".into(), host: name(host), everywhere: Vec::new() }
}

fn is_out(host: &str) -> Proof {
    Proof::IsOut { proxy: "proxy".into(), host: name(host) }
}

fn is_in(host: &str) -> Proof {
    Proof::IsIn { proxy: "proxy".into(), host: name(host), everywhere: Vec::new() }
}

fn rewrite(master: &str) -> Effect {
    Effect::Rewrite { proxy: "proxy".into(), master: name(master), everywhere: Vec::new() }
}

fn file_says(master: &str) -> Proof {
    Proof::FileSays { proxy: "proxy".into(), master: name(master), everywhere: Vec::new() }
}

#[track_caller]
fn refusal(reply: &Reply) -> &str {
    match reply {
        Reply::Refused(why) => why,
        reply => panic!("not refused: {reply:?}"),
    }
}

#[tokio::test]
async fn users_move_from_one_host_to_the_other() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let (session, node) = haproxy.visit().unwrap();
    assert_eq!(node, NODE_A);
    assert!(matches!(prove(&world, &is_out("node-a")).await, Answer::NotYet(_)));

    assert_eq!(perform(&world, take_out("node-a", Sessions::End)).await, Reply::Did);
    proven(&world, is_out("node-a")).await;
    wait_until("the open session is ended", Duration::from_secs(5), || is_ended(&session));

    assert_eq!(perform(&world, let_in("node-b")).await, Reply::Did);
    proven(&world, is_in("node-b")).await;
    wait_until("users reach node-b", Duration::from_secs(5), || {
        haproxy.visit().is_some_and(|(_, node)| node == NODE_B)
    });
    let described = world.describe(&take_out("node-a", Sessions::End));
    let described: Vec<&str> = described.iter().map(|line| line.command.as_str()).collect();
    assert_eq!(described.len(), 4, "{described:?}");
    assert!(described[0].ends_with("admin.sock: set server app/node-a state maint"));
    assert!(described[3].ends_with("shutdown sessions server other/node-a"), "{described:?}");
}

#[tokio::test]
async fn the_runtime_table_is_seen_by_host() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let began = Instant::now();
    let report = loop {
        match world.look(&Look::Proxy("proxy".into()), PATIENCE).await {
            Ok(Seen::Proxy(report)) if report.servers[0].check == CheckResult::Connects => {
                break report;
            }
            seen => assert!(began.elapsed() < PATIENCE, "{seen:?}"),
        }
    };
    let rows: Vec<String> = report
        .servers
        .iter()
        .map(|row| format!("{}/{} {} {:?}", row.backend, row.server, row.host, row.admission))
        .collect();
    let expected = [
        "app/node-a node-a LetIn",
        "app/node-b node-b TakenOut",
        "other/node-a node-a LetIn",
        "other/node-b node-b TakenOut",
    ];
    assert_eq!(rows, expected, "the waiting room and the stranger are not of the pair");
}

#[tokio::test]
async fn sessions_that_may_finish_do() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let (session, _) = haproxy.visit().unwrap();
    assert_eq!(perform(&world, take_out("node-a", Sessions::Finish)).await, Reply::Did);
    shown(&prove(&world, &is_out("node-a")).await);
    assert!(!is_ended(&session));
}

/// A client leaves while its host is silent, as one that lost its power is. No order ends such a
/// session, and nobody sends anything through it: it must not hold a failover up.
#[tokio::test]
async fn who_has_left_holds_no_fence_up() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let (gone, _) = haproxy.visit().unwrap();
    let (stays, _) = haproxy.visit().unwrap();
    haproxy.deafen_nodes();
    drop(gone);
    wait_until("the client is seen to have left", PATIENCE, || {
        haproxy.sessions().iter().any(|session| session.client_left)
    });
    assert_eq!(perform(&world, take_out("node-a", Sessions::End)).await, Reply::Did);
    let text = proven(&world, is_out("node-a")).await;
    assert!(text.contains("1 sessions whose clients have left"), "{text}");
    assert!(is_ended(&stays), "who is there is not let go on");
}

/// After a reload the old worker goes on with its sessions, out of reach of the runtime socket.
#[tokio::test]
async fn what_a_reload_left_behind_is_fenced_too() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let (session, node) = haproxy.visit().unwrap();
    assert_eq!(node, NODE_A);
    world.reload(&"proxy".into(), PATIENCE).await.unwrap();
    assert!(!is_ended(&session));

    assert_eq!(perform(&world, take_out("node-a", Sessions::Finish)).await, Reply::Did);
    let text = proven(&world, is_out("node-a")).await;
    assert!(text.contains("before a reload finish 1 sessions"), "{text}");

    // The old worker would give up by itself at `hard-stop-after`, long after this.
    let began = Instant::now();
    assert_eq!(perform(&world, take_out("node-a", Sessions::End)).await, Reply::Did);
    proven(&world, is_out("node-a")).await;
    wait_until("the old session is ended", Duration::from_secs(5), || is_ended(&session));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_order_of_an_older_epoch_is_refused() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    assert_eq!(world.perform(&order(7, take_out("node-a", Sessions::End))).await, Reply::Did);
    let late = world.perform(&order(6, let_in("node-a"))).await;
    assert!(refusal(&late).contains("epoch 6"), "{late:?}");
    shown(&prove(&world, &is_out("node-a")).await);
    assert_eq!(world.perform(&order(7, let_in("node-b"))).await, Reply::Did);
}

#[tokio::test]
async fn the_file_is_made_to_say_the_same_and_nothing_else_in_it_changes() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let before = haproxy.file();
    fs::set_permissions(haproxy.config(), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(haproxy.config(), Some(1), Some(2)).unwrap();
    shown(&prove(&world, &file_says("node-a")).await);
    assert!(matches!(prove(&world, &file_says("node-b")).await, Answer::NotYet(_)));

    assert_eq!(perform(&world, rewrite("node-b")).await, Reply::Did);
    shown(&prove(&world, &file_says("node-b")).await);
    let after = haproxy.file();
    let changed: Vec<(&str, &str)> =
        before.lines().zip(after.lines()).filter(|(old, new)| old != new).collect();
    assert_eq!(changed.len(), 4, "{changed:?}");
    assert!(changed.iter().all(|(old, _)| old.contains("server node-")), "{changed:?}");
    assert!(after.contains("check inter 100ms # the slave"), "{after}");

    let metadata = fs::metadata(haproxy.config()).unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o777), (1, 2, 0o640));
    let kept = fs::read_to_string(haproxy.path(".haproxy.cfg.ha-observer.last")).unwrap();
    assert_eq!(kept, before);
    assert!(!haproxy.path(".haproxy.cfg.ha-observer").exists());

    assert_eq!(perform(&world, rewrite("node-b")).await, Reply::Did);
    assert_eq!(fs::metadata(haproxy.config()).unwrap().ino(), metadata.ino(), "left alone");
}

#[tokio::test]
async fn the_file_is_seen_as_it_is_now() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let look = Look::ProxyFile("proxy".into());
    let admissions = async || match world.look(&look, PATIENCE).await {
        Ok(Seen::ProxyFile(report)) => {
            report.servers.iter().map(|server| server.admission).collect::<Vec<_>>()
        }
        seen => panic!("{seen:?}"),
    };
    use Admission::{LetIn, TakenOut};
    assert_eq!(admissions().await, [LetIn, TakenOut, LetIn, TakenOut]);
    assert_eq!(admissions().await, [LetIn, TakenOut, LetIn, TakenOut], "from memory");
    fs::write(haproxy.config(), haproxy.file().replace(" disabled", "")).unwrap();
    assert_eq!(admissions().await, [LetIn; 4]);
    fs::remove_file(haproxy.config()).unwrap();
    let gone = world.look(&look, PATIENCE).await;
    assert!(matches!(&gone, Err(Silent::Denied(text)) if text.contains("not there")), "{gone:?}");
}

#[tokio::test]
async fn a_file_that_haproxy_rejects_never_takes_its_place() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let broken = haproxy.file().replace("timeout connect", "timeout konnect");
    fs::write(haproxy.config(), &broken).unwrap();
    let reply = perform(&world, rewrite("node-b")).await;
    assert!(refusal(&reply).contains("HAProxy rejects"), "{reply:?}");
    assert!(refusal(&reply).contains("konnect"), "{reply:?}");
    assert_eq!(haproxy.file(), broken);
    assert!(!haproxy.path(".haproxy.cfg.ha-observer").exists());
}

/// A person who saves again and again: no save is lost, and the refusal shows the change.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_edits_the_file_meanwhile_wins() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let (path, stop) = (haproxy.config(), std::sync::Arc::new(std::sync::Mutex::new(false)));
    let until = stop.clone();
    let editor = std::thread::spawn(move || {
        let mut saved = 0;
        while !*until.lock().unwrap() {
            let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
            writeln!(file, "# save {saved}").unwrap();
            saved += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
        saved
    });
    let reply = perform(&world, rewrite("node-b")).await;
    *stop.lock().unwrap() = true;
    let saved: usize = editor.join().unwrap();
    assert!(refusal(&reply).contains("changed by somebody"), "{reply:?}");
    assert!(refusal(&reply).contains("+# save"), "{reply:?}");
    let file = haproxy.file();
    assert!(saved > 0 && (0..saved).all(|n| file.contains(&format!("# save {n}\n"))));
    assert!(file.contains("disabled # the slave"), "the rewrite did not happen");
    assert!(!haproxy.path(".haproxy.cfg.ha-observer").exists());
}

/// Draft, lock and rename are beside the file that the link leads to, however many links there are.
#[tokio::test]
async fn a_symbolic_link_is_followed_and_stays() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let (real, link) = (haproxy.path("own/real.cfg"), haproxy.path("link.cfg"));
    fs::create_dir(haproxy.path("own")).unwrap();
    fs::rename(haproxy.config(), &real).unwrap();
    symlink(&real, &link).unwrap();
    symlink(&link, haproxy.config()).unwrap();
    let unknown = behind(&sshd, &haproxy);
    let reply = perform(&unknown, rewrite("node-b")).await;
    let fix = format!("real_config = \"{}\"", real.display());
    assert!(refusal(&reply).contains(&fix), "{reply:?}");

    let world = with_real_config(&sshd, &haproxy, &real);
    let own_inode = fs::metadata(&real).unwrap().ino();
    assert_eq!(perform(&world, rewrite("node-b")).await, Reply::Did);
    assert_ne!(fs::metadata(&real).unwrap().ino(), own_inode, "it was renamed into its place");
    assert!(haproxy.file().contains("disabled"), "{}", haproxy.file());
    assert!(haproxy.config().is_symlink() && link.is_symlink() && !real.is_symlink());
    let kept = [".real.cfg.ha-observer.last".to_owned(), "real.cfg".to_owned()];
    assert_eq!(names(&haproxy.path("own")), kept, "no draft is left");
    assert!(!names(haproxy.dir.path()).iter().any(|name| name.contains("ha-observer")));
}

#[tokio::test]
async fn a_link_that_leads_nowhere_elsewhere_or_among_others_is_refused() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let folder = haproxy.path("own");
    let (real, other) = (folder.join("real.cfg"), folder.join("other.cfg"));
    fs::create_dir(&folder).unwrap();
    fs::rename(haproxy.config(), &real).unwrap();
    fs::copy(&real, &other).unwrap();
    let before = fs::read(&real).unwrap();
    let world = with_real_config(&sshd, &haproxy, &real);
    symlink(&other, haproxy.config()).unwrap();
    let reply = perform(&world, rewrite("node-b")).await;
    assert!(refusal(&reply).contains("other.cfg"), "{reply:?}");

    fs::remove_file(haproxy.config()).unwrap();
    symlink(&real, haproxy.config()).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o775)).unwrap();
    let reply = perform(&world, rewrite("node-b")).await;
    assert!(refusal(&reply).contains("others than root may write to"), "{reply:?}");

    fs::remove_file(&other).unwrap();
    fs::remove_file(haproxy.config()).unwrap();
    symlink(&other, haproxy.config()).unwrap();
    let reply = perform(&world, rewrite("node-b")).await;
    assert!(refusal(&reply).contains("leads to nothing"), "{reply:?}");
    assert_eq!(fs::read(&real).unwrap(), before);
    assert_eq!(names(&folder), ["real.cfg"]);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_server_the_file_hides_is_refused_with_its_line() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let hidden = haproxy.file().replace(
        "    server far",
        ".if defined(NOT_SET)\n    server more 127.0.0.12:80\n.endif\n    server far",
    );
    fs::write(haproxy.config(), &hidden).unwrap();
    let reply = perform(&world, rewrite("node-b")).await;
    assert!(refusal(&reply).contains("line "), "{reply:?}");
    assert_eq!(haproxy.file(), hidden);
}

/// Without a HAProxy the socket alone is no proof: who knows whether it is about to start.
#[tokio::test]
async fn a_dead_proxy_is_no_proof_while_its_unit_is_not_seen() {
    let (sshd, mut haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    haproxy.kill();
    let seen = world.look(&Look::Proxy("proxy".into()), PATIENCE).await;
    assert_eq!(seen, Ok(Seen::Refused));
    let reply = perform(&world, let_in("node-b")).await;
    assert_eq!(refusal(&reply), "HAProxy is not running on proxy");
    let reply = perform(&world, take_out("node-a", Sessions::End)).await;
    assert!(refusal(&reply).contains("HAProxy"), "{reply:?}");
    let answer = prove(&world, &is_out("node-a")).await;
    assert!(!matches!(answer, Answer::Shown(_)), "{answer:?}");
}

#[tokio::test]
async fn a_reload_that_fails_puts_the_kept_file_back() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    assert_eq!(perform(&world, rewrite("node-b")).await, Reply::Did);
    assert_eq!(perform(&world, rewrite("node-a")).await, Reply::Did);
    let good = fs::read_to_string(haproxy.path(".haproxy.cfg.ha-observer.last")).unwrap();
    fs::write(haproxy.config(), "global\n    nonsense\n").unwrap();
    let why = world.reload(&"proxy".into(), PATIENCE).await.unwrap_err();
    assert!(why.contains("the kept file is back and loaded"), "{why}");
    assert_eq!(haproxy.file(), good);
    wait_until("users are served by the kept file", Duration::from_secs(5), || {
        haproxy.visit().is_some_and(|(_, node)| node == NODE_B)
    });
}

/// What a socket says is another machine's word: it is bounded, and garbage is called garbage.
#[tokio::test]
async fn hostile_answers_are_bounded_and_unreadable() {
    let sshd = Sshd::start();
    let folder = tempfile::tempdir().unwrap();
    let world = behind_folder(&sshd, folder.path());
    let listener = tokio::net::UnixListener::bind(folder.path().join("admin.sock")).unwrap();
    let answers: [&[u8]; 3] = [b"\x1b[2J<html>\xff\xfe", b"", b"x"];
    tokio::spawn(async move {
        let mut turn = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            use tokio::io::AsyncWriteExt;
            // The last one never ends.
            let rounds = if turn == 2 { 100 << 10 } else { 1 };
            let block = if turn == 2 { vec![b'x'; 1024] } else { answers[turn].to_vec() };
            turn = (turn + 1) % answers.len();
            for _ in 0..rounds {
                if stream.write_all(&block).await.is_err() {
                    break;
                }
            }
        }
    });
    for _ in 0..answers.len() {
        let seen = world.look(&Look::Proxy("proxy".into()), PATIENCE).await;
        let Err(Silent::Garbage(text)) = &seen else { panic!("{seen:?}") };
        assert!(text.len() < 1000 && !text.chars().any(char::is_control), "{text}");
    }
    let reply = perform(&world, take_out("node-a", Sessions::End)).await;
    assert!(!matches!(reply, Reply::Did), "{reply:?}");
}
