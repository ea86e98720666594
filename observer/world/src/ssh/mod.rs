//! SSH to one host: commands, and streams to its sockets and ports, over one connection.
//!
//! It does not decide what a failure means, and runs no shell syntax of its own making. There is
//! one connection per host, made on first use; see `link` for its life. The host key is pinned: a
//! different one is a hard stop.

mod error;
mod exec;
mod link;
mod login;
mod open;
mod piped;
mod target;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

pub use error::{ConnectError, Nature, NoReply, NotSent, OpenError, SshError};
pub use exec::{Command, Ending, ExecOutput};
pub use login::offered_host_key;
pub use open::SshStream;
pub(crate) use piped::{Feed, Word, Words};
pub use target::{BadHostKey, HostKey, SshTarget, SshTiming};

/// A handle to the one connection to a host. Clones share the connection.
#[derive(Clone)]
pub struct Ssh {
    link: Arc<link::Link>,
    unanswered: Arc<open::Unanswered>,
}

impl Ssh {
    /// Makes the handle; nothing is sent before the first use. Needs a tokio runtime from then on.
    pub fn new(target: SshTarget) -> Self {
        Self { link: link::Link::new(target), unanswered: Arc::default() }
    }

    /// The host's configured name.
    pub fn host_label(&self) -> String {
        self.link.target().host_label.clone()
    }

    /// Replaces the target, for instance after a person pinned a new host key: the only way out
    /// of [`ConnectError::HostKeyChanged`]. Streams that are open stay open.
    pub fn reconfigure(&self, target: SshTarget) {
        self.link.reconfigure(target);
    }

    /// Connects if need be, and says whether the host lets us in.
    pub async fn connect(&self, deadline: Duration) -> Result<(), ConnectError> {
        self.link.connection(Instant::now() + deadline).await.map(drop)
    }

    /// Counts the established connections that died by themselves; a change is an alarm that
    /// comes at once, before any probe could time out.
    pub fn broken(&self) -> watch::Receiver<u64> {
        self.link.deaths()
    }

    /// Runs `command` with `stdin`, waits at most `deadline` in all, and keeps at most
    /// `output_limit` bytes of its output.
    pub async fn exec(
        &self,
        command: &Command,
        stdin: impl Into<Bytes>,
        deadline: Duration,
        output_limit: usize,
    ) -> Result<ExecOutput, SshError> {
        let asked = Instant::now();
        let until = asked + deadline;
        let not_sent = SshError::NotSent;
        let line = command.line().map_err(|error| not_sent(error.into()))?;
        let connection = self.link.connection(until).await;
        let connection = connection.map_err(|error| not_sent(NotSent::Connect(error)))?;
        exec::run(&connection, line, stdin.into(), asked, until, output_limit).await
    }

    /// Starts `command`, within `deadline`, and leaves its input and output to the caller.
    pub(crate) async fn start(
        &self,
        command: &Command,
        deadline: Duration,
    ) -> Result<(Words, Feed), SshError> {
        let until = Instant::now() + deadline;
        let not_sent = SshError::NotSent;
        let line = command.line().map_err(|error| not_sent(error.into()))?;
        let connection = self.link.connection(until).await;
        let connection = connection.map_err(|error| not_sent(NotSent::Connect(error)))?;
        piped::start(connection, line, until).await
    }

    /// Opens a stream to the Unix socket at `path` on the host.
    pub async fn open_unix(&self, path: &str, deadline: Duration) -> Result<SshStream, OpenError> {
        let until = Instant::now() + deadline;
        let connection = self.link.connection(until).await.map_err(OpenError::Connect)?;
        open::unix(&connection, path, until).await
    }

    /// Opens a stream to `port` of `address` as seen from the host.
    pub async fn open_tcp(
        &self,
        address: &str,
        port: u16,
        deadline: Duration,
    ) -> Result<SshStream, OpenError> {
        let until = Instant::now() + deadline;
        let connection = self.link.connection(until).await.map_err(OpenError::Connect)?;
        open::tcp(&connection, &self.unanswered, address, port, until).await
    }
}
