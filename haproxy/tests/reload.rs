//! Reloads of a real HAProxy while it has sessions: none is cut, in master-worker mode and without,
//! and an old worker that will not end is seen, cannot be turned, and is ended by its own limit.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command as Process, Stdio};

use haproxy::runtime::{
    AdminState, Batch, CliError, Command, ProcessTable, ReloadProof, ServerName, Target,
    split_answers,
};
use support::Running;

const CONFIGURATION: &str = "global
    stats socket {dir}/worker.sock mode 600 level admin expose-fd listeners
    maxconn {maxconn}
    hard-stop-after {limit}
defaults
    mode tcp
    timeout client 5m
    timeout server 5m
    timeout connect 5s
frontend web
    bind unix@{dir}/web.sock backlog 4096
    default_backend app
backend app
    server a 127.0.0.1:{port}
";

fn configuration(port: u16, limit: &str) -> String {
    configuration_for(500, port, limit)
}

/// HAProxy does not start when it may not have two files for each session and some more.
fn configuration_for(sessions: usize, port: u16, limit: &str) -> String {
    CONFIGURATION
        .replace("{maxconn}", &(sessions + 20).to_string())
        .replace("{port}", &port.to_string())
        .replace("{limit}", limit)
}

/// One session: the client's end and the server's.
type Session = (UnixStream, TcpStream);

/// Opens a session through the socket and proves that it works.
fn open(socket: &Path, listener: &TcpListener) -> Session {
    prove(UnixStream::connect(socket).expect("the frontend listens"), listener)
}

fn prove(client: UnixStream, listener: &TcpListener) -> Session {
    client.set_read_timeout(Some(support::PATIENCE)).expect("a time limit can be set");
    (&client).write_all(b"!").expect("the frontend reads");
    let (server, _) = listener.accept().expect("the session comes through");
    server.set_read_timeout(Some(support::PATIENCE)).expect("a time limit can be set");
    (&server).read_exact(&mut [0]).expect("the session comes through");
    (client, server)
}

/// Whether a byte goes through the session and another one back.
fn works((client, server): &Session) -> bool {
    let mut byte = [0];
    let mut go = || {
        (&*client).write_all(b"a")?;
        (&*server).read_exact(&mut byte)?;
        (&*server).write_all(&byte)?;
        (&*client).read_exact(&mut byte)
    };
    go().is_ok()
}

/// Sessions that this process may have, of those wanted: each takes two descriptors here. Only
/// root can raise the limit that HAProxy inherits.
fn sessions(wanted: usize) -> usize {
    let own = std::process::id().to_string();
    let _ = Process::new("prlimit")
        .args(["--pid", &own, "--nofile=65536:65536"])
        .stderr(Stdio::null())
        .status();
    let limits = std::fs::read_to_string("/proc/self/limits").expect("the limits can be read");
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let number = line.and_then(|line| line.split_whitespace().nth(3));
    let files: usize = number.and_then(|number| number.parse().ok()).unwrap_or(1024);
    wanted.min(files.saturating_sub(400) / 2)
}

fn table(running: &Running) -> Option<ProcessTable> {
    let answer = support::try_ask(&running.path("master.sock"), "show proc;quit\n")?;
    ProcessTable::parse(&answer).ok()
}

/// Reloads and waits for the proof of it.
fn reload(running: &Running) {
    let before = table(running).expect("the master answers");
    running.ask("master.sock", "reload\n");
    running.until("a new worker serves", || {
        table(running)
            .is_some_and(|after| matches!(before.proof(&after), ReloadProof::NewWorker { .. }))
    });
}

#[test]
fn no_session_is_cut_by_a_reload() {
    const WANTED: usize = 10_000;
    let Some(binary) = support::binary() else { return };
    let count = sessions(WANTED);
    println!("{count} sessions");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let running = Running::start(&binary, &configuration_for(count, port, "5m"));
    let socket = running.path("web.sock");
    let mut all: Vec<Session> = (0..count).map(|_| open(&socket, &listener)).collect();

    reload(&running);
    assert_eq!(table(&running).expect("the master answers").old_workers.len(), 1);
    assert_eq!(all.iter().filter(|session| !works(session)).count(), 0, "of {count} are cut");
    all.push(open(&socket, &listener));
    assert!(works(&all[count]), "the new worker serves");

    all.clear();
    running.until("the old worker has ended", || {
        table(&running).is_some_and(|now| now.old_workers.is_empty())
    });
}

