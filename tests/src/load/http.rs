//! Many HTTP clients: each worker alternates GET and POST, half of them on kept connections.
//!
//! No request is repeated. Whether a POST that got no answer was done stays unknown.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::record::{Attempt, Kind, Outcome, Record};

type Sender = SendRequest<Full<Bytes>>;

/// How the clients behave.
#[derive(Debug, Clone)]
pub struct HttpLoad {
    /// The proxy.
    pub address: SocketAddr,
    /// How many clients; every second one opens a new connection for each request.
    pub workers: usize,
    /// The pause of a worker between two requests.
    pub pause: Duration,
    /// How long they run, unless told to end earlier.
    pub duration: Duration,
    /// How long a worker waits for an answer, connecting included.
    pub request_limit: Duration,
}

/// Whether a worker keeps its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connections {
    Kept,
    New,
}

/// Runs the load to its end; requests in flight then are waited for.
pub async fn run(load: &HttpLoad) -> std::io::Result<Record> {
    let record = Arc::new(Mutex::new(Record::begin()));
    let (stop, stopped) = tokio::sync::watch::channel(());
    let mut workers = JoinSet::new();
    for number in 0..load.workers {
        let connections = if number % 2 == 0 { Connections::Kept } else { Connections::New };
        let (load, record) = (load.clone(), Arc::clone(&record));
        let mut stopped = stopped.clone();
        workers.spawn(async move {
            let worker = Worker { load, record, number, connections };
            worker.work(&mut stopped).await;
        });
    }
    super::end(load.duration).await?;
    let _ = stop.send(());
    while workers.join_next().await.is_some() {}
    let record = Arc::into_inner(record).expect("all workers have ended");
    Ok(record.into_inner().unwrap_or_else(PoisonError::into_inner))
}

struct Worker {
    load: HttpLoad,
    record: Arc<Mutex<Record>>,
    number: usize,
    connections: Connections,
}

impl Worker {
    async fn work(&self, stopped: &mut tokio::sync::watch::Receiver<()>) {
        let mut sender = None;
        let (run, began) = (std::process::id(), self.locked(|record| record.summary()));
        for round in 0_u64.. {
            // Workers alternate in opposite phases, so that there are always both kinds.
            let write = (round + self.number as u64 / 2).is_multiple_of(2);
            let id = if write {
                format!("{}-{run}-{}-{round}", began.began_unix_ms, self.number)
            } else {
                String::new()
            };
            let start_us = self.locked(|record| record.now_us());
            let (outcome, why) = self.attempt(&mut sender, &id).await;
            if self.connections == Connections::New {
                sender = None;
            }
            let kind = if write { Kind::Write } else { Kind::Read };
            self.locked(|record| {
                let end_us = record.now_us();
                record.enter(Attempt { start_us, end_us, kind, outcome, id, why });
            });
            tokio::select! {
                _ = stopped.changed() => return,
                () = tokio::time::sleep(self.load.pause) => {}
            }
        }
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Record) -> T) -> T {
        work(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn attempt(&self, kept: &mut Option<Sender>, id: &str) -> (Outcome, String) {
        match timeout(self.load.request_limit, self.exchange(kept, id)).await {
            Ok(result) => result,
            Err(_) => {
                *kept = None;
                (Outcome::Unknown, "no answer within the limit".to_owned())
            }
        }
    }

    async fn exchange(&self, kept: &mut Option<Sender>, id: &str) -> (Outcome, String) {
        let mut sender = match kept.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => match connect(self.load.address).await {
                Ok(sender) => sender,
                Err(why) => return (Outcome::Failed, why),
            },
        };
        let answer = match sender.send_request(request(id, self.connections)).await {
            Ok(answer) => answer,
            Err(error) => return (Outcome::Unknown, format!("send: {error}")),
        };
        let status = answer.status();
        let body = match answer.into_body().collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return (Outcome::Unknown, format!("body: {error}")),
        };
        *kept = Some(sender);
        let wanted = if id.is_empty() { StatusCode::OK } else { StatusCode::CREATED };
        if status == wanted {
            return (Outcome::Ok, String::new());
        }
        let body: String = String::from_utf8_lossy(&body).chars().take(120).collect();
        (Outcome::Unknown, format!("{status}: {}", body.trim()))
    }
}

async fn connect(address: SocketAddr) -> Result<Sender, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
    stream.set_nodelay(true).map_err(|error| format!("connect: {error}"))?;
    let (sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|error| format!("connect: {error}"))?;
    tokio::spawn(async move {
        // The end of the connection shows in the next request.
        let _ = connection.await;
    });
    Ok(sender)
}

/// A POST of a ticket with this id, or a GET where there is none.
fn request(id: &str, connections: Connections) -> Request<Full<Bytes>> {
    let (method, path, body) = if id.is_empty() {
        (Method::GET, "/tickets?limit=1", String::new())
    } else {
        let ticket = serde_json::json!({ "id": id, "title": "load", "attachment": id });
        (Method::POST, "/tickets", ticket.to_string())
    };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "desk")
        .header("content-type", "application/json");
    if connections == Connections::New {
        request = request.header("connection", "close");
    }
    request.body(Full::new(Bytes::from(body))).expect("all parts of the request are constants")
}
