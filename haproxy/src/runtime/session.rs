//! `show sess`: the sessions now open, as far as counting them by server needs.

use super::answer::{CliError, error_of};
use super::stat::ServerRow;

/// One open session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// HAProxy's handle for it.
    pub id: String,
    /// Source address and port, or the socket it came from.
    pub source: String,
    /// The frontend that took it.
    pub frontend: String,
    /// The backend it was given to, when it was.
    pub backend: Option<String>,
    /// The server it is on, when it is.
    pub server: Option<String>,
    /// Its age as HAProxy writes it, such as `1m4s`.
    pub age: String,
    /// True if its client has sent its end and all that it sent was passed on, the end too. Such a
    /// session of TCP mode waits for the server to close as well, until `timeout server-fin` or
    /// `timeout server`, and no order ends it before (`stream_shutdown` in `src/stream.c`). Told by
    /// HAProxy before 2.8 alone; later it is false.
    pub client_left: bool,
}

/// The flags of a request channel that say so: shut for reading, and for writing.
const SHUT_ON_BOTH_SIDES: u64 = 0x20 | 0x2000;

impl Session {
    /// Reads the answer to `show sess`. The session that asks is in it, with frontend `GLOBAL`.
    pub fn parse(answer: &str) -> Result<Vec<Session>, CliError> {
        let rows = answer.lines().filter(|line| !line.is_empty());
        rows.map(|line| Session::row(line).ok_or_else(|| error_of(answer))).collect()
    }

    /// Whether it is on this server.
    pub fn is_on(&self, row: &ServerRow) -> bool {
        self.backend.as_deref() == Some(row.backend.as_str())
            && self.server.as_deref() == Some(row.server.as_str())
    }

    fn row(line: &str) -> Option<Session> {
        let (id, rest) = line.split_once(": ")?;
        id.strip_prefix("0x")?;
        let field = |name: &str| {
            let mut fields = rest.split(' ').filter_map(|field| field.split_once('='));
            fields.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
        };
        // HAProxy writes `<NONE>` and `<none>`, which no name can be.
        let named = |name: &str| field(name).filter(|value| !value.starts_with('<'));
        Some(Session {
            id: id.to_owned(),
            source: field("src")?,
            frontend: field("fe")?,
            backend: named("be"),
            server: named("srv"),
            age: field("age")?,
            client_left: field("rq[f")
                .and_then(|flags| request_flags(&flags))
                .is_some_and(|flags| flags & SHUT_ON_BOTH_SIDES == SHUT_ON_BOTH_SIDES),
        })
    }
}

/// The hexadecimal number with an `h` behind it.
fn request_flags(text: &str) -> Option<u64> {
    u64::from_str_radix(text.split_once("h,")?.0, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_left_is_told_from_one_that_is_there() {
        let row = |request: &str| {
            format!("0x55: src=127.0.0.1:5 fe=f be=b srv=a age=2s calls=4 cpu=0 {request}\n")
        };
        let left = |request| Session::parse(&row(request)).unwrap()[0].client_left;
        assert!(left("rq[f=84a020h,i=0,an=00h,rx=,wx=,ax=] scf=[8,0h,fd=12]"));
        assert!(!left("rq[f=848000h,i=0,an=00h,rx=7h59m,wx=,ax=] scf=[8,0h,fd=12]"));
        assert!(!left("rq[f=848020h,i=5,an=00h,rx=,wx=,ax=] scf=[8,0h,fd=12]"), "not passed on");
        assert!(!left(""));
    }

    #[test]
    fn rows_of_2_6_are_read() {
        let answer = "0x55: proto=tcpv4 src=127.0.0.1:5 fe=web be=app srv=a ts=00 epoch=0 age=2s \
             calls=1 rq[f=c08002h,i=0] exp=10s\n\
             0x56: proto=unix_stream src=unix:1 fe=GLOBAL be=<NONE> srv=<none> ts=00 age=0s\n\n";
        let sessions = Session::parse(answer).unwrap();
        assert_eq!(sessions[0].server.as_deref(), Some("a"));
        assert_eq!(sessions[0].age, "2s");
        assert_eq!((&sessions[1].backend, &sessions[1].server), (&None, &None));
        assert_eq!(Session::parse("Permission denied\n"), Err(CliError::PermissionDenied));
    }
}
