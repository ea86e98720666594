//! Runs one command on a host whose input and output are too long to be held: both are streams.
//!
//! It does not judge what comes. Dropping it closes the channel: whatever writes there next ends.

use std::sync::Arc;

use bytes::Bytes;
use russh::{ChannelMsg, ChannelReadHalf};
use tokio::time::Instant;

use super::error::{NotSent, SshError};
use super::exec::{Ending, Hangup, open_session, signal_text};
use super::login::Connection;

/// The command's words.
pub(crate) struct Words {
    reader: ChannelReadHalf,
    // The library ends a session that nobody holds.
    _connection: Arc<Connection>,
}

/// Its standard input.
pub(crate) struct Feed(Hangup);

/// What comes of a command, bit by bit.
#[derive(Debug)]
pub(crate) enum Word {
    Out(Bytes),
    Err(Bytes),
    /// How it ended. Output that is still on its way may follow.
    Ended(Ending),
    /// Nothing more comes.
    Closed,
    /// The connection broke: what came so far may not be all.
    Lost,
}

pub(super) async fn start(
    connection: Arc<Connection>,
    line: Vec<u8>,
    until: Instant,
) -> Result<(Words, Feed), SshError> {
    let (reader, hangup) = Hangup::split(open_session(&connection, until).await?);
    match tokio::time::timeout_at(until, hangup.writer().exec(true, line)).await {
        Ok(Ok(())) => Ok((Words { reader, _connection: connection }, Feed(hangup))),
        Ok(Err(_)) => Err(SshError::NotSent(NotSent::ConnectionLost)),
        Err(_) => Err(SshError::NotSent(NotSent::TimedOut)),
    }
}

impl Words {
    pub(crate) async fn next(&mut self) -> Word {
        loop {
            return match self.reader.wait().await {
                Some(ChannelMsg::Data { data }) => Word::Out(data),
                Some(ChannelMsg::ExtendedData { data, ext: 1 }) => Word::Err(data),
                Some(ChannelMsg::ExitStatus { exit_status }) => {
                    Word::Ended(Ending::Exited(exit_status))
                }
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    Word::Ended(Ending::Signalled(signal_text(&signal_name)))
                }
                Some(ChannelMsg::Close) => Word::Closed,
                Some(ChannelMsg::Failure) | None => Word::Lost,
                Some(_) => continue,
            };
        }
    }
}

impl Feed {
    /// Hands bytes over as fast as they are taken; false once nobody takes any.
    pub(crate) async fn give(&self, bytes: Vec<u8>) -> bool {
        self.0.writer().data_bytes(bytes).await.is_ok()
    }

    /// Says that nothing more comes.
    pub(crate) async fn end(&self) {
        let _ = self.0.writer().eof().await;
    }
}
