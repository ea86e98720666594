//! What HAProxy 2.4 to 3.2 really answered, kept in `tests/answers`: every version's words are read
//! by every run of the tests, whichever version is installed.
//!
//! To record those of another version: `RECORD_ANSWERS=1 HAPROXY_BINARY=… cargo test -p haproxy
//! --test recorded`.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use haproxy::runtime::{
    AdminState, Batch, CliError, Command, Info, ProcessTable, Reload, ServerName, ServerRow,
    ServerState, Session, Status, Target, Token, Version, is_last_word, split_answers,
};
use support::Running;

const CONFIGURATION: &str = "global
    stats socket {dir}/worker.sock mode 600 level admin
    stats socket {dir}/user.sock mode 600 level user
    hard-stop-after 2s
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 1s
frontend web
    bind unix@{dir}/web.sock
    default_backend app
backend app
    balance roundrobin
    server a 127.0.0.1:1
    server b 127.0.0.1:1 disabled
    server hold 127.0.0.1:1 backup no-check
backend checked
    server c 127.0.0.1:1 check inter 50ms fall 1
backend follower
    server d 127.0.0.1:1 track checked/c
";

fn server(name: &str) -> ServerName {
    let (backend, server) = name.split_once('/').expect("the name has a backend");
    ServerName::new(backend, server).expect("the names are plain")
}

fn token(text: &str) -> Token {
    Token::new(text).expect("the word is plain")
}

/// Commands to a worker in order, each with the name of its file and what its answer must mean.
fn commands() -> Vec<(&'static str, Command, Result<(), CliError>)> {
    let state = |name, state| Command::SetServerState(server(name), state);
    let address = |port| {
        let at = ([127, 0, 0, 1], port).into();
        Command::SetServerAddress(server("app/a"), at)
    };
    let add = || {
        let keywords = vec![token("maxconn"), token("1")];
        Command::AddServer(server("app/dynamic"), token("127.0.0.1:2"), keywords)
    };
    let delete = |name| Command::DelServer(server(name));
    vec![
        ("set-maint", state("app/a", AdminState::Maint), Ok(())),
        ("set-drain", state("app/a", AdminState::Drain), Ok(())),
        ("set-ready", state("app/a", AdminState::Ready), Ok(())),
        ("set-no-server", state("app/zz", AdminState::Ready), Err(CliError::NoSuchServer)),
        ("set-no-backend", state("zz/a", AdminState::Ready), Err(CliError::NoSuchBackend)),
        ("set-weight", Command::SetServerWeight(server("app/a"), 7), Ok(())),
        ("set-maxconn", Command::SetServerMaxconn(server("app/a"), 50), Ok(())),
        ("set-address", address(3), Ok(())),
        ("set-address-again", address(3), Ok(())),
        ("shutdown-sessions", Command::ShutdownSessions(server("app/a")), Ok(())),
        ("add-server", add(), Ok(())),
        ("add-server-again", add(), Err(CliError::AlreadyExists)),
        ("enable-server", Command::EnableServer(server("app/dynamic")), Ok(())),
        ("del-in-use", delete("app/dynamic"), Err(CliError::NotInMaintenance)),
        ("dynamic-maint", state("app/dynamic", AdminState::Maint), Ok(())),
        ("del-server", delete("app/dynamic"), Ok(())),
        ("enable-health", Command::EnableHealth(server("checked/c")), Ok(())),
    ]
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/answers")
}

/// The recorded answers of all versions, by version and file.
fn recorded() -> BTreeMap<String, BTreeMap<String, String>> {
    let list = |folder: &Path| -> Vec<(String, PathBuf)> {
        let entries = std::fs::read_dir(folder).expect("the answers are there");
        let paths = entries.map(|entry| entry.expect("they can be listed").path());
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        paths.filter_map(|path| Some((name(&path)?, path))).collect()
    };
    let versions = list(&folder()).into_iter();
    let texts = |folder: PathBuf| {
        let files = list(&folder).into_iter();
        files
            .map(|(name, path)| (name, std::fs::read_to_string(path).expect("it is text")))
            .collect()
    };
    versions.map(|(version, folder)| (version, texts(folder))).collect()
}

