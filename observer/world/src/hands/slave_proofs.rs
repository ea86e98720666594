//! The proofs that hold one database against another: near, all replayed, streaming.
//!
//! It changes nothing. What a stopped database holds is read from its control file.

use std::time::Duration;

use observer_core::drive::Answer;
use observer_core::sighting::UnitState;
use observer_core::words::{Lsn, human_bytes};
use tokio::time::Instant;

use super::Fault;
use super::proofs::{database_stopped, database_unit, not_yet};
use super::run::Machine;
use crate::commands::slot_name;
use crate::eyes::machine;
use crate::pair_world::{Host, Inner};
use crate::postgres::control::Control;
use crate::postgres::{Failure, Replay};

/// What the control file of a database says.
pub(super) async fn control(host: &Host, deadline: Duration) -> Result<Control, Fault> {
    let output = Machine::host(host).run(&host.commands.standby.control, "", deadline).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    Control::parse(&text).map_err(|why| Fault::Refused(format!("{}: {why}", host.access.name)))
}

/// Shut down in order, and stopped; or running as a standby, which takes no write.
pub(super) async fn shut_down(
    world: &Inner,
    host: &Host,
    deadline: Duration,
) -> Result<Answer, Fault> {
    let until = Instant::now() + deadline;
    let stopped = database_stopped(world, host, deadline).await;
    let left = until.saturating_duration_since(Instant::now());
    if !matches!(stopped, Answer::Shown(_)) {
        return Ok(match host.database.look(left).await {
            Ok(seen) if seen.in_recovery => Answer::Shown("it runs as a standby".to_owned()),
            _ => stopped,
        });
    }
    let control = control(host, left).await?;
    Ok(if control.was_shut_down() || control.was_shut_down_in_recovery() {
        let (state, at) = (&control.state, control.checkpoint);
        Answer::Shown(format!("its control file says \"{state}\" at {at}"))
    } else {
        Answer::NotYet(format!("it is stopped, and its control file says \"{}\"", control.state))
    })
}

/// Stopped, and a standby to the end: a promotion leaves the word of a primary in the control file.
pub(super) async fn not_promoted(
    world: &Inner,
    host: &Host,
    deadline: Duration,
) -> Result<Answer, Fault> {
    let until = Instant::now() + deadline;
    let stopped = database_stopped(world, host, deadline).await;
    if !matches!(stopped, Answer::Shown(_)) {
        return Ok(stopped);
    }
    let control = control(host, until.saturating_duration_since(Instant::now())).await?;
    let state = format!("its control file says \"{}\"", control.state);
    let standby = control.was_shut_down_in_recovery() || control.state == "in archive recovery";
    if !standby {
        return Ok(Answer::Failed(state));
    }
    // A promotion takes the tombstone away before it changes the control file: without it the next
    // start would be that of a primary.
    Ok(match machine::tombstone(host, until.saturating_duration_since(Instant::now())).await {
        Ok(true) => Answer::Shown(format!("{state}, and the tombstone stands")),
        Ok(false) => Answer::Failed(format!("{state}, and the tombstone is gone")),
        Err(why) => Answer::Unknown(why),
    })
}

pub(super) async fn lag_within(
    slave: &Host,
    master: &Host,
    bytes: u64,
    deadline: Duration,
) -> Answer {
    // Asked together: asked one after the other, a busy master would seem further away.
    let (slave, master) =
        tokio::join!(slave.database.look(deadline), master.database.look(deadline));
    let (slave, master) = match (slave, master) {
        (_, Err(Failure::NotRunning(_))) => {
            return Answer::Shown("no database runs on the master".to_owned());
        }
        (Ok(slave), Ok(master)) => (slave, master),
        (Err(failure), _) | (_, Err(failure)) => return not_yet(&failure),
    };
    let Some(written) = master.written_lsn else {
        return Answer::Shown("the master is no primary".to_owned());
    };
    let status = slave.walreceiver.as_ref().map(|receiver| receiver.status.as_str());
    if status != Some("streaming") {
        return Answer::NotYet("it does not stream".to_owned());
    }
    let behind = |lsn: Option<u64>| Lsn(lsn.unwrap_or(0)).behind(Lsn(written));
    let (received, replayed) = (behind(slave.received_lsn), behind(slave.replayed_lsn));
    let text = format!(
        "{} behind in receiving, {} in replaying",
        human_bytes(received),
        human_bytes(replayed)
    );
    if received.max(replayed) <= bytes { Answer::Shown(text) } else { Answer::NotYet(text) }
}

