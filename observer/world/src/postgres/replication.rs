//! What a switchover and a rejoin ask of a server beyond a look: checkpoints and slots.
//!
//! It has a connection of its own, because a checkpoint may take a minute and neither a look nor a
//! heartbeat may wait behind it.

use std::time::Duration;

use super::{Database, Failure};

/// Where a primary's control file is, compared with what it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Bytes of log written since the last checkpoint began.
    pub distance: u64,
    /// Timeline of the last checkpoint.
    pub timeline: u32,
    /// Timeline it writes now.
    pub writes: u32,
}

/// What a running standby was told to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Following {
    /// Its `primary_conninfo`.
    pub conninfo: String,
    /// Its `primary_slot_name`.
    pub slot: String,
}

pub(crate) const CHECKPOINT: &str = "checkpoint";

/// How far a base backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backup {
    /// Bytes that were sent.
    pub sent: u64,
    /// Bytes that it will be in all, as PostgreSQL estimated at its start.
    pub total: Option<u64>,
    /// Milliseconds since it was begun.
    pub running_ms: u64,
}

impl Database {
    /// Orders a checkpoint and waits for its end.
    pub async fn checkpoint(&self, deadline: Duration) -> Result<(), Failure> {
        self.act(CHECKPOINT, deadline).await
    }

    /// Where the last checkpoint is; none on a standby.
    pub async fn last_checkpoint(&self, deadline: Duration) -> Result<Option<Checkpoint>, Failure> {
        let sql = "select (pg_current_wal_lsn() - redo_lsn)::bigint || ' ' || timeline_id || ' '
              || ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int
            from (select pg_is_in_recovery() as standby offset 0) as role,
              lateral pg_control_checkpoint() where not standby";
        let text = self.ask(sql, deadline).await?;
        let mut words = text.split(' ').map(str::parse::<u64>);
        let mut number = || words.next()?.ok();
        let read = number().zip(number()).zip(number());
        Ok(read.map(|((distance, timeline), writes)| Checkpoint {
            distance,
            timeline: u32::try_from(timeline).unwrap_or(0),
            writes: u32::try_from(writes).unwrap_or(0),
        }))
    }

    /// What the running server was told to follow; it reads its files at a reload.
    pub async fn following(&self, deadline: Duration) -> Result<Following, Failure> {
        let sql = "select current_setting('primary_slot_name') || ' '
            || current_setting('primary_conninfo')";
        let text = self.ask(sql, deadline).await?;
        let (slot, conninfo) = text.split_once(' ').unwrap_or((&text, ""));
        Ok(Following { conninfo: conninfo.to_owned(), slot: slot.to_owned() })
    }

    /// How far the running base backup is, if there is one.
    pub async fn backup_progress(&self, deadline: Duration) -> Result<Option<Backup>, Failure> {
        let sql = "select backup_streamed || ' ' || coalesce(backup_total, 0) || ' '
                || round(1000 * extract(epoch from clock_timestamp() - backend_start))
            from pg_stat_progress_basebackup join pg_stat_activity using (pid)
            order by backup_streamed desc nulls last limit 1";
        let text = self.ask(sql, deadline).await?;
        let mut numbers = text.split(' ').map_while(|word| word.parse::<u64>().ok());
        let (sent, total, running_ms) = (numbers.next(), numbers.next(), numbers.next());
        Ok(sent.zip(running_ms).map(|(sent, running_ms)| Backup {
            sent,
            total: total.filter(|total| *total > 0),
            running_ms,
        }))
    }

    /// Makes a slot that keeps the log from now on. A lost one keeps nothing: it is made anew.
    pub async fn make_slot(&self, slot: &str, deadline: Duration) -> Result<(), Failure> {
        self.act(&make_slot(slot), deadline).await
    }

    /// Drops a slot, if there is one.
    pub async fn drop_slot(&self, slot: &str, deadline: Duration) -> Result<(), Failure> {
        self.act(&drop_slot(slot), deadline).await
    }

    async fn act(&self, sql: &str, deadline: Duration) -> Result<(), Failure> {
        let act = async |client: &tokio_postgres::Client| client.simple_query(sql).await;
        self.acting.call(deadline, act).await.map(drop)
    }
}

/// The statement that makes a slot; names of slots need no quoting.
pub(crate) fn make_slot(slot: &str) -> String {
    format!(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots \
         where slot_name = '{slot}' and wal_status = 'lost' and not active; \
         select pg_create_physical_replication_slot('{slot}', true) \
         where not exists (select from pg_replication_slots where slot_name = '{slot}')"
    )
}

/// The statement that drops a slot.
pub(crate) fn drop_slot(slot: &str) -> String {
    format!(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots \
         where slot_name = '{slot}'"
    )
}
