//! Opens byte streams to Unix sockets and TCP ports as the host sees them.
//!
//! OpenSSH says little about a refusal: for TCP the text of the system error, unless `connect`
//! failed at once; for a Unix socket always the same two words. What it does not say is asked
//! with a harmless shell test over the same connection, as the same user.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use russh::client::Msg;
use russh::{Channel, ChannelStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::error::OpenError;
use super::exec::{self, Command, Ending};
use super::login::Connection;

/// A stream to a socket or port behind the host. Dropping it closes it there.
///
/// A stream that is not read for long holds up everything else on the same connection.
pub struct SshStream {
    stream: ChannelStream<Msg>,
    // The library ends a session that nobody holds.
    connection: Arc<Connection>,
}

impl std::fmt::Debug for SshStream {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("SshStream")
    }
}

impl AsyncRead for SshStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let ended = matches!(read, Poll::Ready(Ok(()))) && buffer.filled().len() == before;
        if ended && buffer.remaining() > 0 && self.connection.is_closed() {
            // To the library a lost connection looks like the end of the data: an answer that was
            // cut in the middle would pass for a whole one.
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        read
    }
}

impl AsyncWrite for SshStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            // The library takes an empty write for an error.
            return Poll::Ready(Ok(0));
        }
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// How a channel request failed, before anybody asked why.
#[derive(Debug)]
pub(super) enum RawRefusal {
    TimedOut,
    Lost,
    Refused(u32),
}

/// Asks for a channel. The question outlives a caller who stops waiting, and a channel that comes
/// too late is closed, not forgotten open.
pub(super) async fn request(
    until: Instant,
    asking: impl Future<Output = Result<Channel<Msg>, russh::Error>> + Send + 'static,
) -> Result<Channel<Msg>, RawRefusal> {
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        if let Err(Ok(late)) = sender.send(asking.await) {
            let _ = late.close().await;
        }
    });
    match timeout_at(until, receiver).await {
        Err(_) => Err(RawRefusal::TimedOut),
        Ok(Ok(Ok(channel))) => Ok(channel),
        Ok(Ok(Err(russh::Error::ChannelOpenFailure(reason)))) => {
            Err(RawRefusal::Refused(reason.code()))
        }
        Ok(Ok(Err(_)) | Err(_)) => Err(RawRefusal::Lost),
    }
}

fn stream(channel: Channel<Msg>, connection: &Arc<Connection>) -> SshStream {
    SshStream { stream: channel.into_stream(), connection: connection.clone() }
}

/// Questions that sshd has not answered yet, by destination: it waits for a silent destination
/// for as long as its kernel does, which is minutes, and we ask every round.
#[derive(Default)]
pub(super) struct Unanswered(Arc<Mutex<HashMap<String, usize>>>);

/// More open questions than this to one destination add nothing: it is silent.
const UNANSWERED_MAX: usize = 8;

impl Unanswered {
    fn enter(&self, destination: String) -> Option<Pending> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(destination.clone()).or_insert(0);
        if *count >= UNANSWERED_MAX {
            return None;
        }
        *count += 1;
        Some(Pending { counts: self.0.clone(), destination })
    }
}

struct Pending {
    counts: Arc<Mutex<HashMap<String, usize>>>,
    destination: String,
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.destination) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.destination);
            }
        }
    }
}

/// Several refusals at the same moment cannot be told apart; asking again usually can.
const ATTEMPTS_MAX: usize = 4;

pub(super) async fn tcp(
    connection: &Arc<Connection>,
    unanswered: &Unanswered,
    host: &str,
    port: u16,
    until: Instant,
) -> Result<SshStream, OpenError> {
    for _ in 0..ATTEMPTS_MAX {
        let Some(pending) = unanswered.enter(format!("{host} {port}")) else {
            return Err(OpenError::TimedOut);
        };
        let mark = connection.refusals.count();
        let (handle, host) = (connection.handle.clone(), host.to_owned());
        let answer = request(until, async move {
            let _pending = pending;
            handle.channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0).await
        });
        match answer.await {
            Ok(channel) => return Ok(stream(channel, connection)),
            Err(RawRefusal::TimedOut) => return Err(OpenError::TimedOut),
            Err(RawRefusal::Lost) => return Err(OpenError::ConnectionLost),
            Err(RawRefusal::Refused(_)) => {
                if let Some(text) = refusal_text(connection, mark).await {
                    return Err(tcp_refusal(&text));
                }
            }
        }
    }
    Err(OpenError::Other("the host refused several channels at once".to_owned()))
}

/// The text of our own refusal, or `None` where it cannot be told from others.
async fn refusal_text(connection: &Connection, mark: u64) -> Option<String> {
    // The library notes the text just after it wakes us. Any answer from its loop comes later.
    let _ = connection.handle.best_supported_rsa_hash().await;
    connection.refusals.since(mark)
}

/// Reads `code:text` as sshd gives it for a TCP destination.
fn tcp_refusal(refusal: &str) -> OpenError {
    let (code, text) = refusal.split_once(':').unwrap_or(("", refusal));
    let says = |words: &str| text.to_ascii_lowercase().contains(words);
    if code == "1" {
        OpenError::Denied(format!("{text} (see AllowTcpForwarding and PermitOpen)"))
    } else if says("connection refused") {
        OpenError::Refused
    } else if says("no route") || says("unreachable") {
        OpenError::NoRoute
    } else if text == "open failed" {
        // No reason is given where `connect` fails at once, and for TCP that is a routing matter.
        OpenError::NoRoute
    } else if says("timed out") {
        OpenError::TimedOut
    } else {
        OpenError::Other(text.to_owned())
    }
}

