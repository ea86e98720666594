//! `show stat`: what HAProxy knows about its servers.
//!
//! Columns are found by their names, so versions may add and move them. Rows of frontends,
//! backends and listeners are left out, and so is a row whose names cannot be read.

use std::net::SocketAddr;

use super::answer::{CliError, error_of};
use super::command::Command;
use super::csv;
use super::name::ServerName;

/// One server as `show stat` has it. A column that is empty or missing is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerRow {
    /// The backend.
    pub backend: String,
    /// The server in it.
    pub server: String,
    /// Whether it takes traffic.
    pub status: Status,
    /// Result of the last health check, such as `L7OK` or `L4CON`.
    pub check_status: Option<String>,
    /// Whether a check was under way when the row was written.
    pub check_running: bool,
    /// Code of the last health check, such as the HTTP status.
    pub check_code: Option<u16>,
    /// Text of the last health check; it comes from the checked server and is not to be trusted.
    pub last_check: Option<String>,
    /// Sessions it has now.
    pub sessions: u64,
    /// Sessions it has had since HAProxy started.
    pub sessions_total: u64,
    /// Connections to it that nobody uses now and that wait for the next request; absent where
    /// the table does not say (before 2.2).
    pub idle: Option<u64>,
    /// Requests that wait for it now.
    pub queued: u64,
    /// Seconds since its status last changed.
    pub changed_s: Option<u64>,
    /// Address and port; shown to sockets of level operator and above.
    pub address: Option<String>,
    /// Its weight.
    pub weight: Option<u64>,
    /// Whether it is a backup server.
    pub backup: bool,
    /// `http` or `tcp`; absent where the table does not say.
    pub mode: Option<String>,
}

/// Whether a server takes traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Up,
    /// It does, and checks have begun to fail: so many of so many good ones are left.
    UpGoingDown {
        /// Good checks left.
        left: u32,
        /// Good checks in full health.
        of: u32,
    },
    /// It does not: checks failed.
    Down,
    /// It does not yet: so many of the good checks it needs have passed.
    DownGoingUp {
        /// Good checks so far.
        passed: u32,
        /// Good checks needed.
        of: u32,
    },
    /// Only requests bound to it: its own check said so.
    NoLoadBalancing,
    /// Not at all: maintenance, its own or that of a server it tracks.
    Maint,
    /// Only requests bound to it: an order said so.
    Drain,
    /// It does, and nobody checks it.
    NoCheck,
    /// A status this program does not know.
    Other(String),
}

impl Status {
    fn parse(text: &str) -> Status {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let steps = rest
            .split_once('/')
            .and_then(|(now, of)| Some((now.parse::<u32>().ok()?, of.parse::<u32>().ok()?)));
        match (word, steps) {
            _ if text == "no check" => Status::NoCheck,
            ("UP", Some((left, of))) => Status::UpGoingDown { left, of },
            ("UP", None) => Status::Up,
            ("DOWN", Some((passed, of))) => Status::DownGoingUp { passed, of },
            ("DOWN", None) => Status::Down,
            ("NOLB", _) => Status::NoLoadBalancing,
            ("MAINT", _) => Status::Maint,
            ("DRAIN", _) => Status::Drain,
            _ => Status::Other(text.to_owned()),
        }
    }

    /// Whether new requests may be sent to the server.
    pub fn takes_new(&self) -> bool {
        matches!(self, Status::Up | Status::UpGoingDown { .. } | Status::NoCheck)
    }
}

impl ServerRow {
    /// Reads the answer to `show stat`.
    pub fn parse(answer: &str) -> Result<Vec<ServerRow>, CliError> {
        let Some(table) = answer.trim_start().strip_prefix("# ") else {
            return Err(error_of(answer));
        };
        let mut records = csv::records(table).into_iter();
        let header = records.next().unwrap_or_default();
        let needed = ["pxname", "svname", "status", "scur"];
        if needed.iter().any(|name| !header.iter().any(|column| column == name)) {
            return Err(error_of(answer));
        }
        let columns = Columns { header };
        Ok(records.filter_map(|record| columns.server(&record)).collect())
    }
}

/// Another port than any that an application has, for [`close_idle`].
const OTHER_PORT: u16 = 1;