/// What an old worker holds can be neither turned nor let go. It ends by its own limit.
#[test]
fn an_old_worker_is_seen_and_ends_by_its_limit() {
    let Some(binary) = support::binary() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let running = Running::start(&binary, &configuration(port, "2s"));
    let (mut client, _server) = open(&running.path("web.sock"), &listener);
    reload(&running);
    let old = table(&running).expect("the master answers").old_workers;
    assert_eq!(old.len(), 1);
    let name = ServerName::new("app", "a").expect("the names are plain");
    let turn = Command::SetServerState(name, AdminState::Maint);
    let batch = Batch::one(Target::Pid(old[0].pid), turn.clone()).expect("it can be sent");
    let answer = running.ask("master.sock", &batch.render());
    let answers = split_answers(&batch, &answer).expect("there is an answer");
    assert_eq!(turn.outcome(answers[0]), Err(CliError::ProxyDisabled));
    running.until("the limit ends it", || {
        table(&running).is_some_and(|now| now.old_workers.is_empty())
    });
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)), "its session has ended with it");
}

/// A port that another process holds: `-c` accepts the file, the reload fails, and the old worker
/// goes on.
#[test]
fn a_reload_onto_a_port_that_is_taken_fails_and_is_seen() {
    let Some(binary) = support::binary() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let running = Running::start(&binary, &configuration(port, "5m"));
    let socket = running.path("web.sock");
    let session = open(&socket, &listener);
    let old = configuration(port, "5m");
    let text = old.replace(" backlog", &format!("\n    bind 127.0.0.1:{port}\n    backlog"));
    let checked = text.replace("{dir}", "/tmp");
    assert!(support::check(&binary, checked.as_bytes()).accepted, "`-c` binds nothing");
    let inventory = |text: &str| haproxy::Inventory::of(&haproxy::Document::parse(text.as_bytes()));
    let added = inventory(&old).differences(&inventory(&text));
    assert_eq!(added.len(), 1, "the inventory names the new bind: {added:?}");

    running.rewrite(&text);
    let before = table(&running).expect("the master answers");
    running.ask("master.sock", "reload\n");
    running.until("the failure is told", || {
        let proof = table(&running).map(|after| before.proof(&after));
        assert!(!matches!(proof, Some(ReloadProof::NewWorker { .. })));
        proof == Some(ReloadProof::Failed)
    });
    assert!(works(&session), "the old worker keeps its sessions");
    let version = support::version(&binary);
    if (version.major, version.minor) < (2, 6) {
        return println!("not looked at: {version:?} never takes up its Unix socket again");
    }
    // It paused its listeners while the new one tried.
    let mut again = None;
    running.until("new ones are taken again", || {
        again = UnixStream::connect(&socket).ok();
        again.is_some()
    });
    assert!(works(&prove(again.expect("it was waited for"), &listener)));
}

/// A HAProxy without a master, ended with the test.
struct Alone(Child);

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Without a master a second process takes the listeners over from the first, which finishes what
/// it has.
#[test]
fn a_process_without_a_master_is_followed_without_a_cut() {
    const SESSIONS: usize = 200;
    let Some(binary) = support::binary() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let text = configuration(port, "5m");
    let text = text.replace("{dir}", &folder.path().display().to_string());
    let file = folder.path().join("haproxy.cfg");
    std::fs::write(&file, text).expect("the file can be written");
    let socket = folder.path().join("worker.sock");
    let start = |more: &[&str]| {
        let mut process = Process::new(&binary);
        let process = process.args(["-db", "-f"]).arg(&file).args(more);
        Alone(process.stderr(Stdio::null()).spawn().expect("haproxy can be started"))
    };
    let pid = || {
        let answer = support::try_ask(&socket, "show info\n")?;
        haproxy::runtime::Info::parse(&answer).ok().map(|info| info.pid)
    };
    let until = |what: &str, is_so: &mut dyn FnMut() -> bool| {
        let start = std::time::Instant::now();
        while !is_so() {
            assert!(start.elapsed() < support::PATIENCE, "not in time: {what}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    };
    let mut first = start(&[]);
    until("it is up", &mut || pid().is_some());
    let old = pid().expect("it answered before");
    let web = folder.path().join("web.sock");
    let all: Vec<Session> = (0..SESSIONS).map(|_| open(&web, &listener)).collect();

    let path = socket.display().to_string();
    let _second = start(&["-x", &path, "-sf", &old.to_string()]);
    until("another process answers", &mut || pid().is_some_and(|now| now != old));
    assert_eq!(all.iter().filter(|session| !works(session)).count(), 0);
    assert!(works(&open(&web, &listener)), "the new process serves");
    drop(all);
    until("the first has ended", &mut || matches!(first.0.try_wait(), Ok(Some(_))));
}
