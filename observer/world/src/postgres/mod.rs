//! PostgreSQL as seen through a host's SSH connection: look, promote, heartbeat, knock.
//!
//! It starts and stops no server and keeps no password: the way in is the Unix socket with `peer`
//! authentication. Every call has a deadline and ends in an answer or a [`Failure`].

pub(crate) mod console;
pub(crate) mod control;
mod failure;
mod growth;
mod heartbeat;
mod look;
mod paths;
mod replication;
mod replication_login;
mod session;
pub(crate) mod settings;
mod startup;
mod survey;
mod timeline;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_postgres::SimpleQueryMessage;

pub use console::{Console, Pooled};
pub use failure::Failure;
pub use heartbeat::{Beat, BeatSeen};
pub use look::{Look, Slot, Standby, Walreceiver, lsn_text, synchronous_names};
pub(crate) use replication::{CHECKPOINT, drop_slot, make_slot};
pub use replication::{Checkpoint, Following};
pub(crate) use replication_login::replication_login;
pub use startup::{StartupAnswer, startup_probe};

use crate::ssh::Ssh;
use session::Session;

/// How our sessions are called in `pg_stat_activity` and in the server's log.
const APPLICATION_NAME: &str = "ha-observer";

/// The server gives up a statement of ours after this time, in case we no longer can.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// The same for what may take long, such as a checkpoint; the callers' deadlines are shorter.
const ACTION_TIMEOUT: Duration = Duration::from_secs(600);

/// SQLSTATE of a function that belongs to the other role.
const WRONG_STATE: &str = "55000";

/// The statement that ends recovery; it does not wait.
pub(crate) const PROMOTE: &str = "select pg_promote(false)";

/// How the server is reached.
#[derive(Clone)]
pub enum Door {
    /// A Unix socket on the host, for instance `/var/run/postgresql/.s.PGSQL.5432`.
    Socket {
        /// The host.
        ssh: Ssh,
        /// Path of the socket file.
        path: String,
    },
    /// A TCP port as seen from the host.
    Port {
        /// The host that connects.
        ssh: Ssh,
        /// Address of the server, for that host.
        address: String,
        /// Port of the server.
        port: u16,
    },
}

/// Which server, and who we are there.
#[derive(Clone)]
pub struct DatabaseTarget {
    /// The way to the server.
    pub door: Door,
    /// The role; it needs `pg_monitor`, and execute on `pg_promote(boolean, integer)`.
    pub user: String,
    /// Our own database, where the heartbeat lives; usually `ha_observer`.
    pub database: String,
}

/// A server and our connections to it, which are opened on demand and kept.
///
/// Looking, writing and acting have a connection each: a write may wait for a synchronous standby,
/// a checkpoint for the disk, and the look that would explain it must not wait behind them.
pub struct Database {
    target: Arc<DatabaseTarget>,
    looking: Session,
    writing: Session,
    acting: Session,
}

/// How far a standby is with the WAL that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    /// End of the WAL that it holds, in bytes.
    pub received_lsn: u64,
    /// End of the WAL that it has replayed, in bytes.
    pub replayed_lsn: u64,
    /// Whether the replay waits for more WAL. What it holds and cannot replay is the first part
    /// of a record whose rest a dying primary never sent.
    pub starved: bool,
    /// Whether more WAL can come: a walreceiver runs, or it restores from an archive.
    pub fed: bool,
}

impl Replay {
    /// Whether nothing is left to replay. Only meaningful once nothing more can arrive.
    pub fn caught_up(&self) -> bool {
        self.starved || self.replayed_lsn >= self.received_lsn
    }
}

impl Database {
    /// Makes the handle; nothing is sent before the first call.
    pub fn new(target: DatabaseTarget) -> Self {
        let target = Arc::new(target);
        let session = |limit| Session::new(target.clone(), limit);
        let (looking, writing) = (session(STATEMENT_TIMEOUT), session(STATEMENT_TIMEOUT));
        let acting = session(ACTION_TIMEOUT);
        Self { target, looking, writing, acting }
    }

    /// Counts the looking connections that died by themselves: an alarm that comes at once.
    pub fn broken(&self) -> watch::Receiver<u64> {
        self.looking.deaths()
    }

    /// What the server said when it last ended the looking session by itself; told once. An
    /// administrator's stop is [`Failure::ShuttingDown`], a crash says something else or nothing.
    pub fn farewell(&self) -> Option<Failure> {
        self.looking.farewell()
    }

    /// Asks the server for everything about itself, in one round trip.
    pub async fn look(&self, deadline: Duration) -> Result<Look, Failure> {
        let began = tokio::time::Instant::now();
        let mut answer = self.ask(look::SQL, deadline).await;
        if matches!(&answer, Err(Failure::Other { sqlstate, .. }) if sqlstate == WRONG_STATE) {
            // The role changed in the middle of the look: the moment at which it matters most.
            answer = self.ask(look::SQL, deadline.saturating_sub(began.elapsed())).await;
        }
        let text = answer?;
        serde_json::from_str(&text).map_err(|error| Failure::Other {
            sqlstate: "-".to_owned(),
            text: format!("the answer to the look is not understood: {error}"),
        })
    }