/// What closes the idle connections of a server that is in maintenance; none where nothing is to
/// be closed, or the address is not known.
///
/// HAProxy keeps connections that nobody uses, to reuse them. It closes them when a server that
/// is up goes into maintenance, and keeps them when the server was down by then: those of a host
/// that lost its power stay, and once it serves again each fails one request, without an answer
/// and without a line in the log. They are closed when the server's address changes, so it is
/// changed and changed back, in one batch: no health check and no request comes between.
///
/// From 3.0 on an address is changed after the answer to the order, by another thread. So something
/// is asked in between, and the way back is ordered more than once: an order that came too early
/// found the old address in place and did nothing. Measured on 3.0 and 3.2 with four threads: 150
/// of 150 went wrong without the question, none with it. The caller shall look at the address
/// afterwards all the same.
pub fn close_idle(row: &ServerRow) -> Option<[Command; 7]> {
    let is_idle = row.status == Status::Maint && row.idle.is_some_and(|idle| idle > 0);
    let server = ServerName::new(row.backend.as_str(), row.server.as_str()).ok()?;
    let own: SocketAddr = row.address.as_ref()?.parse().ok()?;
    let other = SocketAddr::new(own.ip(), if own.port() == OTHER_PORT { 2 } else { OTHER_PORT });
    let set = |at| Command::SetServerAddress(server.clone(), at);
    let ask = || Command::ShowServersState(Some(server.backend.clone()));
    is_idle.then(|| [set(other), ask(), set(own), ask(), set(own), ask(), set(own)])
}

struct Columns {
    header: Vec<String>,
}

impl Columns {
    fn text<'r>(&self, record: &'r [String], name: &str) -> Option<&'r str> {
        let at = self.header.iter().position(|column| column == name)?;
        record.get(at).map(String::as_str).filter(|text| !text.is_empty())
    }

    fn number<T: std::str::FromStr>(&self, record: &[String], name: &str) -> Option<T> {
        self.text(record, name)?.parse().ok()
    }

    fn server(&self, record: &[String]) -> Option<ServerRow> {
        const NOT_SERVERS: [&str; 2] = ["FRONTEND", "BACKEND"];
        // Type 2 is a server. Versions without the column have the two fixed names only.
        let of_type: Option<u8> = self.number(record, "type");
        let server = self.text(record, "svname")?;
        if of_type.is_some_and(|of_type| of_type != 2) || NOT_SERVERS.contains(&server) {
            return None;
        }
        let check = self.text(record, "check_status");
        let running = check.and_then(|check| check.strip_prefix("* "));
        Some(ServerRow {
            backend: self.text(record, "pxname")?.to_owned(),
            server: server.to_owned(),
            status: Status::parse(self.text(record, "status").unwrap_or_default()),
            check_status: running.or(check).map(str::to_owned),
            check_running: running.is_some(),
            check_code: self.number(record, "check_code"),
            idle: self.number(record, "srv_icur"),
            last_check: self.text(record, "last_chk").map(str::to_owned),
            mode: self.text(record, "mode").map(str::to_owned),
            sessions: self.number(record, "scur")?,
            sessions_total: self.number(record, "stot").unwrap_or(0),
            queued: self.number(record, "qcur").unwrap_or(0),
            changed_s: self.number(record, "lastchg"),
            address: self.text(record, "addr").map(str::to_owned),
            weight: self.number(record, "weight"),
            backup: self.number::<u8>(record, "bck") == Some(1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_of_the_manual_are_known() {
        for (text, status) in [
            ("UP", Status::Up),
            ("UP 1/3", Status::UpGoingDown { left: 1, of: 3 }),
            ("DOWN", Status::Down),
            ("DOWN 1/2", Status::DownGoingUp { passed: 1, of: 2 }),
            ("DOWN (agent)", Status::Down),
            ("NOLB", Status::NoLoadBalancing),
            ("NOLB 1/2", Status::NoLoadBalancing),
            ("MAINT", Status::Maint),
            ("MAINT (via app/a)", Status::Maint),
            ("MAINT (resolution)", Status::Maint),
            ("DRAIN", Status::Drain),
            ("no check", Status::NoCheck),
            ("UPSIDE", Status::Other("UPSIDE".to_owned())),
        ] {
            assert_eq!(Status::parse(text), status);
        }
    }

    #[test]
    fn hostile_and_missing_text_loses_no_other_row() {
        let answer = "# pxname,svname,scur,status,new_column,last_chk,check_status,type,\n\
             app,FRONTEND,5,OPEN,,,,0,\n\
             app,a,1,UP,x,\"a \"\"b\"\", app,zz,9,UP\",* L7OK,2,\n\
             app,short\n\
             app,b,0,DOWN 1/2,,,,2,\n\
             app,c,many,UP,,,,2,\n\
             app,BACKEND,5,UP,,,,1,\n";
        let rows = ServerRow::parse(answer).unwrap();
        let names: Vec<&str> = rows.iter().map(|row| row.server.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(rows[0].last_check.as_deref(), Some("a \"b\", app,zz,9,UP"));
        assert_eq!((rows[0].check_status.as_deref(), rows[0].check_running), (Some("L7OK"), true));
        assert_eq!(rows[1].status, Status::DownGoingUp { passed: 1, of: 2 });
    }

    #[test]
    fn what_is_no_table_is_an_error() {
        assert_eq!(ServerRow::parse("Permission denied\n"), Err(CliError::PermissionDenied));
        assert_eq!(ServerRow::parse("\n"), Err(CliError::Truncated));
        assert!(matches!(ServerRow::parse("# a,b\n"), Err(CliError::Other(_))));
    }
}
