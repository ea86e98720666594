//! Looks at a database through its host's SSH connection, and writes the heartbeat into it.
//!
//! It never opens a port: the way in is the Unix socket.

use std::time::Duration;

use observer_core::sighting::{DatabaseBusy, DatabaseReport, Seen, Silent, Synchrony, Walreceiver};
use observer_core::words::{Epoch, Lsn, Timeline};

use super::silence;
use crate::pair_world::{Host, Inner};
use crate::postgres::{Failure, Look, synchronous_names};

pub(super) async fn look(host: &Host, deadline: Duration) -> Result<Seen, Silent> {
    let seen = host.database.look(deadline).await;
    // How the last session ended is told once: an administrator's stop ends sessions with a word
    // of farewell, a crash does not.
    let farewell = host.database.farewell();
    match seen {
        Ok(seen) => {
            let report = report(&seen)?;
            let history = host.lineage.of(host, &seen);
            Ok(Seen::Database(DatabaseReport { history, ..report }))
        }
        Err(Failure::NotRunning(_)) if farewell == Some(Failure::ShuttingDown) => {
            Ok(Seen::DatabaseBusy(DatabaseBusy::ShuttingDown))
        }
        Err(failure) => silence::of_database(failure),
    }
}

/// Writes the heartbeat with the newest epoch known. A row of a newer epoch is how an observer
/// that was restarted, or lost its journal, learns of it.
pub(super) async fn write(world: &Inner, host: &Host, deadline: Duration) -> Result<Seen, Silent> {
    let began = tokio::time::Instant::now();
    let name = host.access.name.as_str();
    let mut written = host.database.heartbeat(world.epoch().0, name, deadline).await;
    if let Err(Failure::StaleEpoch { newer, .. }) = written {
        // Admitting a newer epoch cannot fail for being old; a still newer one is just as well.
        let _ = world.admit(Epoch(newer));
        let left = deadline.saturating_sub(began.elapsed());
        written = host.database.heartbeat(world.epoch().0, name, left).await;
    }
    if written.is_ok() && host.little_room.is_so() {
        let left = deadline.saturating_sub(began.elapsed());
        if let Err(failure @ Failure::DiskFull(_)) = host.database.grow(left).await {
            written = Err(failure);
        }
    }
    match written {
        Ok(beat) => {
            let latency_ms = u64::try_from(beat.latency.as_millis()).unwrap_or(u64::MAX);
            Ok(Seen::Written { latency_ms })
        }
        Err(failure @ (Failure::DiskFull(_) | Failure::ReadOnly)) => {
            Ok(Seen::CannotWrite(failure.to_string()))
        }
        Err(Failure::Other { sqlstate, text }) if is_trouble(&sqlstate) => {
            Ok(Seen::CannotWrite(text))
        }
        Err(failure) => silence::of_database(failure),
    }
}

/// Classes of errors in which the server itself is in trouble: resources, the system, internal.
fn is_trouble(sqlstate: &str) -> bool {
    ["53", "58", "XX"].iter().any(|class| sqlstate.starts_with(class))
}

fn report(seen: &Look) -> Result<DatabaseReport, Silent> {
    let unreadable = |what: &str| Silent::Garbage(format!("the database does not say {what}"));
    let system_id = seen.system_identifier.parse().map_err(|_| unreadable("who it is"))?;
    let (lsn, replayed) = if seen.in_recovery {
        // A standby that has received nothing yet has replayed nothing either.
        (seen.received_lsn.unwrap_or(0), seen.replayed_lsn.unwrap_or(0))
    } else {
        let written = seen.written_lsn.ok_or_else(|| unreadable("how far its log goes"))?;
        (written, written)
    };
    Ok(DatabaseReport {
        in_recovery: seen.in_recovery,
        timeline: Timeline(seen.timeline),
        system_id,
        lsn: Lsn(lsn),
        replayed: Lsn(replayed),
        replay_paused: seen.replay_paused.unwrap_or(false),
        walreceiver: seen.walreceiver.as_ref().and_then(walreceiver),
        synchrony: if seen.in_recovery { Synchrony::default() } else { synchrony(seen) },
        history: None,
    })
}

/// A heartbeat that waits for so long, in milliseconds, waits for a standby that does not answer.
const HELD_UP_MS: i64 = 1_000;

/// Whom commits wait for, and who of them is there.
///
/// PostgreSQL lists a standby as streaming for a minute after its machine fell silent. What our own
/// heartbeat waits for says it sooner, by the master's own clock.
fn synchrony(seen: &Look) -> Synchrony {
    let asked = synchronous_names(&seen.synchronous_names);
    let held_up = seen.own_commit_waits_ms.is_some_and(|ms| ms >= HELD_UP_MS);
    let holds = |name: &String| {
        !held_up
            && seen.standbys.iter().any(|standby| {
                let there = matches!(standby.sync_state.as_deref(), Some("sync" | "quorum"));
                standby.name == *name && there && standby.state.as_deref() == Some("streaming")
            })
    };
    let held = asked.iter().filter(|name| holds(name)).cloned().collect();
    Synchrony { asked, held }
}

/// One that has heard no message yet says nothing about the master.
fn walreceiver(receiver: &crate::postgres::Walreceiver) -> Option<Walreceiver> {
    let age = receiver.last_message_age_ms?;
    Some(Walreceiver {
        streaming: receiver.status == "streaming",
        // Clocks that were set back make ages negative.
        last_message_ms: u64::try_from(age).unwrap_or(0),
    })
}
