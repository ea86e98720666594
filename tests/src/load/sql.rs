//! One SQL client: single-row INSERTs of unique ids at a steady pace, one after another.
//!
//! It keeps its connection while that works and opens a new one when it broke, without pause.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls};

use super::record::{Attempt, Kind, Outcome, Record};

/// How the client behaves.
#[derive(Debug, Clone)]
pub struct SqlLoad {
    /// The database.
    pub database: Config,
    /// The pace; a slow statement delays the next one and no burst follows.
    pub every: Duration,
    /// How long it runs, unless told to end earlier.
    pub duration: Duration,
    /// How long it waits for a connection, from the first packet to being let in.
    pub connect_limit: Duration,
    /// How long it waits for a statement.
    pub statement_limit: Duration,
}

/// Runs the load to its end.
pub async fn run(load: &SqlLoad) -> std::io::Result<Record> {
    let mut record = Record::begin();
    let end = super::end(load.duration);
    tokio::pin!(end);
    let mut ticks = interval(load.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connection = None;
    let run = record.run_id();
    for number in 0_u64.. {
        let id = format!("{run}-{number}");
        ticks.tick().await;
        let start_us = record.now_us();
        let (outcome, why) = tokio::select! {
            // An attempt that the end of the load cuts short tells nothing about the system.
            ended = &mut end => {
                ended?;
                break;
            }
            result = attempt(load, &mut connection, &id) => result,
        };
        let attempt =
            Attempt { start_us, end_us: record.now_us(), kind: Kind::Write, outcome, id, why };
        record.enter(attempt);
    }
    Ok(record)
}

async fn attempt(load: &SqlLoad, connection: &mut Option<Client>, id: &str) -> (Outcome, String) {
    let client = match connection.take() {
        Some(client) if !client.is_closed() => client,
        _ => match open(load).await {
            Ok(client) => client,
            Err(why) => return (Outcome::Failed, why),
        },
    };
    let (outcome, why) = insert(load, &client, id).await;
    *connection = (outcome == Outcome::Ok).then_some(client);
    (outcome, why)
}

/// Opens a session within the limit.
pub(super) async fn open(load: &SqlLoad) -> Result<Client, String> {
    match timeout(load.connect_limit, connect(&load.database)).await {
        Ok(Ok(client)) => Ok(client),
        Ok(Err(error)) => Err(format!("connect: {}", said(&error))),
        Err(_) => Err("connect: silence".to_owned()),
    }
}

/// Writes one row within the limit.
pub(super) async fn insert(load: &SqlLoad, client: &Client, id: &str) -> (Outcome, String) {
    let insert = "insert into load_rows (id) values ($1)";
    // Without a name on the server, which a session at a PgBouncer could not find again.
    let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(&id, Type::TEXT)];
    let statement = client.query_typed(insert, &parameters);
    match timeout(load.statement_limit, statement).await {
        Ok(Ok(_)) => (Outcome::Ok, String::new()),
        // A server that shuts down may do so after the commit and before its answer.
        Ok(Err(error)) if definite(&error) => (Outcome::Failed, said(&error)),
        Ok(Err(error)) => (Outcome::Unknown, said(&error)),
        Err(_) => (Outcome::Unknown, "statement: silence".to_owned()),
    }
}

async fn connect(database: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = database.connect(NoTls).await?;
    tokio::spawn(async move {
        // The end of the connection shows in the next statement.
        let _ = connection.await;
    });
    Ok(client)
}

/// An error of class 57 (operator intervention) or none at all leaves the outcome open.
fn definite(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| !code.code().starts_with("57"))
}

fn said(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}
