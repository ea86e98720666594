//! Knocks as a standby would: the first packet of a replication login, and the answer to it.
//!
//! No password is sent, nor known: a server that asks for one has checked address, role and
//! encryption against its pg_hba.conf by then. Nothing is replicated.

use std::time::Duration;

use observer_core::validate::ReplicationLogin;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::startup::{field, first_message, packet};
use crate::text::shown;

/// Begins a replication login as `user`; the error says why the answer tells nothing.
pub(crate) async fn replication_login<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    user: &str,
    deadline: Duration,
) -> Result<ReplicationLogin, String> {
    let conversation = async {
        let words = [("user", user), ("replication", "true")];
        let sent = stream.write_all(&packet(&words)).await;
        sent.map_err(|error| format!("the connection broke: {error}"))?;
        let _ = stream.flush().await;
        let answer = read(&mut stream).await;
        if answer == Ok(ReplicationLogin::LetIn) {
            let _ = stream.write_all(b"X\0\0\0\x04").await;
        }
        let _ = stream.shutdown().await;
        answer
    };
    let late = |_| format!("no answer within {} ms", deadline.as_millis());
    tokio::time::timeout(deadline, conversation).await.map_err(late)?
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<ReplicationLogin, String> {
    match first_message(stream).await {
        Err(answer) => Err(format!("it is no answer of PostgreSQL: {answer:?}")),
        Ok((b'R', body)) if body == [0; 4] => Ok(ReplicationLogin::LetIn),
        Ok((b'R', _)) => Ok(ReplicationLogin::AsksPassword),
        Ok((_, body)) => {
            let (code, message) = (field(&body, b'C'), field(&body, b'M'));
            let message = shown(message.unwrap_or_default().as_bytes());
            match code.as_deref() {
                // A server that starts, stops or is full says nothing about who may log in.
                Some("57P03" | "57P01" | "53300") | None => Err(message),
                Some(_) => Ok(ReplicationLogin::Refused(message)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn answer_to(bytes: &[u8]) -> Result<ReplicationLogin, String> {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        far.write_all(bytes).await.unwrap();
        let far_end = tokio::spawn(async move {
            let mut asked = vec![0; 1024];
            let length = far.read(&mut asked).await.unwrap();
            asked.truncate(length);
            let _ = far.shutdown().await;
            asked
        });
        let answer = replication_login(near, "replicator", Duration::from_secs(5)).await;
        let asked = far_end.await.unwrap();
        let asked = String::from_utf8_lossy(&asked).into_owned();
        assert!(asked.contains("user\0replicator\0replication\0true\0"), "{asked:?}");
        answer
    }

    fn error(code: &str, message: &str) -> Vec<u8> {
        let fields = format!("SFATAL\0C{code}\0M{message}\0\0");
        let length = u32::try_from(fields.len() + 4).unwrap();
        [b"E", length.to_be_bytes().as_slice(), fields.as_bytes()].concat()
    }

    #[tokio::test]
    async fn the_first_answer_says_whether_a_standby_may_log_in() {
        assert_eq!(answer_to(b"R\0\0\0\x08\0\0\0\0").await, Ok(ReplicationLogin::LetIn));
        let scram = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0";
        assert_eq!(answer_to(scram).await, Ok(ReplicationLogin::AsksPassword));
        let words = "no pg_hba.conf entry for replication connection";
        let refused = ReplicationLogin::Refused(words.to_owned());
        assert_eq!(answer_to(&error("28000", words)).await, Ok(refused));
    }

    #[tokio::test]
    async fn a_busy_server_or_another_program_says_nothing() {
        assert!(answer_to(&error("57P03", "the database system is starting up")).await.is_err());
        assert!(answer_to(&error("53300", "sorry, too many clients already")).await.is_err());
        assert!(answer_to(b"HTTP/1.1 400").await.is_err());
        assert!(answer_to(b"").await.is_err());
    }
}