pub(super) async fn unix(
    connection: &Arc<Connection>,
    path: &str,
    until: Instant,
) -> Result<SshStream, OpenError> {
    let first = try_unix(connection, path, until).await;
    match first {
        // A server that began to listen between the refusal and the question looks the same.
        Err(OpenError::Denied(why)) if why == STREAMS_FORBIDDEN => {
            try_unix(connection, path, until).await
        }
        answer => answer,
    }
}

async fn try_unix(
    connection: &Arc<Connection>,
    path: &str,
    until: Instant,
) -> Result<SshStream, OpenError> {
    let (handle, socket) = (connection.handle.clone(), path.to_owned());
    let opening =
        request(until, async move { handle.channel_open_direct_streamlocal(socket).await });
    match opening.await {
        Ok(channel) => Ok(stream(channel, connection)),
        Err(RawRefusal::TimedOut) => Err(OpenError::TimedOut),
        Err(RawRefusal::Lost) => Err(OpenError::ConnectionLost),
        Err(RawRefusal::Refused(1)) => Err(OpenError::Denied(STREAMS_FORBIDDEN.to_owned())),
        Err(RawRefusal::Refused(code)) => Err(why_not_unix(connection, path, code, until).await),
    }
}

const STREAMS_FORBIDDEN: &str = "sshd forbids it (see AllowStreamLocalForwarding)";

/// Says in one word why `$1` cannot be connected to. A listener that is there although the
/// connection failed (`/proc/net/unix` lists it with the listening flag) has a full queue, or sshd
/// forbids streams and says so no more clearly; `ss` knows the queue, and where it is missing the
/// queue is taken to be full.
const UNIX_TEST: &str = r#"
if [ -S "$1" ]; then
  if [ ! -w "$1" ]; then echo denied
  elif [ ! -r /proc/net/unix ]; then echo unknown
  elif grep -F -- " $1" /proc/net/unix | grep -q " 00010000 "; then
    set -- $(ss -xlnH src "$1" 2>/dev/null)
    if [ "${3:-1}" -gt "${4:-0}" ]; then echo busy; else echo forbidden; fi
  else echo refused; fi
elif [ -e "$1" ]; then echo nosocket
else
  d=${1%/*}
  while [ -n "$d" ] && [ ! -d "$d" ]; do d=${d%/*}; done
  if [ -x "${d:-/}" ]; then echo absent; else echo denied; fi
fi
"#;

async fn why_not_unix(
    connection: &Arc<Connection>,
    path: &str,
    code: u32,
    until: Instant,
) -> OpenError {
    let command = Command::new("sh").arg("-c").arg(UNIX_TEST).arg("sh").arg(path);
    let unclear = |why: &str| OpenError::Other(format!("open failed, code {code} ({why})"));
    let Ok(line) = command.line() else { return unclear("the path holds a NUL byte") };
    let asked = Instant::now();
    let until = until.max(asked + TEST_TIME_MIN);
    match exec::run(connection, line, Bytes::new(), asked, until, 4096).await {
        Ok(output) if output.ending == Ending::Exited(0) => {
            // A login shell that prints comes first; the answer is the last line.
            let said = String::from_utf8_lossy(&output.stdout);
            match said.lines().last().map_or("", str::trim) {
                "denied" => OpenError::Denied("no permission to open the socket".to_owned()),
                "busy" => OpenError::Busy,
                "forbidden" => OpenError::Denied(STREAMS_FORBIDDEN.to_owned()),
                "refused" => OpenError::Refused,
                "nosocket" => OpenError::Other("the path is not a socket".to_owned()),
                "absent" => OpenError::NotFound,
                _ => unclear("the host could not say why"),
            }
        }
        Ok(_) => unclear("the test for the reason failed"),
        Err(_) => unclear("no answer to the question why"),
    }
}

/// The refusal is known by now; a few milliseconds for its reason are worth more than punctuality.
const TEST_TIME_MIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_sshd_are_read() {
        assert_eq!(tcp_refusal("2:Connection refused"), OpenError::Refused);
        assert_eq!(tcp_refusal("2:No route to host"), OpenError::NoRoute);
        assert_eq!(tcp_refusal("2:Network is unreachable"), OpenError::NoRoute);
        assert_eq!(tcp_refusal("2:Connection timed out"), OpenError::TimedOut);
        assert!(matches!(tcp_refusal("1:open failed"), OpenError::Denied(_)));
        assert_eq!(tcp_refusal("2:open failed"), OpenError::NoRoute);
        assert_eq!(tcp_refusal("2:odd"), OpenError::Other("odd".to_owned()));
    }

    #[test]
    fn unanswered_questions_are_bounded_and_forgotten_when_answered() {
        let unanswered = Unanswered::default();
        let mut held: Vec<_> =
            (0..UNANSWERED_MAX).map(|_| unanswered.enter("a 1".into()).unwrap()).collect();
        assert!(unanswered.enter("a 1".into()).is_none());
        assert!(unanswered.enter("b 1".into()).is_some());
        held.pop();
        assert!(unanswered.enter("a 1".into()).is_some());
        held.clear();
        assert!(unanswered.0.lock().unwrap().is_empty());
    }
}
