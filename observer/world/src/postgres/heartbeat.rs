//! The heartbeat: one row in our own database that is rewritten on the master.
//!
//! Writing it proves that the master can commit, and how fast; reading it on the slave gives the
//! lag in seconds. A row of a newer epoch is never overwritten by an older observer.

use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::failure::Failure;
use super::session::Session;

/// A heartbeat that was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// From sending the statement to the answer: commit, synchronous standby and network.
    pub latency: Duration,
    /// Counts the beats of all epochs.
    pub number: u64,
}

/// A heartbeat as a server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeatSeen {
    /// The epoch of its writer.
    pub epoch: u64,
    /// The host that was master when it was written.
    pub host: String,
    /// Its number.
    pub number: u64,
    /// When it was written, in milliseconds of Unix time by the clock of that master.
    pub written_at_ms: i64,
}

const MAKE: &str = "
create schema if not exists ha_observer;
create table if not exists ha_observer.heartbeat (
  only_row boolean primary key default true check (only_row),
  epoch bigint not null,
  host text not null,
  number bigint not null,
  written_at timestamptz not null);";

const WRITE: &str = "
insert into ha_observer.heartbeat as beat (epoch, host, number, written_at)
values ($1, $2, 1, clock_timestamp())
on conflict (only_row) do update set epoch = excluded.epoch, host = excluded.host,
  number = beat.number + 1, written_at = excluded.written_at
where beat.epoch <= excluded.epoch
returning number";

const READ: &str = "
select epoch, host, number, (extract(epoch from written_at) * 1000)::bigint
from ha_observer.heartbeat";

pub(super) async fn write(
    session: &Session,
    epoch: u64,
    host: &str,
    deadline: Duration,
) -> Result<Beat, Failure> {
    let began = Instant::now();
    let left = || deadline.saturating_sub(began.elapsed());
    let beat = async |client: &Client| beat(client, epoch, host).await;
    let mut answer = session.call(left(), beat).await;
    if ended(&answer) {
        // Writing the same row again is harmless, and an old connection's death no answer.
        answer = session.call(left(), beat).await;
    }
    if missing(&answer) {
        answer = match session.call(left(), async |client| client.batch_execute(MAKE).await).await {
            Ok(()) => session.call(left(), beat).await,
            Err(failure) => Err(failure),
        };
    }
    if let Err(Failure::Silent { .. }) = answer {
        return Err(Failure::Silent { after: deadline });
    }
    match answer? {
        Some(beat) => Ok(beat),
        None => {
            let newer = read(session, left()).await?.map_or(0, |seen| seen.epoch);
            Err(Failure::StaleEpoch { ours: epoch, newer })
        }
    }
}

/// Writes the row; `None` where it belongs to a newer epoch.
async fn beat(
    client: &Client,
    epoch: u64,
    host: &str,
) -> Result<Option<Beat>, tokio_postgres::Error> {
    let sent = Instant::now();
    let epoch = i64::try_from(epoch).unwrap_or(i64::MAX);
    let row = client.query_typed_opt(WRITE, &[(&epoch, Type::INT8), (&host, Type::TEXT)]).await?;
    let latency = sent.elapsed();
    row.map(|row| Ok(Beat { latency, number: count(row.try_get(0)?) })).transpose()
}

pub(super) async fn read(
    session: &Session,
    deadline: Duration,
) -> Result<Option<BeatSeen>, Failure> {
    let look = async |client: &Client| {
        let row = client.query_typed_opt(READ, &[]).await?;
        row.map(|row| {
            Ok(BeatSeen {
                epoch: count(row.try_get(0)?),
                host: row.try_get(1)?,
                number: count(row.try_get(2)?),
                written_at_ms: row.try_get(3)?,
            })
        })
        .transpose()
    };
    let seen = session.call(deadline, look).await;
    if missing(&seen) { Ok(None) } else { seen }
}

/// Whether the connection ended, which may have happened long before this call.
pub(super) fn ended<T>(answer: &Result<T, Failure>) -> bool {
    use Failure::{InCrashRecovery, Lost, ShuttingDown};
    matches!(answer, Err(Lost(_) | ShuttingDown | InCrashRecovery))
}

/// Whether the schema or the table is not there yet.
fn missing<T>(answer: &Result<T, Failure>) -> bool {
    let absent = ["42P01", "3F000"];
    matches!(answer, Err(Failure::Other { sqlstate, .. }) if absent.contains(&sqlstate.as_str()))
}

/// Both counters are written by us and never negative.
fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
