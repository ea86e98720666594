//! Why a question to PostgreSQL has no answer, told apart as finely as judging needs it.
//!
//! *Restarting is not dead*: a server that says it starts, stops or recovers is alive and has its
//! own variants. A server that has no connection left, or no disk, is alive too.

use std::time::Duration;

use tokio_postgres::error::DbError;

use crate::ssh::{Nature, OpenError};
use crate::text::shown;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nobody listens on the socket or port, while the host answers.
    #[error("PostgreSQL is not running: {0}")]
    NotRunning(OpenError),
    /// The server is starting, or a standby has not reached a consistent state yet.
    #[error("PostgreSQL is starting up")]
    StartingUp,
    /// The server is being stopped.
    #[error("PostgreSQL is shutting down")]
    ShuttingDown,
    /// The server restarts itself after one of its processes crashed.
    #[error("PostgreSQL is in crash recovery")]
    InCrashRecovery,
    /// The server refuses connections at present: a standby with `hot_standby` off, or words that
    /// we do not know (another language).
    #[error("PostgreSQL accepts no connections now: {0}")]
    NotAccepting(String),
    /// All connections are taken. The server is alive.
    #[error("PostgreSQL has no connection left: {0}")]
    TooManyConnections(String),
    /// The server refuses this role or database.
    #[error("PostgreSQL refuses our login: {0}")]
    AuthRejected(String),
    /// The role lacks a privilege.
    #[error("PostgreSQL refuses our role: {0}")]
    Forbidden(String),
    /// The server takes no writes: a standby, or a read-only default.
    #[error("PostgreSQL is read-only")]
    ReadOnly,
    /// The server cannot write because a disk is full.
    #[error("PostgreSQL has no disk space: {0}")]
    DiskFull(String),
    /// A promotion was asked of a server that is not a standby.
    #[error("PostgreSQL is not in recovery")]
    NotInRecovery,
    /// The heartbeat table holds a newer epoch than ours.
    #[error("the heartbeat belongs to epoch {newer}, ours is {ours}")]
    StaleEpoch {
        /// The epoch that we wanted to write.
        ours: u64,
        /// The epoch that is there.
        newer: u64,
    },
    /// Nothing was heard within the deadline.
    #[error("PostgreSQL did not answer within {} ms", .after.as_millis())]
    Silent {
        /// The time that was allowed.
        after: Duration,
    },
    /// The connection died during the call; whether the server acted is unknown.
    #[error("the connection to PostgreSQL was lost: {0}")]
    Lost(String),
    /// The socket could not be reached for a reason that says nothing about PostgreSQL.
    #[error("PostgreSQL cannot be reached: {0}")]
    Unreachable(OpenError),
    /// Any other answer of the server.
    #[error("PostgreSQL error {sqlstate}: {text}")]
    Other {
        /// The five characters of the SQLSTATE, or `-` where the answer was not understood.
        sqlstate: String,
        /// The server's words, cleaned.
        text: String,
    },
}

impl Failure {
    /// How much this proves. Everything that the server itself said is definite, though not a
    /// death; see [`Failure::is_alive`].
    pub fn nature(&self) -> Nature {
        match self {
            Self::Silent { .. } | Self::Lost(_) => Nature::Silent,
            Self::Unreachable(error) => error.nature(),
            Self::AuthRejected(_) | Self::Forbidden(_) => Nature::SetUp,
            _ => Nature::Definite,
        }
    }

    /// Whether the server itself answered, so that it is certainly there.
    pub fn is_alive(&self) -> bool {
        !matches!(
            self,
            Self::NotRunning(_) | Self::Silent { .. } | Self::Lost(_) | Self::Unreachable(_)
        )
    }
}

/// Reads the failure to open the way to the server.
pub(super) fn from_open(error: OpenError, after: Duration) -> Failure {
    match error {
        OpenError::Refused | OpenError::NotFound => Failure::NotRunning(error),
        OpenError::TimedOut | OpenError::Busy => Failure::Silent { after },
        other => Failure::Unreachable(other),
    }
}

