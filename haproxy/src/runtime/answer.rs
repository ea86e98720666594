//! Telling answers apart, and telling errors from success by their text.

use super::command::{Batch, Command};

/// Longest text kept of an answer that is not understood, in characters.
const TEXT_MAX: usize = 400;

/// An answer that is not the success of its command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CliError {
    /// The backend has no server of that name.
    #[error("HAProxy has no such server")]
    NoSuchServer,
    /// There is no backend of that name.
    #[error("HAProxy has no such backend")]
    NoSuchBackend,
    /// The socket's level does not allow the command (`level admin` is needed).
    #[error("the socket's level does not permit the command")]
    PermissionDenied,
    /// This version of HAProxy does not have the command.
    #[error("this HAProxy does not know the command")]
    UnknownCommand,
    /// This version of HAProxy has the command for experiments only, as 2.4 has `add server`.
    #[error("this HAProxy allows the command in experimental mode only")]
    ExperimentalOnly,
    /// The worker is an old one that a reload has replaced; its requests cannot be turned.
    #[error("the worker has been replaced and its proxies are disabled")]
    ProxyDisabled,
    /// The server must be in maintenance first.
    #[error("the server is not in maintenance")]
    NotInMaintenance,
    /// The server still has sessions or idle connections, or something else points to it.
    #[error("the server is still in use: {0}")]
    InUse(String),
    /// A server of that name is already there.
    #[error("a server of that name is already there")]
    AlreadyExists,
    /// The master has no process of that number.
    #[error("the master has no such process")]
    NoSuchProcess,
    /// HAProxy did not like an argument.
    #[error("HAProxy refused the argument: {0}")]
    BadArgument(String),
    /// The answer ended early: the connection was cut, or HAProxy died.
    #[error("the answer is cut off")]
    Truncated,
    /// The answer is neither the success of the command nor a known error.
    #[error("HAProxy answered: {0}")]
    Other(String),
}

/// Cuts what a connection gave into one answer for each command of the batch.
pub fn split_answers<'a>(batch: &Batch, text: &'a str) -> Result<Vec<&'a str>, CliError> {
    let mut rest = text;
    let mut answers = Vec::with_capacity(batch.commands().len());
    let (last, earlier) = batch.commands().split_last().expect("a batch has a command");
    for command in earlier {
        let end = answer_end(command, rest).ok_or_else(|| whole_error(rest))?;
        let (answer, next) = rest.split_at(end);
        answers.push(answer.trim_end_matches('\n'));
        rest = next;
    }
    // Only `reload` may close the connection without a word.
    if rest.is_empty() && *last != Command::Reload {
        return Err(CliError::Truncated);
    }
    answers.push(rest.trim_end_matches('\n'));
    Ok(answers)
}

/// Whether HAProxy says nothing more after this text although it keeps the connection open, so that
/// the reader shall not wait for its end.
///
/// From 2.8 on the master does so when it has no such worker (`@!pid` of one that has just ended),
/// and forgets the `quit` that followed.
pub fn is_last_word(text: &str) -> bool {
    let lines = text.trim_start_matches('\n');
    text.ends_with('\n') && known_error(lines) == Some(CliError::NoSuchProcess)
}

/// Where the answer of a command ends in the text: behind the blank line that closes it.
fn answer_end(command: &Command, text: &str) -> Option<usize> {
    if text.starts_with('\n') {
        return Some(1);
    }
    let quoted = *command == Command::ShowStat;
    let mut in_quotes = false;
    let mut previous = b' ';
    for (at, byte) in text.bytes().enumerate() {
        // A health check's text may hold anything, and is quoted then.
        in_quotes ^= quoted && byte == b'"';
        if byte == b'\n' && previous == b'\n' && !in_quotes {
            return Some(at + 1);
        }
        previous = byte;
    }
    None
}

/// What a text says that should have held more answers: an error for all, or a cut.
fn whole_error(text: &str) -> CliError {
    match known_error(text.trim()) {
        Some(error) => error,
        None => CliError::Truncated,
    }
}

impl Command {
    /// Judges the answer of a command that changes something. Commands that ask have their own
    /// parsers, which judge in the same way.
    pub fn outcome(&self, answer: &str) -> Result<(), CliError> {
        let text = answer.trim();
        let success = match self {
            Command::AddServer(..) => text.starts_with("New server registered"),
            Command::DelServer(..) => text.starts_with("Server deleted"),
            // "… changed from 'X' to 'Y' …", or that there is no need to.
            Command::SetServerAddress(..) => {
                text.contains("changed from")
                    || text.starts_with("no need to change")
                    || text == "nothing changed"
            }
            _ if self.is_silent() => text.is_empty(),
            _ => !text.is_empty(),
        };
        if success && known_error(text).is_none() { Ok(()) } else { Err(error_of(text)) }
    }
}

/// The error that a text is; for answers that should have been a table.
pub(super) fn error_of(text: &str) -> CliError {
    let text = text.trim();
    if text.is_empty() {
        return CliError::Truncated;
    }
    known_error(text).unwrap_or_else(|| CliError::Other(shorten(text)))
}

