//! Checkpoints and replication slots: what is done by a statement at a running server.
//!
//! A statement that comes back with an error was certainly not carried out; one that does not come
//! back may have been.

use std::time::Duration;

use observer_core::drive::Answer;
use observer_core::plan::Effect;
use observer_core::words::{HostName, human_bytes};

use super::proofs::not_yet;
use super::{Fault, host_of};
use crate::commands::slot_name;
use crate::pair_world::{Host, Inner};
use crate::postgres::{self, Failure};

pub(super) async fn perform(
    world: &Inner,
    effect: &Effect,
    deadline: Duration,
) -> Result<(), Fault> {
    let done = match effect {
        Effect::Checkpoint { host } => host_of(world, host)?.database.checkpoint(deadline).await,
        Effect::MakeSlot { host, follower } => {
            host_of(world, host)?.database.make_slot(&slot_name(follower), deadline).await
        }
        Effect::DropSlot { host, follower } => {
            host_of(world, host)?.database.drop_slot(&slot_name(follower), deadline).await
        }
        _ => return Err(Fault::Refused(format!("{effect}: not done by a statement"))),
    };
    done.map_err(|failure| match failure {
        Failure::Silent { .. } | Failure::Lost(_) => Fault::NoReply,
        failure => Fault::Refused(failure.to_string()),
    })
}

/// The statement of it, for a dry run.
pub(super) fn describe(effect: &Effect) -> Option<String> {
    Some(match effect {
        Effect::Checkpoint { .. } => format!("psql: {}", postgres::CHECKPOINT),
        Effect::MakeSlot { follower, .. } => {
            format!("psql: {}", postgres::make_slot(&slot_name(follower)))
        }
        Effect::DropSlot { follower, .. } => {
            format!("psql: {}", postgres::drop_slot(&slot_name(follower)))
        }
        _ => return None,
    })
}

pub(super) async fn checkpoint_near(host: &Host, bytes: u64, deadline: Duration) -> Answer {
    match host.database.last_checkpoint(deadline).await {
        Ok(Some(last)) => {
            let text = format!("{} of log since the last checkpoint", human_bytes(last.distance));
            if last.distance <= bytes { Answer::Shown(text) } else { Answer::NotYet(text) }
        }
        Ok(None) => Answer::Shown("it is no primary".to_owned()),
        Err(Failure::NotRunning(_)) => Answer::Shown("no database runs there".to_owned()),
        Err(failure) => not_yet(&failure),
    }
}

pub(super) async fn timeline_settled(host: &Host, deadline: Duration) -> Answer {
    match host.database.last_checkpoint(deadline).await {
        Ok(Some(last)) if last.timeline == last.writes => {
            Answer::Shown(format!("its last checkpoint is on timeline {}", last.timeline))
        }
        Ok(Some(last)) => Answer::NotYet(format!(
            "it writes timeline {}, and its last checkpoint is on timeline {}",
            last.writes, last.timeline
        )),
        Ok(None) => Answer::NotYet("it is no primary".to_owned()),
        Err(failure) => not_yet(&failure),
    }
}

pub(super) async fn slot_stands(host: &Host, follower: &HostName, deadline: Duration) -> Answer {
    let name = slot_name(follower);
    match host.database.look(deadline).await {
        Ok(seen) => match seen.slots.iter().find(|slot| slot.name == name) {
            Some(slot) if slot.kind != "physical" => {
                Answer::NotYet(format!("{name} is a {} slot", slot.kind))
            }
            Some(slot) if slot.wal_status.as_deref() == Some("lost") => {
                Answer::NotYet(format!("{name} has lost its log"))
            }
            Some(_) => Answer::Shown(format!("slot {name} is there")),
            None => Answer::NotYet(format!("there is no slot {name}")),
        },
        Err(failure) => not_yet(&failure),
    }
}

pub(super) async fn no_slot(host: &Host, follower: &HostName, deadline: Duration) -> Answer {
    let name = slot_name(follower);
    match host.database.look(deadline).await {
        Ok(seen) => match seen.slots.iter().find(|slot| slot.name == name) {
            Some(slot) if slot.active => Answer::NotYet(format!("{name} is in use")),
            Some(_) => Answer::NotYet(format!("{name} is there")),
            None => Answer::Shown(format!("there is no slot {name}")),
        },
        Err(failure) => not_yet(&failure),
    }
}
