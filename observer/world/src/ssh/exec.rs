//! Runs one command on a host and collects what it says, within a deadline and a size limit.
//!
//! It does not judge exit codes. What matters here is whether the command was ordered: before the
//! request is handed to the connection every failure is `NotSent`, after it every failure is
//! `NoReply`, even when the bytes may never have left this machine.

use std::time::Duration;

use bytes::Bytes;
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use super::error::{NoReply, NotSent, SshError};
use super::login::Connection;
use super::open::{RawRefusal, request};
use crate::quote::{QuoteError, quote};

/// A program and its arguments. There is no shell syntax in it; see [`crate::quote`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    argv: Vec<Vec<u8>>,
}

impl Command {
    /// Starts a command with its program.
    pub fn new(program: impl AsRef<[u8]>) -> Self {
        Self { argv: vec![program.as_ref().to_vec()] }
    }

    /// Adds one argument, passed on byte for byte.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<[u8]>) -> Self {
        self.argv.push(argument.as_ref().to_vec());
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<A: AsRef<[u8]>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.argv.extend(arguments.into_iter().map(|argument| argument.as_ref().to_vec()));
        self
    }

    /// The line that the remote shell gets, also for showing it in a dry run.
    pub fn line(&self) -> Result<Vec<u8>, QuoteError> {
        quote(&self.argv)
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It exited with this code.
    Exited(u32),
    /// A signal ended it; the name without `SIG`.
    Signalled(String),
    /// We hung up because it said more than the limit allows.
    CutOff,
}

/// What a command did and said. The bytes are hostile: show them through [`crate::text::shown`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// How it ended.
    pub ending: Ending,
    /// Standard output, at most the limit of the call.
    pub stdout: Vec<u8>,
    /// Standard error; both together never exceed the limit.
    pub stderr: Vec<u8>,
    /// Whether something is missing because of the limit.
    pub truncated: bool,
    /// From the call to the ending.
    pub took: Duration,
}

impl ExecOutput {
    /// Whether it exited with code 0 and nothing of its output is missing.
    pub fn succeeded(&self) -> bool {
        self.ending == Ending::Exited(0) && !self.truncated
    }
}

/// After the exit status, how long we still wait for a background child that holds the output
/// open. What the command itself wrote has arrived long before.
const LINGER: Duration = Duration::from_millis(300);

pub(super) async fn run(
    connection: &Connection,
    line: Vec<u8>,
    stdin: Bytes,
    asked: Instant,
    until: Instant,
    output_limit: usize,
) -> Result<ExecOutput, SshError> {
    let channel = open_session(connection, until).await?;
    let (mut reader, hangup) = Hangup::split(channel);
    match timeout_at(until, hangup.writer().exec(true, line)).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => return Err(SshError::NotSent(NotSent::ConnectionLost)),
        Err(_) => return Err(SshError::NotSent(NotSent::TimedOut)),
    }
    let mut gathered = Gathered { room: output_limit, ..Gathered::default() };
    // Input and output must move at the same time, or a command that echoes fills both windows.
    let feeding = async {
        if !stdin.is_empty() {
            let _ = hangup.writer().data_bytes(stdin).await;
        }
        let _ = hangup.writer().eof().await;
        std::future::pending::<()>().await;
    };
    let finished = tokio::select! {
        finished = timeout_at(until, gathered.listen(&mut reader)) => finished,
        () = feeding => unreachable!("feeding never ends"),
    };
    match (finished, gathered.ending) {
        (Ok(Heard::RefusedToStart), _) => {
            let why = "the server refused to run a command".to_owned();
            Err(SshError::NotSent(NotSent::SessionRefused(why)))
        }
        (_, Some(ending)) => Ok(ExecOutput {
            ending,
            stdout: gathered.stdout,
            stderr: gathered.stderr,
            truncated: gathered.truncated,
            took: asked.elapsed(),
        }),
        (Ok(Heard::Closed), None) => Err(SshError::NoReply(NoReply::NoStatus)),
        (Ok(Heard::Lost), None) => Err(SshError::NoReply(NoReply::ConnectionLost)),
        (Err(_), None) => Err(SshError::NoReply(NoReply::Deadline { after: until - asked })),
    }
}

