//! A PgBouncer's admin console: which of its databases are paused; pause and resume.
//!
//! It speaks PostgreSQL's protocol, simple queries only, and is entered through its Unix socket
//! with `peer` authentication like PostgreSQL itself. A pause is ordered per database, never of the
//! whole process: version 1.18 shows only the former (`SHOW DATABASES`). It stands until it is
//! resumed, whatever becomes of the connection that ordered it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};

use super::session::Session;
use super::{DatabaseTarget, Door, Failure};
use crate::ssh::Ssh;

/// The console's own name among the databases.
const CONSOLE: &str = "pgbouncer";

/// How long a pause is waited for by the one who orders it. It comes back once the last transaction
/// has ended, which the proof looks for; it is in force at once.
const TAKEN: Duration = Duration::from_millis(200);

/// A PgBouncer, and our connection to its console, which is opened on demand and kept.
pub struct Console {
    target: Arc<DatabaseTarget>,
    looking: Session,
}

/// One database of a PgBouncer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pooled {
    /// Its name, as clients give it.
    pub name: String,
    /// Whether its clients are made to wait.
    pub paused: bool,
    /// Connections to the server that are open.
    pub connections: u64,
    /// How long a client keeps a connection, where it is set for this database alone.
    pub pool_mode: Option<String>,
    /// The server it leads to: an address, a name, or empty for a Unix socket.
    pub host: String,
}

impl Console {
    /// Makes the handle; nothing is sent before the first call.
    pub fn new(ssh: Ssh, path: String, user: String) -> Self {
        let door = Door::Socket { ssh, path };
        let target = Arc::new(DatabaseTarget { door, user, database: CONSOLE.to_owned() });
        Self { looking: Session::of_console(target.clone()), target }
    }

    /// Counts the connections that died by themselves.
    pub fn broken(&self) -> watch::Receiver<u64> {
        self.looking.deaths()
    }

    /// Every database but the console itself.
    pub async fn databases(&self, deadline: Duration) -> Result<Vec<Pooled>, Failure> {
        let rows = self.ask("SHOW DATABASES", deadline).await?;
        let pooled = rows.iter().map(|row| pooled(row).ok_or_else(unreadable));
        let all: Vec<Pooled> = pooled.collect::<Result<_, _>>()?;
        Ok(all.into_iter().filter(|database| database.name != CONSOLE).collect())
    }

    /// The settings in force, by name.
    pub async fn settings(&self, deadline: Duration) -> Result<BTreeMap<String, String>, Failure> {
        let rows = self.ask("SHOW CONFIG", deadline).await?;
        let setting = |row: &SimpleQueryRow| {
            Some((field(row, "key")?.to_owned(), field(row, "value").unwrap_or("").to_owned()))
        };
        rows.iter().map(|row| setting(row).ok_or_else(unreadable)).collect()
    }

    /// The version, as `PgBouncer 1.18.0`.
    pub async fn version(&self, deadline: Duration) -> Result<String, Failure> {
        let rows = self.ask("SHOW VERSION", deadline).await?;
        let text = rows.first().and_then(|row| row.try_get(0).ok().flatten());
        text.map(str::to_owned).ok_or_else(unreadable)
    }

    /// Orders each of `databases` paused. `Ok` means that all are by now, whether or not their last
    /// transactions have ended.
    pub async fn pause(&self, databases: &[String], deadline: Duration) -> Result<(), Failure> {
        let taken = deadline.min(TAKEN);
        // An order is answered once the transactions of all have ended: each has a connection.
        let order = async |name: &String| {
            let session = Session::of_console(self.target.clone());
            let sql = pause(name);
            session.call(taken, async |client| client.simple_query(&sql).await).await
        };
        for ordered in join_all(databases.iter().map(order)).await {
            match ordered {
                Ok(_) | Err(Failure::Silent { .. }) => {}
                Err(failure) => return Err(failure),
            }
        }
        let seen = self.databases(deadline.saturating_sub(taken)).await?;
        let paused = |name: &String| seen.iter().any(|one| one.name == *name && one.paused);
        if databases.iter().all(paused) { Ok(()) } else { Err(Failure::Silent { after: taken }) }
    }

    /// Lets the clients of each of `databases` go on; one that is not paused stays as it is.
    pub async fn resume(&self, databases: &[String], deadline: Duration) -> Result<(), Failure> {
        for name in databases {
            match self.ask(&resume(name), deadline).await {
                Err(Failure::Other { text, .. }) if text.ends_with("is not paused") => {}
                answer => drop(answer?),
            }
        }
        Ok(())
    }

    async fn ask(&self, sql: &str, deadline: Duration) -> Result<Vec<SimpleQueryRow>, Failure> {
        let began = tokio::time::Instant::now();
        let ask = async |client: &tokio_postgres::Client| client.simple_query(sql).await;
        let mut answer = self.looking.call(deadline, ask).await;
        if super::heartbeat::ended(&answer) {
            // It died between two calls, as after a restart. What we ask may be asked twice.
            let left = deadline.saturating_sub(began.elapsed());
            answer = self.looking.call(left, ask).await;
        }
        let rows = answer?.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(rows.collect())
    }
}

/// The order to pause a database.
pub(crate) fn pause(database: &str) -> String {
    format!("PAUSE {}", quoted(database))
}

/// The order to resume a database.
pub(crate) fn resume(database: &str) -> String {
    format!("RESUME {}", quoted(database))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn pooled(row: &SimpleQueryRow) -> Option<Pooled> {
    Some(Pooled {
        name: field(row, "name")?.to_owned(),
        paused: field(row, "paused")? != "0",
        connections: field(row, "current_connections")?.parse().ok()?,
        pool_mode: field(row, "pool_mode").filter(|mode| !mode.is_empty()).map(str::to_owned),
        host: field(row, "host").unwrap_or("").to_owned(),
    })
}

/// A column by its name: each version has some more of them.
fn field<'r>(row: &'r SimpleQueryRow, name: &str) -> Option<&'r str> {
    let index = row.columns().iter().position(|column| column.name() == name)?;
    row.try_get(index).ok().flatten()
}

fn unreadable() -> Failure {
    Failure::Other { sqlstate: "-".to_owned(), text: "the console's answer is not read".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_whatever_is_in_it() {
        assert_eq!(pause("desk"), "PAUSE \"desk\"");
        assert_eq!(resume("a\"; SHUTDOWN"), "RESUME \"a\"\"; SHUTDOWN\"");
    }
}
