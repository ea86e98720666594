//! Idle connections to a server that was down: a real HAProxy keeps them through maintenance, and
//! what the crate says closes them.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use haproxy::runtime::{AdminState, Command, ServerName, ServerRow, Status, close_idle};
use support::Running;

const CONFIGURATION: &str = "global
    stats socket {dir}/worker.sock mode 600 level admin
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 1s
frontend web
    bind unix@{dir}/web.sock
    default_backend app
backend app
    server a 127.0.0.1:{port} check port {probe} inter 50ms fall 1 pool-purge-delay 1h
";

fn row(running: &Running) -> ServerRow {
    let answers = running.order(vec![Command::ShowStat]);
    ServerRow::parse(&answers[0]).expect("the table can be read").remove(0)
}

/// One request and its answer, over a connection of its own.
fn request(running: &Running, application: &TcpListener) -> std::io::Result<TcpStream> {
    let mut client = UnixStream::connect(running.path("web.sock"))?;
    client.set_read_timeout(Some(support::PATIENCE))?;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")?;
    let mut server = application.accept()?.0;
    let mut seen = [0; 4096];
    assert!(server.read(&mut seen)? > 0);
    server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
    let read = client.read(&mut seen)?;
    assert!(seen[..read].starts_with(b"HTTP/1.1 200"), "{}", seen[..read].escape_ascii());
    Ok(server)
}

#[test]
fn connections_to_a_server_that_was_down_are_closed() {
    let Some(binary) = support::binary() else { return };
    let application = TcpListener::bind("127.0.0.1:0").unwrap();
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port().to_string();
    let text = CONFIGURATION.replace("{port}", &port(&application));
    let running = Running::start(&binary, &text.replace("{probe}", &port(&probe)));
    let mut kept = request(&running, &application).unwrap();
    running.until("the connection is idle", || row(&running).idle == Some(1));

    // Its host dies without a word: the probe fails, and no packet ends the connection.
    drop(probe);
    running.until("the server is down", || row(&running).status == Status::Down);
    let server = || ServerName::new("app", "a").unwrap();
    let set = |state| Command::SetServerState(server(), state);
    running.order(vec![set(AdminState::Maint)]);
    let before = row(&running);
    assert_eq!((before.idle, close_idle(&before).is_some()), (Some(1), true));

    let commands = close_idle(&before).unwrap().to_vec();
    for (command, answer) in commands.iter().zip(running.order(commands.clone())) {
        assert_eq!(command.outcome(&answer), Ok(()), "{answer}");
    }
    running.until("no connection is left", || row(&running).idle == Some(0));
    kept.set_read_timeout(Some(support::PATIENCE)).unwrap();
    let ended = kept.read(&mut [0; 1]).map_err(|error| error.kind());
    assert!(matches!(ended, Ok(0) | Err(ErrorKind::ConnectionReset)), "not closed: {ended:?}");
    let after = row(&running);
    assert_eq!((&after.address, close_idle(&after)), (&before.address, None));

    running.order(vec![set(AdminState::Ready)]);
    request(&running, &application).unwrap();
}
