//! One HTTP request of a client and what came of it, on a kept connection or on a new one.
//!
//! No request is repeated. Whether a POST that got no answer was done stays unknown.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::record::Outcome;

/// An open connection that can be asked again.
pub(super) type Sender = SendRequest<Full<Bytes>>;

/// Whether a client keeps its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connections {
    Kept,
    New,
}

/// Where requests go, and how long their answers are waited for, connecting included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) limit: Duration,
}

/// Sends a POST of a ticket with this id, or a GET where there is none. Uses the connection in
/// `kept`, if there is one, and leaves there what can be used again.
pub(super) async fn exchange(
    target: Target,
    connections: Connections,
    kept: &mut Option<Sender>,
    id: &str,
) -> (Outcome, String) {
    let asked = ask(target.address, connections, kept, id);
    let result = timeout(target.limit, asked).await;
    if result.is_err() || connections == Connections::New {
        *kept = None;
    }
    result.unwrap_or_else(|_| (Outcome::Unknown, "no answer within the limit".to_owned()))
}

async fn ask(
    address: SocketAddr,
    connections: Connections,
    kept: &mut Option<Sender>,
    id: &str,
) -> (Outcome, String) {
    let mut sender = match kept.take().filter(|sender| !sender.is_closed()) {
        Some(sender) => sender,
        None => match connect(address).await {
            Ok(sender) => sender,
            Err(why) => return (Outcome::Failed, why),
        },
    };
    let answer = match sender.send_request(request(id, connections)).await {
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