/// Reads an error of the client library.
pub(super) fn from_error(error: &tokio_postgres::Error) -> Failure {
    if let Some(answer) = error.as_db_error() {
        return from_answer(answer);
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    let text = shown(text.as_bytes());
    let lost = error.is_closed()
        || std::error::Error::source(error).is_some_and(|cause| cause.is::<std::io::Error>());
    if lost { Failure::Lost(text) } else { Failure::Other { sqlstate: "-".to_owned(), text } }
}

fn from_answer(answer: &DbError) -> Failure {
    let orphaned = answer.routine().is_some_and(|routine| ORPHANED_IN.contains(&routine));
    if answer.code().code() == "57P01" && orphaned {
        return Failure::Lost(shown(answer.message().as_bytes()));
    }
    from_sqlstate(answer.code().code(), answer.message())
}

/// Where a session finds that the server's first process is gone. It ends with the SQLSTATE of an
/// administrator's stop, though nobody has stopped anything: the server has been killed
/// (`src/backend/libpq/be-secure.c`). Unlike the words, these names are never translated.
const ORPHANED_IN: [&str; 2] = ["secure_read", "secure_write"];

/// Reads an error answer of the server.
pub(super) fn from_sqlstate(sqlstate: &str, message: &str) -> Failure {
    let text = shown(message.as_bytes());
    match sqlstate {
        "57P03" => not_accepting(text),
        "57P01" if text.contains("unexpected postmaster exit") => Failure::Lost(text),
        "57P01" => Failure::ShuttingDown,
        "57P02" => Failure::InCrashRecovery,
        "53300" => Failure::TooManyConnections(text),
        "53100" => Failure::DiskFull(text),
        "25006" => Failure::ReadOnly,
        "28000" | "28P01" | "3D000" => Failure::AuthRejected(text),
        "42501" => Failure::Forbidden(text),
        "57014" => Failure::Silent { after: super::STATEMENT_TIMEOUT },
        _ => Failure::Other { sqlstate: shown(sqlstate.as_bytes()), text },
    }
}

/// `cannot_connect_now` covers states that mean different things and differ in their words only.
fn not_accepting(text: String) -> Failure {
    let says = |words: &str| text.contains(words);
    if says("starting up") || says("not yet accepting") {
        Failure::StartingUp
    } else if says("shutting down") {
        Failure::ShuttingDown
    } else if says("recovery mode") {
        Failure::InCrashRecovery
    } else {
        Failure::NotAccepting(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarting_is_told_apart_from_dead() {
        let of = |message| from_sqlstate("57P03", message);
        assert_eq!(of("the database system is starting up"), Failure::StartingUp);
        assert_eq!(of("the database system is not yet accepting connections"), Failure::StartingUp);
        let closed = of("the database system is not accepting connections");
        assert!(matches!(closed, Failure::NotAccepting(_)), "a standby without hot_standby");
        assert_eq!(of("the database system is shutting down"), Failure::ShuttingDown);
        assert_eq!(of("the database system is in recovery mode"), Failure::InCrashRecovery);
        let foreign = of("das Datenbanksystem startet");
        assert!(matches!(&foreign, Failure::NotAccepting(_)) && foreign.is_alive());
    }

    #[test]
    fn a_killed_server_was_not_stopped() {
        let of = |message| from_sqlstate("57P01", message);
        let stopped = of("terminating connection due to administrator command");
        assert_eq!(stopped, Failure::ShuttingDown);
        let killed = of("terminating connection due to unexpected postmaster exit");
        assert!(matches!(killed, Failure::Lost(_)), "{killed}");
    }

    #[test]
    fn a_full_server_is_alive_and_silence_is_not_an_answer() {
        assert!(from_sqlstate("53300", "sorry, too many clients already").is_alive());
        assert!(from_sqlstate("53100", "could not extend file").is_alive());
        let after = Duration::from_secs(1);
        assert_eq!(from_open(OpenError::Busy, after), Failure::Silent { after });
        assert_eq!(from_open(OpenError::Refused, after).nature(), Nature::Definite);
        assert_eq!(from_open(OpenError::ConnectionLost, after).nature(), Nature::Silent);
    }
}
