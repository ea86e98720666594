//! The time from the order to "no new session reaches the old server", with a real HAProxy on
//! loopback: by the runtime API, and by a rewritten file and a reload.
//!
//! Clients open a session each millisecond without end. The figure is when the last one that the
//! old server got was opened, counted from the order; below zero is written as zero.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(missing_docs, reason = "a program has no interface")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use haproxy::Document;
use haproxy::runtime::{AdminState, Batch, Command, ServerName, Target};
use support::Running;

const RUNS: usize = 21;
/// How long sessions are opened after an order.
const AFTER: Duration = Duration::from_millis(400);

const CONFIGURATION: &str = "global
    stats socket {dir}/worker.sock mode 600 level admin expose-fd listeners
    hard-stop-after 1s
defaults
    mode tcp
    timeout client 5s
    timeout server 5s
    timeout connect 1s
frontend web
    bind unix@{dir}/web.sock
    default_backend app
backend app
    server a 127.0.0.1:{a}
    server b 127.0.0.1:{b} disabled
";

/// A server that says its name and closes.
fn start(name: u8) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // A client that is gone already needs no name.
            let _ = stream.write_all(&[name]);
        }
    });
    port
}

/// Opens a session each millisecond until told to end; answers when each that `a` got was opened.
fn knock(socket: &Path, end: &AtomicBool, reached: &Mutex<Vec<Instant>>) {
    while !end.load(Ordering::Relaxed) {
        let opened = Instant::now();
        let mut name = [0];
        let answer = UnixStream::connect(socket).and_then(|mut stream| {
            stream.set_read_timeout(Some(support::PATIENCE))?;
            stream.read_exact(&mut name)
        });
        if answer.is_ok() && name == *b"a" {
            reached.lock().expect("no client panicked").push(opened);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// One figure: `order` is done while sessions are opened.
fn measure(running: &Running, order: impl FnOnce()) -> Duration {
    let socket = running.path("web.sock");
    let (end, reached) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let ordered = std::thread::scope(|scope| {
        scope.spawn(|| knock(&socket, &end, &reached));
        std::thread::sleep(Duration::from_millis(50));
        let ordered = Instant::now();
        order();
        std::thread::sleep(AFTER);
        end.store(true, Ordering::Relaxed);
        ordered
    });
    let reached = reached.into_inner().expect("no client panicked");
    let last = reached.last().expect("before the order the old server is reached");
    last.saturating_duration_since(ordered)
}

fn report(how: &str, mut figures: Vec<Duration>) {
    figures.sort_unstable();
    let ms = |at: usize| figures[at].as_secs_f64() * 1_000.0;
    println!(
        "{how}: median {:.1} ms, {:.1} to {:.1} ms, {} runs",
        ms(RUNS / 2),
        ms(0),
        ms(RUNS - 1),
        figures.len()
    );
}

fn main() {
    let Some(binary) = support::binary() else { return };
    println!("{:?}", support::version(&binary));
    let text = CONFIGURATION.replace("{a}", &start(b'a').to_string());
    let text = text.replace("{b}", &start(b'b').to_string());
    let mut turned = Document::parse(text.as_bytes());
    turned.set_server_disabled("app", "a").expect("the server is there");
    turned.set_server_enabled("app", "b").expect("the server is there");
    let turned = String::from_utf8(turned.to_bytes()).expect("it is text");

    let set = |name, state| {
        let server = ServerName::new("app", name).expect("the names are plain");
        Command::SetServerState(server, state)
    };
    let turn = vec![set("b", AdminState::Ready), set("a", AdminState::Maint)];
    let turn = Batch::new(Target::Worker, turn).expect("it can be sent").render();
    let running = Running::start(&binary, &text);
    let figures = (0..RUNS).map(|_| {
        let took = measure(&running, || drop(running.ask("worker.sock", &turn)));
        running.ask("worker.sock", "set server app/a state ready;set server app/b state maint\n");
        took
    });
    report("by the runtime API", figures.collect());
    let figures = (0..RUNS).map(|_| {
        let running = Running::start(&binary, &text);
        measure(&running, || {
            running.rewrite(&turned);
            running.ask("master.sock", "reload\n");
        })
    });
    report("by a reload of the rewritten file", figures.collect());
}
