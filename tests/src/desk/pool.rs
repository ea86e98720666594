//! A small pool of connections to the local database.
//!
//! It never retries a statement: whether a broken one was done is for the caller to say.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tokio_postgres::{Client, Config, NoTls};

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
    idle: Mutex<Vec<Client>>,
    permits: Semaphore,
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
        work: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, DatabaseError> {
        let whole = async {
            let _permit = self.permit().await;
            let client = self.connection().await?;
            match work(&client).await {
                Ok(value) => {
                    self.keep(client);
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

    async fn connection(&self) -> Result<Client, DatabaseError> {
        let kept = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|client| !client.is_closed());
            idle.pop()
        };
        if let Some(client) = kept {
            return Ok(client);
        }
        let opening = timeout(CONNECT_LIMIT, self.config.connect(NoTls)).await;
        let (client, connection) = opening.map_err(|_| DatabaseError::Silent)??;
        tokio::spawn(async move {
            // Its end shows as `is_closed` on the client, with the reason in the next statement.
            let _ = connection.await;
        });
        Ok(client)
    }

    fn keep(&self, client: Client) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
    }
}
