//! The runtime protocol against a real HAProxy: what is sent is understood, what comes back is
//! read, and the errors that HAProxy words itself are the ones the crate knows.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use haproxy::runtime::{
    AdminState, Batch, CliError, Command, Info, ProcessTable, Reload, ReloadProof, ServerName,
    ServerRow, ServerState, Session, Status, Target, Token, split_answers,
};
use support::Running;

const CONFIGURATION: &str = "global
    stats socket {dir}/worker.sock mode 600 level admin
    stats socket {dir}/user.sock mode 600 level user
    hard-stop-after 2s
defaults
    mode tcp
    timeout client 10s
    timeout server 10s
    timeout connect 1s
frontend web
    bind unix@{dir}/web.sock
    default_backend app
backend app
    balance roundrobin
    server a 127.0.0.1:{port}
    server b 127.0.0.1:1 disabled
    server hold 127.0.0.1:1 backup no-check
backend follower
    server a 127.0.0.1:1 track checked/c
backend checked
    server c 127.0.0.1:1 check inter 50ms fall 1
";

fn start(port: u16) -> Option<Running> {
    let binary = support::binary()?;
    Some(Running::start(&binary, &CONFIGURATION.replace("{port}", &port.to_string())))
}

fn server(backend: &str, name: &str) -> ServerName {
    ServerName::new(backend, name).expect("the names are plain")
}

fn set(name: &str, state: AdminState) -> Command {
    Command::SetServerState(server("app", name), state)
}

fn one(running: &Running, command: Command) -> Result<(), CliError> {
    let answers = running.order(vec![command.clone()]);
    command.outcome(&answers[0])
}

fn row(running: &Running, name: &str) -> ServerRow {
    let answers = running.order(vec![Command::ShowStat]);
    let rows = ServerRow::parse(&answers[0]).expect("the table can be read");
    let (backend, server) = name.split_once('/').expect("the name has a backend");
    let found = rows.into_iter().find(|row| row.backend == backend && row.server == server);
    found.expect("the server is in the table")
}

#[test]
fn states_are_set_and_read_back() {
    let Some(running) = start(1) else { return };
    let maint = set("a", AdminState::Maint);
    let ready = set("b", AdminState::Ready);
    let checked = Command::SetServerState(server("checked", "c"), AdminState::Maint);
    let mut commands = vec![maint, ready, checked];
    commands.extend([Command::ShowStat, Command::ShowServersState(None)]);
    let answers = running.order(commands.clone());
    for (command, answer) in commands.iter().zip(&answers).take(3) {
        assert_eq!(command.outcome(answer), Ok(()));
    }

    let rows = ServerRow::parse(&answers[3]).unwrap();
    let status = |name: &str| {
        let row = rows.iter().find(|row| format!("{}/{}", row.backend, row.server) == name);
        row.map(|row| row.status.clone())
    };
    assert_eq!(status("app/a"), Some(Status::Maint));
    assert_eq!(status("app/b"), Some(Status::NoCheck));
    assert_eq!(status("follower/a"), Some(Status::Maint), "it tracks checked/c");
    assert_eq!(rows.len(), 5, "frontends and backends are no servers");

    let states = ServerState::parse(&answers[4]).unwrap();
    let admin = |name: &str| {
        let state =
            states.iter().find(|state| format!("{}/{}", state.backend, state.server) == name);
        state.expect("the server is in the table").admin
    };
    assert!(admin("app/a").is_maint() && !admin("app/a").was_configured_disabled());
    assert!(!admin("app/b").is_maint() && admin("app/b").was_configured_disabled());

    assert_eq!(one(&running, set("a", AdminState::Drain)), Ok(()));
    assert_eq!(row(&running, "app/a").status, Status::Drain);
}

#[test]
fn check_results_are_read() {
    let Some(running) = start(1) else { return };
    running.until("the check has failed", || row(&running, "checked/c").status == Status::Down);
    let row = row(&running, "checked/c");
    assert_eq!(row.check_status.as_deref(), Some("L4CON"));
    assert_eq!(row.last_check.as_deref(), Some("Connection refused"));
    assert_eq!(row.address.as_deref(), Some("127.0.0.1:1"));
    assert!(row.changed_s.is_some());
}

#[test]
fn errors_are_known_by_their_text() {
    let Some(running) = start(1) else { return };
    assert_eq!(one(&running, set("zz", AdminState::Maint)), Err(CliError::NoSuchServer));
    let elsewhere = Command::SetServerState(server("nope", "a"), AdminState::Maint);
    assert_eq!(one(&running, elsewhere), Err(CliError::NoSuchBackend));
    let heavy = Command::SetServerWeight(server("app", "a"), 300);
    assert!(matches!(one(&running, heavy), Err(CliError::BadArgument(_))));
    let backend = haproxy::runtime::Name::new("nope").unwrap();
    let answers = running.order(vec![Command::ShowServersState(Some(backend))]);
    assert_eq!(ServerState::parse(&answers[0]), Err(CliError::NoSuchBackend));

    let maint = set("a", AdminState::Maint);
    let answer = running.ask("user.sock", &format!("{maint}\n"));
    assert_eq!(maint.outcome(&answer), Err(CliError::PermissionDenied));
    let answer = running.ask("worker.sock", "show proc\n");
    assert_eq!(ProcessTable::parse(&answer), Err(CliError::UnknownCommand));
}