/// Asks everything of the binary at hand and writes the answers down.
#[test]
fn answers_are_recorded_on_demand() {
    if std::env::var_os("RECORD_ANSWERS").is_none() {
        return;
    }
    let binary = support::binary().expect("a binary to record");
    let Version { major, minor, .. } = support::version(&binary);
    let folder = folder().join(format!("{major}.{minor}"));
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let running = Running::start(&binary, CONFIGURATION);
    let directory = running.path("").display().to_string();
    let directory = directory.trim_end_matches('/');
    let keep = |name: &str, answer: &str| {
        // Names of the machine and of its folders say nothing.
        let lines = answer.split_inclusive('\n').map(|line| match line.strip_prefix("node: ") {
            Some(_) => "node: proxy\n".to_owned(),
            None => line.replace(directory, "/etc/haproxy"),
        });
        std::fs::write(folder.join(name), lines.collect::<String>()).expect("it can be written");
    };
    let worker = |command| Batch::one(Target::Worker, command).expect("it can be sent").render();
    for (name, command, _) in commands() {
        keep(name, &running.ask("worker.sock", &worker(command)));
    }
    running.until("the check has failed", || {
        running.ask("worker.sock", "show stat\n").contains("DOWN")
    });
    for (name, command) in [
        ("show-stat", Command::ShowStat),
        ("show-info", Command::ShowInfo),
        ("show-servers-state", Command::ShowServersState(None)),
        ("show-sess", Command::ShowSessions),
    ] {
        keep(name, &running.ask("worker.sock", &worker(command)));
    }
    keep("user-denied", &running.ask("user.sock", "set server app/a state maint\n"));
    keep("unknown-command", &running.ask("worker.sock", "open the doors\n"));
    keep("no-such-worker", &running.ask("master.sock", "@!4000000000 show info;quit\n"));
    keep("show-proc", &running.ask("master.sock", "show proc;quit\n"));
    keep("reload", &running.ask("master.sock", "reload\n"));
    let table = || {
        let answer = support::try_ask(&running.path("master.sock"), "show proc;quit\n")?;
        ProcessTable::parse(&answer).ok()
    };
    running.until("the reload is over", || table().is_some_and(|now| now.workers.len() == 1));
    running.rewrite("global\n    bogus\n");
    keep("reload-failed", &running.ask("master.sock", "reload\n"));
    running.until("the failure is counted", || {
        table().is_some_and(|now| now.failed_reloads.is_none_or(|count| count > 0))
    });
    keep("show-proc-failed", &running.ask("master.sock", "show proc;quit\n"));
}

#[test]
fn answers_of_every_version_are_read() {
    let recorded = recorded();
    let versions: Vec<&str> = recorded.keys().map(String::as_str).collect();
    assert_eq!(versions, ["2.4", "2.6", "2.8", "3.0", "3.2"]);
    for (version, answers) in &recorded {
        let branch = Version::parse(version).expect("the folder is named after a version");
        let answer = |name: &str| {
            answers.get(name).unwrap_or_else(|| panic!("{version} has no {name}")).as_str()
        };
        for (name, command, expected) in commands() {
            let batch = Batch::one(Target::Worker, command.clone()).expect("it can be sent");
            let found = split_answers(&batch, answer(name)).and_then(|all| command.outcome(all[0]));
            let is_dynamic = command.to_string().contains("app/dynamic");
            if is_dynamic && !branch.has_dynamic_servers() {
                assert!(found.is_err(), "{version} {name}: {found:?}");
            } else {
                assert_eq!(found, expected, "{version} {name}");
            }
        }
        tables(branch, answer);
        errors(branch, answer);
    }
}

fn tables<'a>(branch: Version, answer: impl Fn(&str) -> &'a str) {
    let rows = ServerRow::parse(answer("show-stat")).expect("the table can be read");
    let row = |name: &str| rows.iter().find(|row| row.server == name).expect("it is there");
    assert_eq!(rows.len(), 5, "{branch:?}");
    assert_eq!(
        (&row("c").status, row("c").check_status.as_deref()),
        (&Status::Down, Some("L4CON"))
    );
    assert_eq!((&row("b").status, row("b").idle), (&Status::Maint, Some(0)));
    assert_eq!((&row("hold").status, row("hold").backup), (&Status::NoCheck, true));
    assert_eq!((row("a").address.as_deref(), row("a").weight), (Some("127.0.0.1:3"), Some(7)));
    assert!(rows.iter().all(|row| row.mode.as_deref() == Some("http") && row.changed_s.is_some()));

    let states = ServerState::parse(answer("show-servers-state")).expect("the table can be read");
    let state = |name: &str| states.iter().find(|state| state.server == name).expect("it is there");
    assert_eq!((state("a").port, state("a").weight), (Some(3), Some(7)));
    assert!(state("b").admin.is_maint() && !state("a").admin.is_maint());

    let info = Info::parse(answer("show-info")).expect("the process can be read");
    assert_eq!((info.version.major, info.version.minor), (branch.major, branch.minor));
    assert!(!info.stopping && info.pid > 0);
    let sessions = Session::parse(answer("show-sess")).expect("the sessions can be read");
    assert!(sessions.iter().any(|session| session.frontend == "GLOBAL"));

    let before = ProcessTable::parse(answer("show-proc")).expect("the processes can be read");
    let after = ProcessTable::parse(answer("show-proc-failed")).expect("they can be read");
    assert_eq!((before.workers.len(), before.old_workers.len()), (1, 0), "{branch:?}");
    assert_eq!(before.master.pid, after.master.pid);
    assert!(after.master.reloads > before.master.reloads, "{branch:?}");
}

fn errors<'a>(branch: Version, answer: impl Fn(&str) -> &'a str) {
    let ask = Command::SetServerState(server("app/a"), AdminState::Maint);
    for (name, error) in [
        ("user-denied", CliError::PermissionDenied),
        ("unknown-command", CliError::UnknownCommand),
        ("no-such-worker", CliError::NoSuchProcess),
    ] {
        assert_eq!(ask.outcome(answer(name)), Err(error), "{branch:?}");
    }
    assert!(is_last_word(answer("no-such-worker")));
    let good = Reload::parse(answer("reload")).expect("the answer can be read");
    let bad = Reload::parse(answer("reload-failed")).expect("the answer can be read");
    if branch.reload_answers() {
        assert!(matches!(good, Reload::Succeeded(_)), "{branch:?}: {good:?}");
        assert!(matches!(bad, Reload::Failed(_)), "{branch:?}: {bad:?}");
    } else {
        assert_eq!((good, bad), (Reload::Silent, Reload::Silent), "{branch:?}");
    }
}