pub(super) async fn replayed_shutdown(
    slave: &Host,
    master: &Host,
    deadline: Duration,
) -> Result<Answer, Fault> {
    let (control, replay) =
        tokio::join!(control(master, deadline), slave.database.replay(deadline));
    let answer = match (control, replay) {
        (Err(Fault::Refused(why)), _) => Answer::Unknown(why),
        (Err(Fault::NoReply), _) => Answer::Unknown("no answer in time".to_owned()),
        (_, Err(failure)) => not_yet(&failure),
        (Ok(control), _) if !control.was_shut_down() => Answer::NotYet(format!(
            "the control file of {} says \"{}\"",
            master.access.name, control.state
        )),
        (Ok(control), Ok(replay)) if replay.fed => held_against(replay, control.checkpoint),
        // Nothing comes from a master that is shut down: what is there now, is all there will be.
        (Ok(control), Ok(_)) => match slave.database.replay(deadline).await {
            Ok(replay) if ended_before(replay, control.checkpoint) => {
                let (received, end) = (Lsn(replay.received_lsn), control.checkpoint);
                Answer::Failed(format!(
                    "received up to {received} only, shut down at {end}: its last checkpoint was \
                     never sent"
                ))
            }
            Ok(replay) => held_against(replay, control.checkpoint),
            Err(failure) => not_yet(&failure),
        },
    };
    Ok(answer)
}

/// It waits for more, and nothing can bring it: the checkpoint at `end` never reached it.
fn ended_before(replay: Replay, end: Lsn) -> bool {
    replay.starved && !replay.fed && Lsn(replay.received_lsn) <= end
}

/// The position replayed is the end of a record: past the beginning of the checkpoint at `end`, the
/// checkpoint is replayed.
fn held_against(replay: Replay, end: Lsn) -> Answer {
    let replayed = Lsn(replay.replayed_lsn);
    let text = format!("replayed up to {replayed}, shut down at {end}");
    if replayed > end { Answer::Shown(text) } else { Answer::NotYet(text) }
}

/// Both ends say so: the slave's walreceiver, and its upstream's list of standbys.
pub(super) async fn streams(
    world: &Inner,
    slave: &Host,
    upstream: &Host,
    deadline: Duration,
) -> Answer {
    let (unit, seen, of_upstream) = tokio::join!(
        database_unit(world, slave, deadline),
        slave.database.look(deadline),
        upstream.database.look(deadline)
    );
    let (seen, of_upstream) = match (seen, of_upstream) {
        (Ok(seen), Ok(of_upstream)) => (seen, of_upstream),
        (Err(failure), _) | (_, Err(failure)) => return not_yet(&failure),
    };
    match unit {
        Ok(UnitState::Active) => {}
        Ok(state) => return Answer::NotYet(format!("it answers, and its unit is {state}")),
        Err(answer) => return answer,
    }
    if !seen.in_recovery {
        return Answer::NotYet("it is a primary".to_owned());
    }
    let access = &upstream.access.database;
    let from = seen.walreceiver.as_ref().filter(|receiver| {
        receiver.status == "streaming"
            && receiver.sender_host.as_ref() == Some(&access.address)
            && receiver.sender_port == Some(access.port)
    });
    let name = &upstream.access.name;
    if from.is_none() {
        return Answer::NotYet(format!("it does not stream from {name}"));
    }
    let (own, slot) = (&slave.access, slot_name(&slave.access.name));
    let listed = of_upstream.standbys.iter().any(|standby| {
        // It may connect by another address than the one it is reached by.
        let is_it = standby.name == own.name.as_str()
            || standby.address.as_ref() == Some(&own.database.address);
        is_it && standby.state.as_deref() == Some("streaming")
    });
    if !listed {
        return Answer::NotYet(format!("{name} does not list it as streaming"));
    }
    if seen.timeline != of_upstream.timeline {
        let (here, there) = (seen.timeline, of_upstream.timeline);
        return Answer::NotYet(format!("it is on timeline {here}, {name} on {there}"));
    }
    let lineages = slave.lineage.of(slave, &seen).zip(upstream.lineage.of(upstream, &of_upstream));
    if lineages.is_some_and(|(here, there)| here != there) {
        let timeline = seen.timeline;
        return Answer::NotYet(format!("its timeline {timeline} is another than that of {name}"));
    }
    let through = match of_upstream.slots.iter().any(|found| found.name == slot && found.active) {
        true => format!(" through slot {slot}"),
        false => ", without a slot".to_owned(),
    };
    Answer::Shown(format!("streams from {name} on timeline {}{through}", seen.timeline))
}
