//! The waiting room with a real HAProxy: whoever comes while no server is usable is served by the
//! one that becomes ready, in every way of speaking; who gives up meanwhile is not served at all.

mod support;

#[path = "support/app.rs"]
mod app;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command as Process, Stdio};
use std::time::Duration;

use app::App;
use haproxy::runtime::{
    AdminState, Batch, Command, HoldingServer, Info, ServerName, ServerRow, Session, Target,
};
use support::Running;

/// Both hosts are out of use at the start, as in the gap of a switch.
const CONFIGURATION: &str = "global
    stats socket {dir}/worker.sock mode 600 level admin
defaults
    mode http
    timeout client 30s
    timeout server 30s
    timeout connect 100ms
    timeout queue 30s
    retries 300
    option redispatch 1
    option abortonclose
    option idle-close-on-response
frontend web
    bind unix@{dir}/web.sock
    bind unix@{dir}/tls.sock ssl crt {pem} alpn h2,http/1.1
    default_backend app
backend app
    balance roundrobin
    cookie SRV insert indirect nocache
    server a 127.0.0.1:{a} cookie a disabled
    server b 127.0.0.1:{b} cookie b disabled
    server hold 127.0.0.1:1 backup no-check
";

fn start(configuration: &str, a: &App, b: &App) -> Option<Running> {
    let binary = support::binary()?;
    let pem = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/site.pem");
    let text = configuration
        .replace("{a}", &a.port.to_string())
        .replace("{b}", &b.port.to_string())
        .replace("{pem}", &pem.display().to_string());
    Some(Running::start(&binary, &text))
}

fn server(name: &str) -> ServerName {
    ServerName::new("app", name).expect("the names are plain")
}

fn order(running: &Running, commands: Vec<Command>) {
    for (command, answer) in commands.iter().zip(running.order(commands.clone())) {
        assert_eq!(command.outcome(&answer), Ok(()), "{command}: {answer}");
    }
}

fn release(running: &Running, name: &str) {
    order(running, vec![Command::SetServerState(server(name), AdminState::Ready)]);
}

/// Requests that HAProxy has for the backend and that no server has answered.
fn waiting(running: &Running) -> usize {
    let answer = running.ask("worker.sock", "show sess\n");
    let sessions = Session::parse(&answer).expect("the sessions can be read");
    sessions.iter().filter(|session| session.backend.as_deref() == Some("app")).count()
}

fn connect(running: &Running) -> UnixStream {
    let stream = UnixStream::connect(running.path("web.sock")).expect("the frontend listens");
    stream.set_read_timeout(Some(support::PATIENCE)).expect("a time limit can be set");
    stream
}

fn post(running: &Running, path: &str, body: &[u8], header: &str) -> UnixStream {
    let mut stream = connect(running);
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: a\r\n{header}Content-Length: {length}\r\n\r\n");
    // In one piece: a request that is not whole yet ends with its client in any case.
    let request = [head.as_bytes(), body].concat();
    stream.write_all(&request).expect("the frontend reads");
    stream
}

/// The head of an answer and its body, which is the name of who gave it.
fn answer(mut stream: UnixStream) -> (String, String) {
    let mut text = String::new();
    let mut part = [0; 4096];
    while !text.ends_with("\r\n\r\na") && !text.ends_with("\r\n\r\nb") {
        let count = stream.read(&mut part).expect("an answer comes in time");
        assert!(count > 0, "the connection ended: {text}");
        text += &String::from_utf8_lossy(&part[..count]);
    }
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
    (head.to_owned(), body.to_owned())
}

#[test]
fn a_cookie_of_the_old_master_does_not_bind_who_waits() {
    let (a, b) = (App::start("a"), App::start("b"));
    let Some(running) = start(CONFIGURATION, &a, &b) else { return };
    let bound = post(&running, "/bound", b"x", "Cookie: SRV=a\r\n");
    let free = post(&running, "/free", b"x", "");
    running.until("both wait", || waiting(&running) == 2);
    release(&running, "b");
    for stream in [bound, free] {
        let (head, body) = answer(stream);
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("SRV=b"), "{head}");
        assert_eq!(body, "b");
    }
    assert_eq!((a.ran().len(), b.ran().len()), (0, 2), "each is run once");
}

#[test]
fn a_large_body_waits_and_arrives_whole() {
    let (a, b) = (App::start("a"), App::start("b"));
    let Some(running) = start(CONFIGURATION, &a, &b) else { return };
    let body = vec![b'x'; 4 << 20];
    std::thread::scope(|scope| {
        // HAProxy reads no more than a buffer of it until there is a server.
        let sender = scope.spawn(|| answer(post(&running, "/large", &body, "")));
        running.until("it waits", || waiting(&running) == 1);
        release(&running, "b");
        assert_eq!(sender.join().expect("it is answered").1, "b");
    });
    let ran: Vec<usize> = b.ran().iter().map(|ran| ran.length).collect();
    assert_eq!(ran, [body.len()]);
}

