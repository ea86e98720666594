//! What can go wrong between us and a remote host, in the words that later judging needs.
//!
//! The distinction that matters: a *definite* answer (the host said no) against *silence*, and a
//! command that was never ordered against one that was ordered and not answered.

use std::time::Duration;

use crate::quote::QuoteError;

/// How much an error proves about the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// The other side answered, and the answer was no.
    Definite,
    /// Nothing was heard; the other side may be well.
    Silent,
    /// The set-up is wrong (key, account, configuration): it proves that something answers, and
    /// only a person can mend it.
    SetUp,
}

/// Why there is no SSH connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The host answers, but nothing listens on its SSH port.
    #[error("connection refused")]
    Refused,
    /// The network says that the host cannot be reached.
    #[error("no route to the host ({0})")]
    NoRoute(String),
    /// Nothing was heard within the deadline.
    #[error("no answer within {} ms while {during}", .after.as_millis())]
    TimedOut {
        /// The time that was allowed.
        after: Duration,
        /// What we were waiting for: `connecting` or `logging in`.
        during: &'static str,
    },
    /// The connection was accepted and closed before the login was done.
    #[error("the connection was closed during the login ({0})")]
    Closed(String),
    /// The host refused our key for this user.
    #[error("the host refuses our key for user {user}")]
    AuthRejected {
        /// The user we tried to log in as.
        user: String,
    },
    /// The host shows a key that is not pinned. Never retried until reconfigured.
    #[error("the host key changed: pinned {}, offered {offered}", .pinned.join(" or "))]
    HostKeyChanged {
        /// SHA256 fingerprints of the pinned keys.
        pinned: Vec<String>,
        /// SHA256 fingerprint of the key that was offered.
        offered: String,
    },
    /// No host key is pinned, so nobody may be trusted.
    #[error("no host key is pinned for this host")]
    NothingPinned,
    /// Our own private key cannot be read.
    #[error("our private key {path} cannot be used: {why}")]
    KeyUnusable {
        /// The key file.
        path: String,
        /// The reason, in words.
        why: String,
    },
    /// The name does not resolve.
    #[error("the address cannot be resolved: {0}")]
    BadAddress(String),
    /// The two sides could not agree on the protocol.
    #[error("the SSH protocol failed: {0}")]
    Protocol(String),
}

impl ConnectError {
    /// How much this proves about the host.
    pub fn nature(&self) -> Nature {
        match self {
            Self::Refused => Nature::Definite,
            Self::NoRoute(_) | Self::TimedOut { .. } | Self::Closed(_) => Nature::Silent,
            Self::AuthRejected { .. }
            | Self::HostKeyChanged { .. }
            | Self::NothingPinned
            | Self::KeyUnusable { .. }
            | Self::BadAddress(_)
            | Self::Protocol(_) => Nature::SetUp,
        }
    }
}

/// Why a stream to a socket or port behind the host could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The host itself could not be reached by SSH.
    #[error("no SSH connection: {0}")]
    Connect(ConnectError),
    /// Nobody listens there: the port answers with a reset, or the socket file has no owner.
    #[error("connection refused")]
    Refused,
    /// The host has no route to the destination.
    #[error("no route to the destination")]
    NoRoute,
    /// The socket file does not exist.
    #[error("the socket does not exist")]
    NotFound,
    /// The host forbids it: permissions of the socket, or forwarding switched off in sshd.
    #[error("denied: {0}")]
    Denied(String),
    /// A listener is there and its queue is full: alive or hung, but not gone.
    #[error("the listener is not accepting (its queue is full)")]
    Busy,
    /// Nothing was heard within the deadline.
    #[error("no answer within the deadline")]
    TimedOut,
    /// The SSH connection died while we waited.
    #[error("the SSH connection was lost")]
    ConnectionLost,
    /// Anything else, in the host's own (cleaned) words.
    #[error("{0}")]
    Other(String),
}

impl OpenError {
    /// How much this proves about the destination. A failed SSH connection proves nothing about
    /// what lies behind it.
    pub fn nature(&self) -> Nature {
        match self {
            Self::Refused | Self::NotFound => Nature::Definite,
            Self::Connect(error) if error.nature() == Nature::SetUp => Nature::SetUp,
            Self::Denied(_) => Nature::SetUp,
            Self::Connect(_)
            | Self::NoRoute
            | Self::Busy
            | Self::TimedOut
            | Self::ConnectionLost
            | Self::Other(_) => Nature::Silent,
        }
    }
}

/// Why a command has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SshError {
    /// The command was never ordered: nothing can have happened because of it.
    #[error("not sent: {0}")]
    NotSent(NotSent),
    /// The command was ordered and its outcome is unknown: look at the proof.
    #[error("sent, and no reply: {0}")]
    NoReply(NoReply),
}

impl SshError {
    /// Whether the host may have acted on the command.
    pub fn was_sent(&self) -> bool {
        matches!(self, Self::NoReply(_))
    }
}

/// Why a command was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// There is no connection.
    #[error(transparent)]
    Connect(ConnectError),
    /// The connection stands, and the host opened no session within the deadline.
    #[error("the host opened no session within the deadline")]
    TimedOut,
    /// The host refused another session (`MaxSessions` of sshd).
    #[error("the host refused a session: {0}")]
    SessionRefused(String),
    /// The connection died before the command was handed over.
    #[error("the SSH connection was lost")]
    ConnectionLost,
    /// The arguments cannot be written as a command line.
    #[error(transparent)]
    Unquotable(#[from] QuoteError),
}

/// Why a command that was sent has no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoReply {
    /// The deadline passed while the command ran.
    #[error("the command did not end within {} ms", .after.as_millis())]
    Deadline {
        /// The time that was allowed for the whole call.
        after: Duration,
    },
    /// The SSH connection died while the command ran.
    #[error("the SSH connection was lost")]
    ConnectionLost,
    /// The host closed the session without an exit status.
    #[error("the host closed the session without an exit status")]
    NoStatus,
}
