//! A batch of commands to HAProxy's runtime or master socket, and the whole answer to it.
//!
//! It knows nothing of the commands: the `haproxy` crate writes and reads them. The socket is
//! used in its one-shot form: one line, an answer, and HAProxy hangs up.

use std::time::Duration;

use haproxy::runtime::is_last_word;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use crate::ssh::{Nature, OpenError, Ssh};

/// Why there is no whole answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The socket could not be opened: nothing was sent.
    #[error("the HAProxy socket cannot be opened: {0}")]
    Open(OpenError),
    /// The commands are not one line: nothing was sent.
    #[error("the commands hold a line break or a NUL byte")]
    NotOneLine,
    /// The commands were sent, and HAProxy did not finish its answer in time.
    #[error("HAProxy did not finish its answer within {} ms", .after.as_millis())]
    Silent {
        /// The time that was allowed.
        after: Duration,
    },
    /// The commands were sent, and the connection was lost.
    #[error("the connection to HAProxy was lost")]
    Lost,
    /// The commands were sent, and the answer is longer than the limit.
    #[error("the answer of HAProxy is longer than {limit} bytes")]
    TooLong {
        /// The limit of the call, in bytes.
        limit: usize,
    },
}

impl AskError {
    /// Whether HAProxy may have acted on the commands.
    pub fn was_sent(&self) -> bool {
        matches!(self, Self::Silent { .. } | Self::Lost | Self::TooLong { .. })
    }

    /// How much this proves about HAProxy.
    pub fn nature(&self) -> Nature {
        match self {
            Self::Open(error) => error.nature(),
            Self::NotOneLine => Nature::SetUp,
            Self::TooLong { .. } => Nature::Definite,
            Self::Silent { .. } | Self::Lost => Nature::Silent,
        }
    }
}

/// Sends `commands` (one line; several are separated by `;`) to the socket at `path`, and reads
/// the answer to its end, at most `limit` bytes, within `deadline`.
pub async fn ask(
    ssh: &Ssh,
    path: &str,
    commands: &str,
    deadline: Duration,
    limit: usize,
) -> Result<Vec<u8>, AskError> {
    // A line break would begin a second batch, whose answer would never be read.
    let line = commands.strip_suffix('\n').unwrap_or(commands);
    if line.contains(['\n', '\r', '\0']) {
        return Err(AskError::NotOneLine);
    }
    let until = Instant::now() + deadline;
    let stream = ssh.open_unix(path, deadline).await.map_err(AskError::Open)?;
    let conversation = converse(stream, format!("{line}\n"), limit);
    let late = |_| AskError::Silent { after: deadline };
    timeout_at(until, conversation).await.map_err(late)?
}

/// No error is longer than this.
const LAST_WORD_MAX: usize = 1024;

async fn converse(
    mut stream: crate::ssh::SshStream,
    line: String,
    limit: usize,
) -> Result<Vec<u8>, AskError> {
    stream.write_all(line.as_bytes()).await.map_err(|_| AskError::Lost)?;
    let mut answer = Vec::new();
    while stream.read_buf(&mut answer).await.map_err(|_| AskError::Lost)? > 0 {
        if answer.len() > limit {
            return Err(AskError::TooLong { limit });
        }
        // The master keeps the connection open after some errors.
        if answer.len() <= LAST_WORD_MAX && is_last_word(&String::from_utf8_lossy(&answer)) {
            break;
        }
    }
    Ok(answer)
}
