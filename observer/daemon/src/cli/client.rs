//! The command line's way to the daemon: HTTP over its Unix socket.
//!
//! It interprets no report. Every failure names what to do about it.

use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::api::types::Problem;

/// How long an answer may take beyond what the request itself asks to wait.
const ANSWER: Duration = Duration::from_secs(20);

/// Why there is no answer to use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody listens.
    #[error("the daemon does not answer at {0}\n  fix: systemctl start ha-observer")]
    NotRunning(String),
    /// This account may not use the socket.
    #[error(
        "this account may not use {0}\n  fix: use sudo, or join the group named in observer.toml"
    )]
    Denied(String),
    /// The daemon answered with a problem.
    #[error("{}\n  fix: {}", .0.message, .0.fix)]
    Problem(Problem),
    /// The daemon took what was asked and went away before it answered.
    #[error(
        "the daemon went away before it answered ({0}): an order may have been taken, and is then \
         carried out or taken back at its next start\n  fix: see `ha-observer status` and \
         `ha-observer events`"
    )]
    Unanswered(String),
    /// The daemon went away while it was asked for a report; nothing was ordered.
    #[error(
        "the daemon went away before it answered ({0})\n  fix: see `systemctl status ha-observer`"
    )]
    Gone(String),
    /// The daemon answered something else.
    #[error("the daemon's answer cannot be used: {0}\n  fix: see `journalctl -u ha-observer`")]
    Answer(String),
}

/// The daemon's socket.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the daemon at `socket`; nothing is sent yet.
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Gets a report.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        read(self.send(Method::GET, path, Bytes::new(), ANSWER).await?)
    }

    /// Gets a report for which the daemon may wait.
    pub(crate) async fn wait<T: DeserializeOwned>(
        &self,
        path: &str,
        wait: Duration,
    ) -> Result<T, ClientError> {
        read(self.send(Method::GET, path, Bytes::new(), wait + ANSWER).await?)
    }

    /// Gives an order.
    pub(crate) async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|why| ClientError::Answer(why.to_string()))?;
        read(self.send(Method::POST, path, body.into(), ANSWER).await?)
    }

    /// Gives an order that may take so long.
    pub(crate) async fn post_within<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        limit: Duration,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|why| ClientError::Answer(why.to_string()))?;
        read(self.send(Method::POST, path, body.into(), limit).await?)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        limit: Duration,
    ) -> Result<Bytes, ClientError> {
        let sending = self.try_send(method, path, body);
        let late = || ClientError::NotRunning(self.socket.display().to_string());
        tokio::time::timeout(limit, sending).await.unwrap_or_else(|_| Err(late()))
    }

    async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|why| {
            let socket = self.socket.display().to_string();
            match why.kind() {
                std::io::ErrorKind::PermissionDenied => ClientError::Denied(socket),
                _ => ClientError::NotRunning(socket),
            }
        })?;
        let orders = method != Method::GET;
        let answer = |why: hyper::Error| match orders {
            true => ClientError::Unanswered(why.to_string()),
            false => ClientError::Gone(why.to_string()),
        };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(answer)?;
        // Its error is the request's error, told below.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "ha-observer")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|why| ClientError::Answer(why.to_string()))?;
        let response = sender.send_request(request).await.map_err(answer)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(answer)?.to_bytes();
        if status.is_success() { Ok(body) } else { Err(problem(status, &body)) }
    }
}

fn problem(status: StatusCode, body: &[u8]) -> ClientError {
    match serde_json::from_slice(body) {
        Ok(problem) => ClientError::Problem(problem),
        Err(_) => ClientError::Answer(format!("{status}: {}", String::from_utf8_lossy(body))),
    }
}

fn read<T: DeserializeOwned>(body: Bytes) -> Result<T, ClientError> {
    serde_json::from_slice(&body).map_err(|why| ClientError::Answer(why.to_string()))
}

/// A text as one segment of a path or one value of a query.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => out.push(byte.into()),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
