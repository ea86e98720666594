//! A small HTTP application: it answers every request with its name and remembers what it ran.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What one request was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Bytes of its body.
    pub(crate) length: usize,
}

/// A running application. It ends with the test.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) port: u16,
    ran: Arc<Mutex<Vec<Ran>>>,
}

impl App {
    pub(crate) fn start(name: &'static str) -> App {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let app = App { port, ran: Arc::default() };
        let ran = Arc::clone(&app.ran);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let ran = Arc::clone(&ran);
                // A connection that HAProxy cuts ends its thread, which is all that is to be done.
                std::thread::spawn(move || serve(name, &stream, &ran).unwrap_or_default());
            }
        });
        app
    }

    /// The requests that were run so far.
    pub(crate) fn ran(&self) -> Vec<Ran> {
        self.ran.lock().expect("no request panicked").clone()
    }
}

fn serve(name: &str, stream: &TcpStream, ran: &Mutex<Vec<Ran>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut words = first.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let header = header.trim().to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or_default();
            }
            if header.is_empty() {
                break;
            }
        }
        let body = std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        let length = usize::try_from(body).expect("a body fits into memory");
        ran.lock().expect("no request panicked").push(Ran { method, path, length });
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
        (&*stream).write_all(answer.as_bytes())?;
    }
}