    /// Orders the end of recovery and does not wait for it. `Ok` means that the order was taken;
    /// whether it happened shows the next look.
    pub async fn promote(&self, deadline: Duration) -> Result<(), Failure> {
        let order = async |client: &tokio_postgres::Client| client.simple_query(PROMOTE).await;
        let answer = self.looking.call(deadline, order);
        match answer.await.map(|rows| first_text(&rows)) {
            Ok(Some(text)) if text == "t" => Ok(()),
            Ok(_) => Err(Failure::Other {
                sqlstate: "-".to_owned(),
                text: "pg_promote did not take the order".to_owned(),
            }),
            Err(Failure::Other { sqlstate, .. }) if sqlstate == WRONG_STATE => {
                Err(Failure::NotInRecovery)
            }
            Err(failure) => Err(failure),
        }
    }

    /// How far the standby is with what it has received.
    pub async fn replay(&self, deadline: Duration) -> Result<Replay, Failure> {
        let sql = "select (greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0')
            ::bigint || ' ' || (pg_last_wal_replay_lsn() - '0/0')::bigint || ' ' || exists (
              select from pg_stat_activity where backend_type = 'startup'
              and wait_event in ('RecoveryWalStream', 'RecoveryRetrieveRetryInterval'))
            || ' ' || (exists (select from pg_stat_wal_receiver where pid is not null)
              or current_setting('restore_command') <> '')
            from (select pg_is_in_recovery() as standby offset 0) as role where standby";
        let text = self.ask(sql, deadline).await?;
        let mut words = text.split(' ');
        let mut number = || words.next()?.parse().ok();
        let numbers = number().zip(number()).map(|(received_lsn, replayed_lsn)| Replay {
            received_lsn,
            replayed_lsn,
            starved: words.next() == Some("true"),
            fed: words.next() == Some("true"),
        });
        numbers.ok_or(Failure::NotInRecovery)
    }

    /// Whether the standby has replayed all that it holds.
    pub async fn replay_caught_up(&self, deadline: Duration) -> Result<bool, Failure> {
        Ok(self.replay(deadline).await?.caught_up())
    }

    /// What a setting is; none where the server knows no such setting. `name` is a plain word.
    pub async fn setting(&self, name: &str, deadline: Duration) -> Result<Option<String>, Failure> {
        let name = name.replace('\'', "''");
        let sql = format!("select coalesce('=' || current_setting('{name}', true), '-')");
        let text = self.ask(&sql, deadline).await?;
        Ok(text.strip_prefix('=').map(str::to_owned))
    }

    /// Writes the heartbeat and says how long the commit took. Makes the table at the first time.
    pub async fn heartbeat(
        &self,
        epoch: u64,
        host: &str,
        deadline: Duration,
    ) -> Result<Beat, Failure> {
        heartbeat::write(&self.writing, epoch, host, deadline).await
    }

    /// Tries whether a file can still grow: [`Failure::DiskFull`] if not.
    pub async fn grow(&self, deadline: Duration) -> Result<(), Failure> {
        growth::grow(&self.writing, deadline).await
    }

    /// The newest heartbeat that this server has; `None` where there never was one.
    pub async fn heartbeat_seen(&self, deadline: Duration) -> Result<Option<BeatSeen>, Failure> {
        heartbeat::read(&self.looking, deadline).await
    }

    /// Knocks with a new connection, without logging in: sees what an open connection hides, for
    /// instance a postmaster that hangs while its children still answer.
    pub async fn knock(&self, deadline: Duration) -> Result<StartupAnswer, Failure> {
        let until = tokio::time::Instant::now() + deadline;
        let opened = self.target.door.open(deadline).await;
        let stream = opened.map_err(|error| failure::from_open(error, deadline))?;
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        Ok(startup_probe(stream, &self.target.user, &self.target.database, left).await)
    }

    /// One text from one harmless statement. A connection that turns out to be dead is replaced
    /// once: that it died between two calls is no answer to this one.
    async fn ask(&self, sql: &str, deadline: Duration) -> Result<String, Failure> {
        let began = tokio::time::Instant::now();
        let ask = async |client: &tokio_postgres::Client| client.simple_query(sql).await;
        let mut rows = self.looking.call(deadline, ask).await;
        if heartbeat::ended(&rows) {
            rows = self.looking.call(deadline.saturating_sub(began.elapsed()), ask).await;
        }
        Ok(first_text(&rows?).unwrap_or_default())
    }
}

fn first_text(rows: &[SimpleQueryMessage]) -> Option<String> {
    rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    })
}