/// Clients that close while they wait: none of their requests runs, and one that stayed does. With
/// the option in the backend only, which rule W11 reports, they all run, before 2.8.
#[test]
fn who_gives_up_is_not_served() {
    const GONE: usize = 20;
    let only_backend = CONFIGURATION
        .replace("    option abortonclose\n", "")
        .replace("\nbackend app\n", "\nbackend app\n    option abortonclose\n");
    let Some(binary) = support::binary() else { return };
    let version = support::version(&binary);
    let phantoms = if (version.major, version.minor) < (2, 8) { GONE } else { 0 };
    for (configuration, phantoms) in [(CONFIGURATION, 0), (only_backend.as_str(), phantoms)] {
        let (a, b) = (App::start("a"), App::start("b"));
        let Some(running) = start(configuration, &a, &b) else { return };
        let gone: Vec<UnixStream> =
            (0..GONE).map(|_| post(&running, "/gone", b"money", "")).collect();
        running.until("all wait", || waiting(&running) == GONE);
        drop(gone);
        let stayed = post(&running, "/stayed", b"money", "");
        running.until("who stayed waits", || waiting(&running) == phantoms + 1);
        release(&running, "b");
        assert_eq!(answer(stayed).1, "b");
        running.until("nobody waits", || waiting(&running) == 0);
        let count = |path| b.ran().iter().filter(|ran| ran.path == path).count();
        assert_eq!((count("/gone"), count("/stayed")), (phantoms, 1));
    }
}

/// A request of curl to the TLS socket, in this version of HTTP.
fn curl(running: &Running, version: &str) -> Child {
    Process::new("curl")
        .args(["--silent", "--show-error", "--insecure", "--max-time", "20", version])
        .args(["--data", "money", "--write-out", " %{http_version} %{http_code}"])
        .arg("--unix-socket")
        .arg(running.path("tls.sock"))
        .arg("https://proxy.example/tls")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("curl can be started")
}

#[test]
fn requests_over_tls_and_http_2_wait() {
    if Process::new("curl").arg("--version").output().is_err() {
        return println!("skipped: no curl on PATH, which speaks TLS and HTTP/2 here");
    }
    let (a, b) = (App::start("a"), App::start("b"));
    let Some(running) = start(CONFIGURATION, &a, &b) else { return };
    let old = curl(&running, "--http1.1");
    let new = curl(&running, "--http2");
    running.until("both wait", || waiting(&running) >= 2);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(b.ran(), []);
    release(&running, "b");
    for (child, wanted) in [(old, "b 1.1 200"), (new, "b 2 200")] {
        let output = child.wait_with_output().expect("curl ends");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(String::from_utf8_lossy(&output.stdout), wanted, "{error}");
    }
    assert_eq!(b.ran().len(), 2, "each is run once");
}

/// Passes every connection on to the address that is set, and lets it wait until one is.
fn forward(listener: TcpListener, target: impl Fn() -> Option<SocketAddr> + Send + Sync + 'static) {
    let target = std::sync::Arc::new(target);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let target = std::sync::Arc::clone(&target);
            std::thread::spawn(move || {
                let at = loop {
                    match target() {
                        Some(at) => break at,
                        None => std::thread::sleep(Duration::from_millis(5)),
                    }
                };
                let server = TcpStream::connect(at).expect("the new master listens");
                let copy = |mut from: TcpStream, mut to: TcpStream| {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                };
                let pair = (client.try_clone(), server.try_clone());
                let (Ok(client_too), Ok(server_too)) = pair else { return };
                std::thread::spawn(move || copy(client_too, server_too));
                copy(server, client);
            });
        }
    });
}

/// A file that may not be changed has no waiting room: a server made at run time holds one request
/// at the observer's own port, and all others queue behind it.
#[test]
fn a_server_made_at_run_time_holds_where_the_file_has_no_room() {
    const CLIENTS: usize = 20;
    let (a, b) = (App::start("a"), App::start("b"));
    let plain = CONFIGURATION
        .replace("    server hold 127.0.0.1:1 backup no-check\n", "")
        .replace(" cookie a disabled", "");
    let Some(running) = start(&plain, &a, &b) else { return };
    let info = Info::parse(&running.ask("worker.sock", "show info\n")).expect("it can be read");
    if !info.version.has_dynamic_servers() {
        return println!("skipped: {:?} has no servers made at run time", info.version);
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let holding = HoldingServer::new(server("hold"), listener.local_addr().expect("it is bound"))
        .expect("the names are plain");
    let open = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (is_open, to) = (std::sync::Arc::clone(&open), ([127, 0, 0, 1], b.port).into());
    forward(listener, move || is_open.load(std::sync::atomic::Ordering::SeqCst).then_some(to));

    for commands in holding.begin(&[server("a")]) {
        order(&running, commands);
    }
    let clients: Vec<UnixStream> =
        (0..CLIENTS).map(|number| post(&running, &format!("/{number}"), b"money", "")).collect();
    running.until("all wait", || waiting(&running) == CLIENTS);
    assert_eq!((a.ran().len(), b.ran().len()), (0, 0));

    open.store(true, std::sync::atomic::Ordering::SeqCst);
    for commands in holding.release(&server("b"), 0) {
        order(&running, commands);
    }
    for client in clients {
        assert!(answer(client).0.starts_with("HTTP/1.1 200"));
    }
    let mut paths: Vec<String> = b.ran().into_iter().map(|ran| ran.path).collect();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!((paths.len(), b.ran().len(), a.ran().len()), (CLIENTS, CLIENTS, 0), "each once");

    let batch = Batch::one(Target::Worker, holding.remove()).expect("it can be sent");
    running.until("the server can be removed", || {
        let text = running.ask("worker.sock", &batch.render());
        holding.remove().outcome(text.trim()).is_ok()
    });
    let rows = ServerRow::parse(&running.ask("worker.sock", "show stat\n")).expect("a table");
    assert!(rows.iter().all(|row| row.server != "hold"));
}