#[test]
fn servers_come_and_go_at_run_time() {
    let Some(running) = start(1) else { return };
    let word = |text: &str| Token::new(text).unwrap();
    let name = server("app", "dynamic");
    let keywords = vec![word("maxconn"), word("1")];
    let add = Command::AddServer(name.clone(), word("127.0.0.1:2"), keywords);
    let info = Info::parse(&running.order(vec![Command::ShowInfo])[0]).unwrap();
    if !info.version.has_dynamic_servers() {
        return assert_eq!(one(&running, add), Err(CliError::ExperimentalOnly));
    }
    assert_eq!(one(&running, add.clone()), Ok(()));
    assert_eq!(one(&running, add), Err(CliError::AlreadyExists));
    assert_eq!(row(&running, "app/dynamic").status, Status::Maint);
    assert_eq!(one(&running, Command::EnableServer(name.clone())), Ok(()));
    assert_eq!(row(&running, "app/dynamic").status, Status::NoCheck);
    let delete = Command::DelServer(name.clone());
    assert_eq!(one(&running, delete.clone()), Err(CliError::NotInMaintenance));
    let maint = Command::SetServerState(name, AdminState::Maint);
    let answers = running.order(vec![maint, delete.clone()]);
    assert_eq!(delete.outcome(&answers[1]), Ok(()));
    let tracked = server("checked", "c");
    let maint = Command::SetServerState(tracked.clone(), AdminState::Maint);
    assert_eq!(one(&running, maint), Ok(()));
    assert!(matches!(one(&running, Command::DelServer(tracked)), Err(CliError::InUse(_))));
}

/// A session is counted, outlives the maintenance of its server, and ends on order.
#[test]
fn sessions_are_counted_and_ended() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let Some(running) = start(listener.local_addr().unwrap().port()) else { return };
    let mut client = UnixStream::connect(running.path("web.sock")).unwrap();
    client.set_read_timeout(Some(support::PATIENCE)).unwrap();
    client.write_all(b"hello").unwrap();
    let mut peer: TcpStream = listener.accept().unwrap().0;
    peer.read_exact(&mut [0; 5]).unwrap();

    assert_eq!(one(&running, set("a", AdminState::Maint)), Ok(()));
    assert_eq!(row(&running, "app/a").sessions, 1);
    let sessions = Session::parse(&running.order(vec![Command::ShowSessions])[0]).unwrap();
    let on_a = |session: &&Session| session.server.as_deref() == Some("a");
    assert_eq!(sessions.iter().filter(on_a).count(), 1);

    assert_eq!(one(&running, Command::ShutdownSessions(server("app", "a"))), Ok(()));
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest);
    running.until("the session has ended", || row(&running, "app/a").sessions == 0);
}

/// A client leaves while its server is silent: no order ends its session, only the time limit.
#[test]
fn who_left_is_told_and_stays() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let Some(running) = start(listener.local_addr().unwrap().port()) else { return };
    let mut client = UnixStream::connect(running.path("web.sock")).unwrap();
    client.write_all(b"hello").unwrap();
    let mut peer: TcpStream = listener.accept().unwrap().0;
    peer.read_exact(&mut [0; 5]).unwrap();
    let on_a = || {
        let sessions = Session::parse(&running.order(vec![Command::ShowSessions])[0]).unwrap();
        sessions.into_iter().find(|session| session.server.as_deref() == Some("a"))
    };
    assert!(on_a().is_some_and(|session| !session.client_left));
    drop(client);
    // Later versions keep this elsewhere, and it is not read.
    let version = support::version(&support::binary().expect("it was started"));
    if (version.major, version.minor) >= (2, 8) {
        return;
    }
    running.until("its client is seen to have left", || on_a().is_some_and(|s| s.client_left));
    assert_eq!(one(&running, set("a", AdminState::Maint)), Ok(()));
    assert_eq!(one(&running, Command::ShutdownSessions(server("app", "a"))), Ok(()));
    assert!(on_a().is_some_and(|session| session.client_left), "it stays whatever is ordered");
    drop(peer);
    running.until("it ends with its server", || on_a().is_none());
}

