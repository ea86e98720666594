//! One HTTP/1.1 GET over any byte stream, with a deadline and a size limit.
//!
//! It follows no redirects, speaks no TLS and keeps no connection: a probe wants the first answer
//! of exactly this server.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::ssh::Nature;
use crate::text::shown;

/// What to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpQuestion {
    /// The `Host` header.
    pub host: String,
    /// Path and query, starting with `/`.
    pub path: String,
    /// At most this many bytes of the body are kept.
    pub body_limit: usize,
}

/// What the server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// Names, in lower case, and values of the headers, in their order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, at most the limit of the question.
    pub body: Vec<u8>,
    /// Whether the body went on after the limit.
    pub truncated: bool,
    /// From sending the request to the end of the kept body.
    pub latency: Duration,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The answer was not complete within the deadline.
    #[error("no complete answer within {} ms", .after.as_millis())]
    Silent {
        /// The time that was allowed.
        after: Duration,
    },
    /// The server closed or reset the connection before its answer was complete.
    #[error("the connection was closed without an answer ({0})")]
    HungUp(String),
    /// The answer is not HTTP.
    #[error("the answer is not HTTP ({0})")]
    Garbage(String),
    /// Host or path cannot be written in a request.
    #[error("the request cannot be made: {0}")]
    BadQuestion(String),
}

impl HttpError {
    /// How much this proves about the server.
    pub fn nature(&self) -> Nature {
        match self {
            Self::Silent { .. } => Nature::Silent,
            Self::HungUp(_) | Self::Garbage(_) => Nature::Definite,
            Self::BadQuestion(_) => Nature::SetUp,
        }
    }
}

/// Asks `question` over `stream`, which is used up, and waits at most `deadline` in all.
pub async fn get<S>(
    stream: S,
    question: &HttpQuestion,
    deadline: Duration,
) -> Result<HttpAnswer, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let request = Request::get(&question.path)
        .header(header::HOST, &question.host)
        .header(header::USER_AGENT, "ha-observer")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| HttpError::BadQuestion(error.to_string()))?;
    let late = |_| HttpError::Silent { after: deadline };
    timeout(deadline, converse(stream, request, question.body_limit)).await.map_err(late)?
}

/// The longest head of an answer that is read.
const HEAD_MAX: usize = 64 * 1024;

async fn converse<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
    body_limit: usize,
) -> Result<HttpAnswer, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let began = Instant::now();
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| classify(&error))?;
    // The driver runs beside the question and ends with it, in whatever way that ends.
    let mut driver = tokio::task::JoinSet::new();
    driver.spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| classify(&error))?;
    let status = answer.status().as_u16();
    let header = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    let headers = answer.headers().iter().map(header).collect();
    let (mut body, mut truncated) = (Vec::new(), false);
    let mut rest = answer.into_body();
    while let Some(frame) = rest.frame().await {
        let frame = frame.map_err(|error| classify(&error))?;
        let Some(data) = frame.data_ref() else { continue };
        let kept = data.len().min(body_limit - body.len());
        body.extend_from_slice(&data[..kept]);
        if kept < data.len() {
            truncated = true;
            break;
        }
    }
    Ok(HttpAnswer { status, headers, body, truncated, latency: began.elapsed() })
}

fn classify(error: &hyper::Error) -> HttpError {
    let text = shown(error.to_string().as_bytes());
    if error.is_parse() { HttpError::Garbage(text) } else { HttpError::HungUp(text) }
}
