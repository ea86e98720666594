//! One persistent connection to a server, made when it is needed and again after it died.
//!
//! A call that runs into its deadline takes the connection with it: what hangs on the other side
//! would hold up every later call.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::{Client, Config, NoTls};

use super::failure::{Failure, from_error, from_open};
use super::{DatabaseTarget, Door};

pub(super) struct Session {
    target: Arc<DatabaseTarget>,
    /// The server gives up a statement of this session after this time; none for a PgBouncer's
    /// console, which takes no settings.
    limit: Option<Duration>,
    live: Mutex<Option<Arc<Live>>>,
    deaths: watch::Sender<u64>,
    farewell: Arc<std::sync::Mutex<Option<Failure>>>,
}

/// An open connection. Dropping it ends the task that moves its bytes.
struct Live {
    client: Client,
    driver: AbortHandle,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    pub(super) fn new(target: Arc<DatabaseTarget>, limit: Duration) -> Self {
        Self { limit: Some(limit), ..Self::of_console(target) }
    }

    /// A session at a PgBouncer's admin console.
    pub(super) fn of_console(target: Arc<DatabaseTarget>) -> Self {
        let (live, deaths) = (Mutex::new(None), watch::Sender::new(0));
        Self { target, limit: None, live, deaths, farewell: Arc::default() }
    }

    /// How the last connection that ended by itself said farewell; told once.
    pub(super) fn farewell(&self) -> Option<Failure> {
        self.farewell.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn deaths(&self) -> watch::Receiver<u64> {
        self.deaths.subscribe()
    }

    /// Runs `call` on the connection within `deadline`, connecting first if need be.
    pub(super) async fn call<T>(
        &self,
        deadline: Duration,
        call: impl AsyncFn(&Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, Failure> {
        let until = Instant::now() + deadline;
        let live = timeout_at(until, self.live(until, deadline))
            .await
            .map_err(|_| Failure::Silent { after: deadline })??;
        match timeout_at(until, call(&live.client)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let failure = from_error(&error);
                if live.client.is_closed() || matches!(failure, Failure::Lost(_)) {
                    self.forget(&live).await;
                }
                Err(failure)
            }
            Err(_) => {
                self.forget(&live).await;
                Err(Failure::Silent { after: deadline })
            }
        }
    }

    async fn live(&self, until: Instant, deadline: Duration) -> Result<Arc<Live>, Failure> {
        let mut slot = self.live.lock().await;
        if let Some(live) = slot.as_ref().filter(|live| !live.client.is_closed()) {
            return Ok(live.clone());
        }
        *slot = None;
        let live = Arc::new(self.connect(until, deadline).await?);
        *slot = Some(live.clone());
        Ok(live)
    }

    async fn connect(&self, until: Instant, deadline: Duration) -> Result<Live, Failure> {
        let open = self.target.door.open(until.saturating_duration_since(Instant::now()));
        let stream = open.await.map_err(|error| from_open(error, deadline))?;
        let (client, connection) = timeout_at(until, self.config().connect_raw(stream, NoTls))
            .await
            .map_err(|_| Failure::Silent { after: deadline })?
            .map_err(|error| from_error(&error))?;
        let (deaths, farewell) = (self.deaths.clone(), self.farewell.clone());
        let driver = tokio::spawn(async move {
            // It ends by itself only when the server or the way to it goes away; when we drop the
            // connection this task is aborted and raises no alarm.
            if let Err(error) = connection.await {
                let said = from_error(&error);
                *farewell.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
            }
            deaths.send_modify(|count| *count += 1);
        });
        Ok(Live { client, driver: driver.abort_handle() })
    }

    fn config(&self) -> Config {
        let mut config = Config::new();
        config
            .user(&self.target.user)
            .dbname(&self.target.database)
            .application_name(super::APPLICATION_NAME);
        if let Some(limit) = self.limit.map(|limit| limit.as_millis()) {
            // The caller's deadline is what counts; the server's own limits only clean up after
            // a caller that has hung up.
            config.options(format!(
                "-c statement_timeout={limit} -c idle_in_transaction_session_timeout={limit} \
                 -c search_path=pg_catalog -c client_min_messages=error"
            ));
        }
        config
    }

    async fn forget(&self, gone: &Arc<Live>) {
        let mut slot = self.live.lock().await;
        if slot.as_ref().is_some_and(|live| Arc::ptr_eq(live, gone)) {
            *slot = None;
        }
        gone.driver.abort();
    }
}

impl Door {
    pub(super) async fn open(
        &self,
        deadline: Duration,
    ) -> Result<crate::ssh::SshStream, crate::ssh::OpenError> {
        match self {
            Self::Socket { ssh, path } => ssh.open_unix(path, deadline).await,
            Self::Port { ssh, address, port } => ssh.open_tcp(address, *port, deadline).await,
        }
    }
}
