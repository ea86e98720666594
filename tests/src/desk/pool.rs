//! A small pool of connections to the local database.
//!
//! It never retries a statement: whether a broken one was done is for the caller to say.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row, Statement};

const CONNECTIONS_MAX: usize = 8;
/// The database is on this host: it answers at once or it is not there.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// Why the database gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It did not answer in time.
    #[error("the database is silent")]
    Silent,
    /// It refused, or the connection broke.
    #[error("the database failed: {}", said(.0))]
    Failed(#[from] tokio_postgres::Error),
}

/// The server's own words where it said any: the driver shows only that it did.
fn said(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

/// Connections, opened when needed and kept while they work.
#[derive(Debug)]
pub struct Pool {
    config: Config,
    idle: Mutex<Vec<Session>>,
    permits: Semaphore,
}

/// A connection, and the statements prepared on it so far.
#[derive(Debug)]
pub struct Session {
    client: Client,
    prepared: tokio::sync::Mutex<HashMap<&'static str, Statement>>,
}

type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Session {
    /// Prepares each text once: at hundreds of requests a second the planning would cost more than
    /// the work.
    async fn prepared(&self, text: &'static str) -> Result<Statement, tokio_postgres::Error> {
        let mut prepared = self.prepared.lock().await;
        if let Some(statement) = prepared.get(text) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(text).await?;
        prepared.insert(text, statement.clone());
        Ok(statement)
    }

    /// Runs a query of one parameter list; its rows.
    pub async fn query(
        &self,
        text: &'static str,
        values: Values<'_>,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        self.client.query(&self.prepared(text).await?, values).await
    }

    /// Runs a statement; how many rows it changed.
    pub async fn execute(
        &self,
        text: &'static str,
        values: Values<'_>,
    ) -> Result<u64, tokio_postgres::Error> {
        self.client.execute(&self.prepared(text).await?, values).await
    }
}

impl Pool {
    /// A pool that opens nothing yet; an error when `settings` make no sense.
    pub fn new(settings: &str) -> Result<Self, DatabaseError> {
        let config: Config = settings.parse()?;
        let (idle, permits) = (Mutex::default(), Semaphore::new(CONNECTIONS_MAX));
        Ok(Self { config, idle, permits })
    }

    /// Runs `work` on a connection, all of it within `limit`.
    pub async fn with<T>(
        &self,
        limit: Duration,
        work: impl AsyncFnOnce(&Session) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, DatabaseError> {
        let whole = async {
            let _permit = self.permit().await;
            let session = self.connection().await?;
            match work(&session).await {
                Ok(value) => {
                    self.keep(session);
                    Ok(value)
                }
                Err(error) => {
                    // The others lead to the same server and are likely as broken.
                    self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    Err(DatabaseError::Failed(error))
                }
            }
        };
        timeout(limit, whole).await.unwrap_or(Err(DatabaseError::Silent))
    }

    async fn permit(&self) -> SemaphorePermit<'_> {
        self.permits.acquire().await.expect("the pool never closes its semaphore")
    }

    async fn connection(&self) -> Result<Session, DatabaseError> {
        let kept = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|session| !session.client.is_closed());
            idle.pop()
        };
        if let Some(session) = kept {
            return Ok(session);
        }
        let opening = timeout(CONNECT_LIMIT, self.config.connect(NoTls)).await;
        let (client, connection) = opening.map_err(|_| DatabaseError::Silent)??;
        tokio::spawn(async move {
            // Its end shows as `is_closed` on the client, with the reason in the next statement.
            let _ = connection.await;
        });
        Ok(Session { client, prepared: tokio::sync::Mutex::default() })
    }

    fn keep(&self, session: Session) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }
}