/// With no real server in use a client waits, and is served by the one that becomes ready: no
/// reload, no failed connection. The waiting room is the one that the crate adds to a file.
#[test]
fn a_client_waits_until_a_server_is_ready() {
    let Some(binary) = support::binary() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let plain = CONFIGURATION.replace("    server hold 127.0.0.1:1 backup no-check\n", "");
    let plain = plain.replace("    server b 127.0.0.1:1 disabled", "    server b 127.0.0.1:{port}");
    let text = plain.replace("{port}", &port.to_string());
    let members = haproxy::Members::default().with_server("app", "b", "node-b");
    let document = haproxy::Document::parse(text.as_bytes());
    let held = haproxy::add_waiting_rooms(&document, &members).unwrap();
    let running = Running::start(&binary, std::str::from_utf8(&held.to_bytes()).unwrap());
    for name in ["a", "b"] {
        assert_eq!(one(&running, set(name, AdminState::Maint)), Ok(()));
    }
    let mut client = UnixStream::connect(running.path("web.sock")).unwrap();
    client.set_read_timeout(Some(support::PATIENCE)).unwrap();
    client.write_all(b"hello").unwrap();
    // Between two tries the waiting session is on no server, so its backend is what is asked.
    running.until("the client waits", || {
        let answers = running.order(vec![Command::ShowSessions]);
        let sessions = Session::parse(&answers[0]).expect("the table can be read");
        sessions.iter().any(|session| session.backend.as_deref() == Some("app"))
            && row(&running, "app/hold").sessions_total > 0
    });
    assert_eq!(row(&running, "app/b").sessions_total, 0);

    assert_eq!(one(&running, set("b", AdminState::Ready)), Ok(()));
    let mut peer: TcpStream = listener.accept().unwrap().0;
    let mut greeting = [0; 5];
    peer.read_exact(&mut greeting).unwrap();
    peer.write_all(&greeting).unwrap();
    client.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"hello");
    assert_eq!(row(&running, "app/b").sessions_total, 1);
}

#[test]
fn the_master_reaches_its_workers() {
    let Some(running) = start(1) else { return };
    let master = |target, commands| {
        let batch = Batch::new(target, commands).unwrap();
        let answer = running.ask("master.sock", &batch.render());
        split_answers(&batch, &answer).map(|all| all.iter().map(|one| one.to_string()).collect())
    };
    let ask = |target, commands| -> Vec<String> { master(target, commands).unwrap() };
    let table = ProcessTable::parse(&ask(Target::Master, vec![Command::ShowProc])[0]).unwrap();
    let worker = table.workers[0].pid;
    let answers = ask(
        Target::Pid(worker),
        vec![set("a", AdminState::Maint), Command::ShowInfo, set("zz", AdminState::Ready)],
    );
    assert_eq!(set("a", AdminState::Maint).outcome(&answers[0]), Ok(()));
    let info = Info::parse(&answers[1]).unwrap();
    assert_eq!((info.pid, info.stopping), (worker, false));
    assert_eq!(set("zz", AdminState::Ready).outcome(&answers[2]), Err(CliError::NoSuchServer));
    let states = ask(Target::CurrentWorker, vec![Command::ShowServersState(None)]);
    assert!(ServerState::parse(&states[0]).unwrap().iter().any(|state| state.admin.is_maint()));
    let nobody = ask(Target::Pid(u32::MAX), vec![Command::ShowInfo]);
    assert_eq!(Info::parse(&nobody[0]), Err(CliError::NoSuchProcess));
}

#[test]
fn a_reload_is_proven_and_a_failed_one_too() {
    let Some(running) = start(1) else { return };
    let version = Info::parse(&running.order(vec![Command::ShowInfo])[0]).unwrap().version;
    let proc = || {
        let batch = Batch::one(Target::Master, Command::ShowProc).unwrap();
        // While it loads, the master is away for a moment: no answer is no news.
        let answer = support::try_ask(&running.path("master.sock"), &batch.render())?;
        ProcessTable::parse(&answer).ok()
    };
    let reload = || {
        let batch = Batch::one(Target::Master, Command::Reload).unwrap();
        Reload::parse(&running.ask("master.sock", &batch.render())).unwrap()
    };
    let before = proc().unwrap();
    let answer = reload();
    assert_eq!(version.reload_answers(), answer != Reload::Silent, "{version:?} {answer:?}");
    let mut after = None;
    running.until("a new worker serves", || {
        after = proc();
        let proof = after.as_ref().map(|after| before.proof(after));
        assert_ne!(proof, Some(ReloadProof::Failed));
        matches!(proof, Some(ReloadProof::NewWorker { .. }))
    });

    let before = after.unwrap();
    running.rewrite("global\n    bogus\n");
    assert!(!matches!(reload(), Reload::Succeeded(_)));
    running.until("the failure is told", || {
        let proof = proc().map(|after| before.proof(&after));
        assert!(!matches!(proof, Some(ReloadProof::NewWorker { .. })));
        proof == Some(ReloadProof::Failed)
    });
    assert_eq!(one(&running, set("a", AdminState::Maint)), Ok(()), "the old worker serves");
}
