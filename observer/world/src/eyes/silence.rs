//! Turns the transports' errors into the words of a sighting: definite, or silent and why.
//!
//! The rule: what the other side's kernel or server said is definite; what only fails to come is
//! silence; what a person must mend is denied, with the sentence that names the fix.

use observer_core::sighting::{DatabaseBusy, Seen, Silent};

use crate::haproxy_socket::AskError;
use crate::postgres::Failure;
use crate::ssh::{ConnectError, NoReply, NotSent, OpenError, SshError};
use crate::tcp::TcpError;

/// Why a look over SSH to the machine itself has no answer; refusal is an answer.
pub(super) fn of_machine(error: SshError) -> Result<Seen, Silent> {
    match error {
        SshError::NotSent(NotSent::Connect(error)) => of_connect(error),
        SshError::NotSent(NotSent::TimedOut) => Err(Silent::Timeout),
        SshError::NotSent(NotSent::ConnectionLost) => Err(Silent::Timeout),
        SshError::NotSent(error) => Err(Silent::Denied(error.to_string())),
        SshError::NoReply(NoReply::Deadline { .. } | NoReply::ConnectionLost) => {
            Err(Silent::Timeout)
        }
        SshError::NoReply(error @ NoReply::NoStatus) => Err(Silent::Garbage(error.to_string())),
    }
}

fn of_connect(error: ConnectError) -> Result<Seen, Silent> {
    match error {
        ConnectError::Refused => Ok(Seen::Refused),
        ConnectError::NoRoute(_) => Err(Silent::NoRoute),
        ConnectError::TimedOut { .. } => Err(Silent::Timeout),
        ConnectError::HostKeyChanged { pinned, offered } => {
            Err(Silent::HostKeyChanged { pinned: pinned.join(" or "), offered })
        }
        // A machine that goes down closes what it has just accepted; so does one whose login
        // slots are full. Neither is an answer.
        error @ (ConnectError::Closed(_) | ConnectError::Protocol(_)) => {
            Err(Silent::Garbage(error.to_string()))
        }
        error => Err(Silent::Denied(error.to_string())),
    }
}

/// Why a command over SSH to look at something else has no answer.
pub(super) fn of_command(error: SshError) -> Silent {
    match of_machine(error) {
        Ok(_) | Err(Silent::NoRoute) => Silent::NoWay,
        Err(silent) => silent,
    }
}

/// Why a stream through SSH could not be opened; a refusal by the destination is an answer.
pub(crate) fn of_open(error: OpenError) -> Result<Seen, Silent> {
    match error {
        OpenError::Refused | OpenError::NotFound => Ok(Seen::Refused),
        OpenError::NoRoute => Err(Silent::NoRoute),
        OpenError::TimedOut | OpenError::Busy => Err(Silent::Timeout),
        OpenError::ConnectionLost => Err(Silent::NoWay),
        OpenError::Connect(error) => Err(no_way(error)),
        OpenError::Denied(why) => Err(Silent::Denied(why)),
        OpenError::Other(text) => Err(Silent::Garbage(text)),
    }
}

/// What an SSH connection that is not up means for a look that goes through it: nothing about
/// the thing looked at, unless only a person can mend it.
fn no_way(error: ConnectError) -> Silent {
    match of_connect(error) {
        Err(silent @ (Silent::HostKeyChanged { .. } | Silent::Denied(_))) => silent,
        _ => Silent::NoWay,
    }
}

/// What a failed TCP connection from the observer means.
pub(super) fn of_tcp(error: TcpError) -> Result<Seen, Silent> {
    match error {
        TcpError::Refused => Ok(Seen::Refused),
        TcpError::NoRoute(_) => Err(Silent::NoRoute),
        TcpError::TimedOut { .. } => Err(Silent::Timeout),
        TcpError::BadAddress(_) => Err(Silent::Denied(error.to_string())),
    }
}

/// What a failed question to a HAProxy socket means.
pub(super) fn of_ask(error: AskError) -> Result<Seen, Silent> {
    match error {
        AskError::Open(error) => of_open(error),
        AskError::Silent { .. } => Err(Silent::Timeout),
        AskError::Lost => Err(Silent::Garbage("the connection was lost".to_owned())),
        AskError::TooLong { .. } => Err(Silent::Garbage(error.to_string())),
        AskError::NotOneLine => Err(Silent::Denied(error.to_string())),
    }
}

/// What a failed question to PostgreSQL means.
pub(super) fn of_database(failure: Failure) -> Result<Seen, Silent> {
    match failure {
        Failure::NotRunning(_) => Ok(Seen::Refused),
        Failure::StartingUp | Failure::InCrashRecovery | Failure::NotAccepting(_) => {
            Ok(Seen::DatabaseBusy(DatabaseBusy::StartingUp))
        }
        Failure::ShuttingDown => Ok(Seen::DatabaseBusy(DatabaseBusy::ShuttingDown)),
        Failure::Silent { .. } => Err(Silent::Timeout),
        Failure::Lost(text) => Err(Silent::Garbage(format!("the connection was lost: {text}"))),
        Failure::Unreachable(error) => of_open(error),
        failure => Err(Silent::Denied(failure.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_connection_that_is_not_up_says_nothing_of_what_lies_behind_it() {
        let refused = || OpenError::Connect(ConnectError::Refused);
        assert_eq!(of_open(refused()), Err(Silent::NoWay));
        assert_eq!(of_database(Failure::Unreachable(refused())), Err(Silent::NoWay));
        assert_eq!(of_ask(AskError::Open(refused())), Err(Silent::NoWay));
        let refused = SshError::NotSent(NotSent::Connect(ConnectError::Refused));
        assert_eq!(of_command(refused.clone()), Silent::NoWay);
        assert_eq!(of_machine(refused), Ok(Seen::Refused), "for the machine it is the answer");
    }

    #[test]
    fn a_changed_host_key_is_a_hard_stop_on_every_way() {
        let changed = ConnectError::HostKeyChanged {
            pinned: vec!["SHA256:a".to_owned(), "SHA256:b".to_owned()],
            offered: "SHA256:c".to_owned(),
        };
        let stop = Silent::HostKeyChanged {
            pinned: "SHA256:a or SHA256:b".to_owned(),
            offered: "SHA256:c".to_owned(),
        };
        assert_eq!(of_open(OpenError::Connect(changed.clone())), Err(stop.clone()));
        assert_eq!(of_machine(SshError::NotSent(NotSent::Connect(changed))), Err(stop));
    }

    #[test]
    fn a_server_without_a_free_connection_is_not_dead() {
        let full = Failure::TooManyConnections("sorry, too many clients already".to_owned());
        assert!(matches!(of_database(full), Err(Silent::Denied(text)) if text.contains("clients")));
        let after = Duration::from_millis(500);
        assert_eq!(of_database(Failure::Silent { after }), Err(Silent::Timeout));
    }
}
