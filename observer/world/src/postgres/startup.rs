//! The look without a login: one startup packet, and the first answer to it.
//!
//! It works on any byte stream, so that it can be made from here and from the other host. It goes
//! no further than the server's first message, and hangs up at the point where a client that has
//! no password would, which the server does not write to its log.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::failure::{Failure, from_sqlstate};
use crate::text::shown;

/// What the server's first message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartupAnswer {
    /// It lets clients in, or refuses this one for a reason that only a working server has.
    Accepting,
    /// It is starting up.
    StartingUp,
    /// It is shutting down.
    ShuttingDown,
    /// It recovers from a crash of one of its processes.
    Recovering,
    /// It accepted the connection and said nothing within the deadline.
    Silent,
    /// It hung up without a word.
    HungUp,
    /// What came is not PostgreSQL's protocol.
    Garbage(String),
}

/// The longest first message that is read. Real ones are below 1 KiB.
const MESSAGE_MAX: u32 = 16 * 1024;

/// Sends a startup packet for `user` and `database` and reads the first answer.
pub async fn startup_probe<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    user: &str,
    database: &str,
    deadline: Duration,
) -> StartupAnswer {
    let conversation = async {
        let application = ("application_name", super::APPLICATION_NAME);
        let words = [("user", user), ("database", database), application];
        if stream.write_all(&packet(&words)).await.is_err() {
            return StartupAnswer::HungUp;
        }
        let _ = stream.flush().await;
        let (answer, stage) = first_answer(&mut stream).await;
        if stage == Stage::LoggedIn {
            // `Terminate`: the quiet end of a session. A server that waits for a password would
            // complain about it, and is quiet about a client that just goes.
            let _ = stream.write_all(b"X\0\0\0\x04").await;
        }
        let _ = stream.shutdown().await;
        answer
    };
    tokio::time::timeout(deadline, conversation).await.unwrap_or(StartupAnswer::Silent)
}

/// How far the server let us in.
#[derive(PartialEq, Eq)]
enum Stage {
    Outside,
    LoggedIn,
}

/// The packet that begins a session, with these parameters.
pub(super) fn packet(parameters: &[(&str, &str)]) -> Vec<u8> {
    const PROTOCOL_3_0: u32 = 3 << 16;
    let mut body = PROTOCOL_3_0.to_be_bytes().to_vec();
    for (name, value) in parameters {
        for text in [name, value] {
            // A NUL would end the text early; names with one do not exist.
            body.extend(text.bytes().filter(|&byte| byte != 0));
            body.push(0);
        }
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).expect("names are short");
    [length.to_be_bytes().as_slice(), &body].concat()
}

async fn first_answer(stream: &mut (impl AsyncRead + Unpin)) -> (StartupAnswer, Stage) {
    match first_message(stream).await {
        Err(answer) => (answer, Stage::Outside),
        Ok((b'R', body)) if body == [0; 4] => (StartupAnswer::Accepting, Stage::LoggedIn),
        Ok((b'R', _)) => (StartupAnswer::Accepting, Stage::Outside),
        Ok((_, body)) => (error_answer(&body), Stage::Outside),
    }
}

/// Reads one message of the two kinds that can come first: its kind and its body.
pub(super) async fn first_message(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<(u8, Vec<u8>), StartupAnswer> {
    let mut head = [0; 5];
    let mut got = 0;
    while got < head.len() {
        match stream.read(&mut head[got..]).await {
            Ok(0) | Err(_) if got == 0 => return Err(StartupAnswer::HungUp),
            Ok(0) | Err(_) => return Err(StartupAnswer::Garbage(shown(&head[..got]))),
            Ok(length) => got += length,
        }
        // Anything else than these two is not PostgreSQL, and may never send five bytes.
        if head[0] != b'R' && head[0] != b'E' {
            return Err(StartupAnswer::Garbage(shown(&head[..got])));
        }
    }
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    if !(8..=MESSAGE_MAX).contains(&length) {
        return Err(StartupAnswer::Garbage(shown(&head)));
    }
    let mut body = vec![0; length as usize - 4];
    match stream.read_exact(&mut body).await {
        Ok(_) => Ok((head[0], body)),
        Err(_) => Err(StartupAnswer::Garbage(shown(&head))),
    }
}

/// One field of an error's body.
pub(super) fn field(body: &[u8], kind: u8) -> Option<String> {
    let found = body.split(|&byte| byte == 0).find(|field| field.first() == Some(&kind));
    found.map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
}

fn error_answer(body: &[u8]) -> StartupAnswer {
    let (Some(sqlstate), Some(message)) = (field(body, b'C'), field(body, b'M')) else {
        return StartupAnswer::Garbage(shown(body));
    };
    match from_sqlstate(&sqlstate, &message) {
        Failure::StartingUp | Failure::NotAccepting(_) => StartupAnswer::StartingUp,
        Failure::ShuttingDown => StartupAnswer::ShuttingDown,
        Failure::InCrashRecovery => StartupAnswer::Recovering,
        _ => StartupAnswer::Accepting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    async fn answer_to(bytes: &[u8]) -> StartupAnswer {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        far.write_all(bytes).await.unwrap();
        let bytes_end = tokio::spawn(async move {
            let mut sink = Vec::new();
            let _ = far.read(&mut [0; 1024]).await;
            let _ = far.shutdown().await;
            let _ = far.read_to_end(&mut sink).await;
        });
        let answer = startup_probe(near, "u", "d", Duration::from_secs(5)).await;
        bytes_end.await.unwrap();
        answer
    }

    fn error(fields: &[u8]) -> Vec<u8> {
        let length = u32::try_from(fields.len() + 4).unwrap();
        [b"E", length.to_be_bytes().as_slice(), fields].concat()
    }

    #[tokio::test]
    async fn answers_are_read() {
        assert_eq!(answer_to(b"R\0\0\0\x08\0\0\0\x0a").await, StartupAnswer::Accepting);
        let starting = error(b"SFATAL\0C57P03\0Mthe database system is starting up\0\0");
        assert_eq!(answer_to(&starting).await, StartupAnswer::StartingUp);
        let refused = error(b"SFATAL\0C28000\0Mrole \"u\" does not exist\0\0");
        assert_eq!(answer_to(&refused).await, StartupAnswer::Accepting);
    }

    #[tokio::test]
    async fn what_is_not_postgresql_is_garbage() {
        assert!(matches!(answer_to(b"SSH-2.0-x\r\n").await, StartupAnswer::Garbage(_)));
        assert!(matches!(answer_to(b"HTTP/1.1 400").await, StartupAnswer::Garbage(_)));
        assert!(matches!(answer_to(b"R\xff\xff\xff\xff").await, StartupAnswer::Garbage(_)));
        assert!(matches!(answer_to(b"E\0\0").await, StartupAnswer::Garbage(_)));
        assert_eq!(answer_to(b"").await, StartupAnswer::HungUp);
    }

    proptest! {
        #[test]
        fn no_error_body_is_too_odd(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            // Total: whatever comes is one of the answers, and remote text is cleaned.
            if let StartupAnswer::Garbage(text) = error_answer(&body) {
                prop_assert!(!text.chars().any(char::is_control));
            }
        }
    }
}