/// Opens a channel for a command.
pub(super) async fn open_session(
    connection: &Connection,
    until: Instant,
) -> Result<Channel<Msg>, SshError> {
    let handle = connection.handle.clone();
    let opening = request(until, async move { handle.channel_open_session().await });
    opening.await.map_err(|refusal| {
        SshError::NotSent(match refusal {
            RawRefusal::TimedOut => NotSent::TimedOut,
            RawRefusal::Lost => NotSent::ConnectionLost,
            RawRefusal::Refused(code) => {
                NotSent::SessionRefused(format!("code {code}, see MaxSessions in sshd_config"))
            }
        })
    })
}

/// The writing half of a channel, closed when dropped, so that an abandoned call leaves nothing
/// open on the host.
pub(super) struct Hangup(Option<ChannelWriteHalf<Msg>>);

impl Hangup {
    pub(super) fn split(channel: Channel<Msg>) -> (ChannelReadHalf, Self) {
        let (reader, writer) = channel.split();
        (reader, Self(Some(writer)))
    }

    pub(super) fn writer(&self) -> &ChannelWriteHalf<Msg> {
        self.0.as_ref().expect("the writer is taken in drop only")
    }
}

impl Drop for Hangup {
    fn drop(&mut self) {
        let (Some(writer), Ok(runtime)) = (self.0.take(), Handle::try_current()) else { return };
        runtime.spawn(async move {
            let _ = writer.close().await;
        });
    }
}

enum Heard {
    Closed,
    Lost,
    RefusedToStart,
}

#[derive(Default)]
struct Gathered {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    room: usize,
    truncated: bool,
    ending: Option<Ending>,
}

impl Gathered {
    /// Reads until the channel closes, the limit is reached or nothing more is to be expected.
    async fn listen(&mut self, reader: &mut ChannelReadHalf) -> Heard {
        let mut closed = false;
        loop {
            let message = if self.ending.is_some() {
                match tokio::time::timeout(LINGER, reader.wait()).await {
                    Ok(message) => message,
                    Err(_) => return Heard::Closed,
                }
            } else {
                reader.wait().await
            };
            match message {
                Some(ChannelMsg::Data { data }) => self.keep(&data, Stream::Out),
                Some(ChannelMsg::ExtendedData { data, ext: 1 }) => self.keep(&data, Stream::Err),
                Some(ChannelMsg::ExitStatus { exit_status }) => {
                    self.ending = Some(Ending::Exited(exit_status));
                }
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    self.ending = Some(Ending::Signalled(signal_text(&signal_name)));
                }
                Some(ChannelMsg::Failure) => return Heard::RefusedToStart,
                Some(ChannelMsg::Close) => closed = true,
                Some(_) => {}
                None if closed => return Heard::Closed,
                None => return Heard::Lost,
            }
            if self.truncated {
                self.ending = Some(Ending::CutOff);
                return Heard::Closed;
            }
        }
    }

    fn keep(&mut self, data: &[u8], stream: Stream) {
        let kept = data.len().min(self.room);
        self.room -= kept;
        self.truncated |= kept < data.len();
        let into = match stream {
            Stream::Out => &mut self.stdout,
            Stream::Err => &mut self.stderr,
        };
        into.extend_from_slice(&data[..kept]);
    }
}

enum Stream {
    Out,
    Err,
}

pub(super) fn signal_text(signal: &russh::Sig) -> String {
    match signal {
        russh::Sig::Custom(name) => crate::text::shown(name.as_bytes()),
        known => format!("{known:?}"),
    }
}
