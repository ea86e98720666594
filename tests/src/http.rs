//! A small blocking HTTP client for looking at one answer.
//!
//! One request per connection, no redirects, no TLS. The load has a real client of its own.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// No answer of the sample application is larger.
const ANSWER_MAX_BYTES: u64 = 16 << 20;

/// A complete answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// All header lines, as they came.
    pub headers: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The value of a header, by its name in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut pairs = self.headers.lines().filter_map(|line| line.split_once(':'));
        pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// Asks for `path`; `limit` bounds connecting and each read. The error says what happened.
pub fn get(address: SocketAddr, path: &str, limit: Duration) -> Result<Answer, String> {
    ask(address, &format!("GET {path} HTTP/1.1\r\n{COMMON}\r\n"), limit)
}

/// Posts a JSON body to `path`.
pub fn post(
    address: SocketAddr,
    path: &str,
    json: &str,
    limit: Duration,
) -> Result<Answer, String> {
    let kind = "content-type: application/json";
    let length = json.len();
    let request =
        format!("POST {path} HTTP/1.1\r\n{COMMON}{kind}\r\ncontent-length: {length}\r\n\r\n{json}");
    ask(address, &request, limit)
}

const COMMON: &str = "host: desk\r\nconnection: close\r\n";

fn ask(address: SocketAddr, request: &str, limit: Duration) -> Result<Answer, String> {
    let explain = |doing: &str| {
        let doing = doing.to_owned();
        move |error: std::io::Error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("{doing}: silence"),
            _ => format!("{doing}: {error}"),
        }
    };
    let mut stream = TcpStream::connect_timeout(&address, limit).map_err(explain("connect"))?;
    stream.set_read_timeout(Some(limit)).map_err(explain("prepare"))?;
    stream.write_all(request.as_bytes()).map_err(explain("send"))?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_MAX_BYTES).read_to_end(&mut bytes).map_err(explain("read"))?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or("the answer has no end of headers")?;
    let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| format!("not a status line: {first}"))?;
    Ok(Answer { status, headers: headers.to_owned(), body: body.to_owned() })
}