/// The known errors by how their text begins. Upper and lower case differ between versions.
fn known_error(text: &str) -> Option<CliError> {
    let lower: String = text.chars().take(TEXT_MAX).collect::<String>().to_ascii_lowercase();
    let starts = |beginnings: &[&str]| beginnings.iter().any(|start| lower.starts_with(start));
    Some(if starts(&["no such server"]) {
        CliError::NoSuchServer
    } else if starts(&["no such backend", "can't find backend", "no such proxy"]) {
        CliError::NoSuchBackend
    } else if starts(&["permission denied"]) {
        CliError::PermissionDenied
    } else if starts(&["unknown command"]) {
        CliError::UnknownCommand
    } else if starts(&["this command is restricted to experimental"]) {
        CliError::ExperimentalOnly
    } else if starts(&["proxy is disabled"]) {
        CliError::ProxyDisabled
    } else if starts(&["only servers in maintenance"]) {
        CliError::NotInMaintenance
    } else if starts(&["already exists"]) {
        CliError::AlreadyExists
    } else if starts(&["can't find the target"]) {
        CliError::NoSuchProcess
    } else if starts(&["this server cannot be removed", "server still has", "cannot delete"]) {
        CliError::InUse(shorten(text))
    } else if starts(&["require", "'set server", "unknown keyword", "absolute weight", "'server'"])
    {
        CliError::BadArgument(shorten(text))
    } else {
        return None;
    })
}

fn shorten(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::super::command::{AdminState, Target};
    use super::super::name::ServerName;
    use super::*;

    fn set(server: &str) -> Command {
        Command::SetServerState(ServerName::new("app", server).unwrap(), AdminState::Maint)
    }

    /// The texts were read from HAProxy 2.6.12.
    #[test]
    fn recorded_answers_are_told_apart_and_judged() {
        let batch = Batch::new(Target::Worker, vec![set("a"), set("zz"), set("b")]).unwrap();
        let answers = split_answers(&batch, "\nNo such server.\n\n\n").unwrap();
        assert_eq!(answers, ["", "No such server.", ""]);
        assert_eq!(set("a").outcome(answers[0]), Ok(()));
        assert_eq!(set("zz").outcome(answers[1]), Err(CliError::NoSuchServer));
        assert_eq!(split_answers(&batch, "\n"), Err(CliError::Truncated));
        assert_eq!(split_answers(&batch, "Permission denied\n"), Err(CliError::PermissionDenied));
    }

    #[test]
    fn texts_without_status_become_errors() {
        let server = || ServerName::new("app", "a").unwrap();
        for (text, error) in [
            ("No such backend.\n", CliError::NoSuchBackend),
            ("Permission denied\n", CliError::PermissionDenied),
            ("Unknown command, but maybe one of the following", CliError::UnknownCommand),
            ("This command is restricted to experimental mode only.", CliError::ExperimentalOnly),
            ("Proxy is disabled.", CliError::ProxyDisabled),
            (
                "Require 'backend/server'.",
                CliError::BadArgument("Require 'backend/server'.".into()),
            ),
            ("Can't find the target PID matching the prefix '@!9'\n", CliError::NoSuchProcess),
            ("Whatever 4.0 says", CliError::Other("Whatever 4.0 says".into())),
        ] {
            assert_eq!(set("a").outcome(text), Err(error), "{text}");
        }
        let add = Command::AddServer(server(), super::super::Token::new("h:1").unwrap(), vec![]);
        assert_eq!(add.outcome("New server registered.\n\n"), Ok(()));
        assert_eq!(
            add.outcome("Already exists a server with the same name in backend.\n"),
            Err(CliError::AlreadyExists)
        );
        let delete = Command::DelServer(server());
        assert_eq!(delete.outcome("Server deleted.\n"), Ok(()));
        assert_eq!(
            delete.outcome("Only servers in maintenance mode can be deleted.\n"),
            Err(CliError::NotInMaintenance)
        );
        assert_eq!(delete.outcome(""), Err(CliError::Truncated));
        let turn = Command::SetServerAddress(server(), "127.0.0.1:1".parse().unwrap());
        let turned = "no need to change the addr, port changed from '8081' to '1' by 'stats socket";
        assert_eq!(turn.outcome(turned), Ok(()));
        assert_eq!(turn.outcome("nothing changed\n"), Ok(()), "3.0 and later");
        let mapped = "can't change 'port' to '1' : server uses port mapping";
        assert_eq!(turn.outcome(mapped), Err(CliError::Other(mapped.to_owned())));
    }

    #[test]
    fn a_master_without_the_worker_has_said_its_last_word() {
        assert!(is_last_word("Can't find the target PID matching the prefix '@!9'\n"));
        assert!(!is_last_word("Can't find the target PID matching"), "more is to come");
        assert!(!is_last_word("Can't find backend.\n") && !is_last_word(""));
    }

    #[test]
    fn a_blank_line_in_a_quoted_field_ends_nothing() {
        let batch = Batch::new(Target::Worker, vec![Command::ShowStat, set("a")]).unwrap();
        let text = "# pxname,last_chk,\napp,\"x\n\ny\",\n\n\n";
        let answers = split_answers(&batch, text).unwrap();
        assert_eq!(answers, ["# pxname,last_chk,\napp,\"x\n\ny\",", ""]);
    }
}
