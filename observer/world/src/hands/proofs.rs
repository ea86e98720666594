//! Looks for the proofs of effects. Each answer carries the words of what was seen.
//!
//! It changes nothing, except that proving a write takes a write. What cannot be seen is never
//! taken for shown, nor for not so. The proofs at proxies are in `proxy_proofs`.

use std::time::Duration;

use observer_core::digest::DATABASE_UNIT;
use observer_core::drive::Answer;
use observer_core::plan::Proof;
use observer_core::policy::Probed;
use observer_core::sighting::{Seen, Silent, SystemState, UnitState};
use observer_core::validate::{Power, ServiceAnswer};
use observer_core::words::{Epoch, Lsn, ServiceName, Timeline, human_bytes};
use tokio::time::Instant;

use super::proxy_proofs::{drained, file_keeps_out, file_says, is_in, is_out, shared_drained};
use super::slave_proofs::{lag_within, not_promoted, replayed_shutdown, shut_down};
use super::{
    Fault, Receivers, bouncers, files, follow, history, host_of, lease, monitor, power, proxy_of,
    slots, synchrony,
};
use crate::access::HttpProbe;
use crate::eyes::{machine, port, readiness};
use crate::pair_world::{Host, Inner};
use crate::postgres::Failure;

/// Looks for one proof within `deadline`, which the caller enforces.
pub(crate) async fn prove(
    world: &Inner,
    proof: &Proof,
    epoch: Epoch,
    deadline: Duration,
) -> Answer {
    look_for(world, proof, epoch, deadline).await.unwrap_or_else(|fault| match fault {
        Fault::Refused(why) => Answer::Unknown(why),
        Fault::NoReply => Answer::Unknown("no answer in time".to_owned()),
    })
}

async fn look_for(
    world: &Inner,
    proof: &Proof,
    epoch: Epoch,
    deadline: Duration,
) -> Result<Answer, Fault> {
    Ok(match proof {
        Proof::IsOut { proxy, host } => {
            is_out(world, proxy_of(world, proxy)?, host, deadline).await
        }
        Proof::IsIn { proxy, host, everywhere } => {
            let receivers = Receivers { master: host, everywhere };
            is_in(world, proxy_of(world, proxy)?, receivers, deadline).await
        }
        Proof::FileSays { proxy, master, everywhere } => {
            let receivers = Receivers { master, everywhere };
            file_says(world, proxy_of(world, proxy)?, receivers, deadline).await
        }
        Proof::DatabaseStopped { host } => {
            database_stopped(world, host_of(world, host)?, deadline).await
        }
        Proof::UnitSettled { host } => unit_settled(world, host_of(world, host)?, deadline).await,
        Proof::DatabaseAnswers { host } => {
            database_answers(world, host_of(world, host)?, deadline).await
        }
        Proof::FileKeepsOut { proxy, host } => {
            file_keeps_out(world, proxy_of(world, proxy)?, host, deadline).await
        }
        Proof::LossWithin { host, reached, budget_bytes } => {
            let host = host_of(world, host)?;
            loss_within(host, *reached, *budget_bytes, deadline).await
        }
        Proof::ReplayedAll { host } => replayed_all(host_of(world, host)?, deadline).await,
        Proof::NoTombstone { host } => match tombstone(host_of(world, host)?, deadline).await {
            Answer::Shown(why) => Answer::NotYet(why),
            Answer::NotYet(why) => Answer::Shown(why),
            unknown => unknown,
        },
        Proof::IsPrimary { host, after } => {
            is_primary(host_of(world, host)?, *after, deadline).await
        }
        Proof::Appointed { .. } => Answer::Shown("the journal says so".to_owned()),
        Proof::CanServe { host } => can_serve(world, host_of(world, host)?, deadline).await,
        Proof::CanWrite { host } => can_write(world, host_of(world, host)?, epoch, deadline).await,
        Proof::TombstoneStands { host } => tombstone(host_of(world, host)?, deadline).await,
        Proof::ServiceReady { host, service } => {
            service_ready(world, host_of(world, host)?, service, deadline).await
        }
        Proof::ServiceRuns { host, service } => {
            service_runs(world, host_of(world, host)?, service, deadline).await
        }
        Proof::ServiceStopped { host, service } => {
            service_stopped(world, host_of(world, host)?, service, deadline).await
        }
        Proof::PassClean { host, set, kind, epoch } => {
            files::clean(host_of(world, host)?, set, (*epoch, *kind), deadline).await?
        }
        Proof::NoPass { host } => files::none_runs(host_of(world, host)?, deadline).await,
        Proof::MonitorSays { host, says } => {
            monitor::says_so(host_of(world, host)?, *says, deadline).await?
        }
        Proof::NoSessions { host } => {
            monitor::no_sessions(world, host_of(world, host)?, deadline).await?
        }
        Proof::BouncerPaused { bouncer } => bouncers::is_paused(world, bouncer, deadline).await?,
        Proof::BouncerRuns { bouncer } => bouncers::runs(world, bouncer, deadline).await?,
        proof => of_standbys(world, proof, deadline).await?,
    })
}

/// The proofs of a switchover and of a rejoin.
async fn of_standbys(world: &Inner, proof: &Proof, deadline: Duration) -> Result<Answer, Fault> {
    Ok(match proof {
        Proof::SharedDrained { proxy } => {
            shared_drained(world, proxy_of(world, proxy)?, deadline).await
        }
        Proof::Drained { proxy, host } => {
            drained(world, proxy_of(world, proxy)?, host, deadline).await
        }
        Proof::ShutDown { host } => shut_down(world, host_of(world, host)?, deadline).await?,
        Proof::CheckpointNear { host, bytes } => {
            slots::checkpoint_near(host_of(world, host)?, *bytes, deadline).await
        }
        Proof::TimelineSettled { host } => {
            slots::timeline_settled(host_of(world, host)?, deadline).await
        }
        Proof::SlotStands { host, follower } => {
            slots::slot_stands(host_of(world, host)?, follower, deadline).await
        }
        Proof::NoSlot { host, follower } => {
            slots::no_slot(host_of(world, host)?, follower, deadline).await
        }
        Proof::LagWithin { host, master, bytes } => {
            let (slave, master) = (host_of(world, host)?, host_of(world, master)?);
            lag_within(slave, master, *bytes, deadline).await
        }
        Proof::ReplayedShutdown { host, master } => {
            let (slave, master) = (host_of(world, host)?, host_of(world, master)?);
            replayed_shutdown(slave, master, deadline).await?
        }
        Proof::Follows { host, upstream } => {
            follow::follows(world, host, upstream, deadline).await?
        }
        Proof::Streams { host, upstream } => {
            let (slave, upstream) = (host_of(world, host)?, host_of(world, upstream)?);
            history::streams_if_it_can(world, slave, upstream, deadline).await
        }
        Proof::Cloned { host, upstream } => {
            let (slave, upstream) = (host_of(world, host)?, host_of(world, upstream)?);
            history::cloned(world, slave, upstream, deadline).await?
        }
        Proof::OnHistoryOf { host, source } => {
            let (host, source) = (host_of(world, host)?, host_of(world, source)?);
            history::on_history_of(host, source, deadline).await?
        }
        Proof::PoweredOff { host } => power::prove(world, host, Power::Off, deadline).await?,
        Proof::PoweredOn { host } => power::prove(world, host, Power::On, deadline).await?,
        Proof::DivergedKept { host, source } => {
            let source = source.as_ref().map(|source| host_of(world, source)).transpose()?;
            history::kept(host_of(world, host)?, source, deadline).await?
        }
        Proof::NotPromoted { host } => not_promoted(world, host_of(world, host)?, deadline).await?,
        Proof::Synchronous { host, standby } => {
            synchrony::synchronous(host_of(world, host)?, standby.as_ref(), deadline).await?
        }
        Proof::NotAtBoot { host, service } => {
            not_at_boot(world, host_of(world, host)?, service.as_ref(), deadline).await
        }
        Proof::LeaseRuns { host } => lease::runs(world, host_of(world, host)?, deadline).await,
        Proof::NoLease { host } => lease::none(world, host_of(world, host)?, deadline).await,
        proof => Answer::Unknown(format!("{proof}: cannot be seen yet")),
    })
}

/// The state of the database's unit; where it cannot be told, what a proof answers then.
pub(super) async fn database_unit(
    world: &Inner,
    host: &Host,
    deadline: Duration,
) -> Result<UnitState, Answer> {
    match machine::units(world, host, deadline).await {
        Ok(report) => report.unit(DATABASE_UNIT).map(|unit| unit.state).ok_or_else(|| {
            Answer::Unknown(format!("systemd knows no {}", host.access.database.unit))
        }),
        Err(silent) => Err(Answer::Unknown(format!("its unit: {silent}"))),
    }
}

async fn unit_settled(world: &Inner, host: &Host, deadline: Duration) -> Answer {
    let unit = &host.access.database.unit;
    match database_unit(world, host, deadline).await {
        Ok(UnitState::Activating | UnitState::Deactivating) => {
            Answer::NotYet(format!("{unit} has not finished what systemd does with it"))
        }
        Ok(state) => Answer::Shown(format!("{unit} is {state}")),
        Err(answer) => answer,
    }
}

async fn not_at_boot(
    world: &Inner,
    host: &Host,
    service: Option<&ServiceName>,
    deadline: Duration,
) -> Answer {
    let spec = service.and_then(|name| world.spec.services.iter().find(|one| one.name == *name));
    let unit = spec.map_or(DATABASE_UNIT, |spec| spec.unit.as_str());
    match machine::units(world, host, deadline).await {
        Ok(report) => match report.unit(unit) {
            Some(unit) if unit.at_boot => Answer::NotYet("it is enabled".to_owned()),
            Some(_) => Answer::Shown("it is not enabled".to_owned()),
            None => Answer::Unknown(format!("systemd knows no {unit}")),
        },
        Err(silent) => Answer::Unknown(format!("its unit: {silent}")),
    }
}

/// One that runs outside its unit would die with the session that started it.
async fn database_answers(world: &Inner, host: &Host, deadline: Duration) -> Answer {
    let (unit, seen) =
        tokio::join!(database_unit(world, host, deadline), host.database.look(deadline));
    if let Err(failure) = seen {
        return not_yet(&failure);
    }
    match unit {
        // A unit may take a while longer to notice that its server is up.
        Ok(UnitState::Active | UnitState::Activating) => {
            Answer::Shown("it answers queries, and runs under its unit".to_owned())
        }
        Ok(state) => Answer::NotYet(format!("it answers queries, and its unit is {state}")),
        Err(answer) => answer,
    }
}

pub(super) async fn database_stopped(world: &Inner, host: &Host, deadline: Duration) -> Answer {
    let (unit, knock) =
        tokio::join!(database_unit(world, host, deadline), host.database.knock(deadline));
    match (unit, knock) {
        (Err(answer), _) => answer,
        (
            Ok(UnitState::Stopped | UnitState::NeverStarted | UnitState::Failed),
            Err(Failure::NotRunning(_)),
        ) => Answer::Shown("its unit does not run and its socket refuses".to_owned()),
        (Ok(state), Err(Failure::NotRunning(_))) => Answer::NotYet(format!("its unit is {state}")),
        (_, Ok(_)) => Answer::NotYet("its socket still answers".to_owned()),
        (_, Err(failure)) => not_yet(&failure),
    }
}

async fn loss_within(host: &Host, reached: Lsn, budget: u64, deadline: Duration) -> Answer {
    match host.database.replay(deadline).await {
        Ok(replay) => {
            let missing = Lsn(replay.received_lsn).behind(reached);
            let text = format!("{} of log are missing up to {reached}", human_bytes(missing));
            if missing <= budget { Answer::Shown(text) } else { Answer::NotYet(text) }
        }
        Err(failure) => not_yet(&failure),
    }
}

async fn replayed_all(host: &Host, deadline: Duration) -> Answer {
    match host.database.replay(deadline).await {
        Ok(replay) if replay.caught_up() => {
            Answer::Shown(format!("replayed up to {}", Lsn(replay.replayed_lsn)))
        }
        Ok(replay) => {
            let left = Lsn(replay.replayed_lsn).behind(Lsn(replay.received_lsn));
            Answer::NotYet(format!("{} of log are left to replay", human_bytes(left)))
        }
        Err(failure) => not_yet(&failure),
    }
}

async fn is_primary(host: &Host, after: Timeline, deadline: Duration) -> Answer {
    match host.database.look(deadline).await {
        Ok(seen) if seen.in_recovery => Answer::NotYet("it is still in recovery".to_owned()),
        Ok(seen) if seen.timeline > after.0 => {
            Answer::Shown(format!("primary on timeline {}", seen.timeline))
        }
        Ok(seen) => Answer::NotYet(format!("primary on timeline {}, not later", seen.timeline)),
        Err(failure) => not_yet(&failure),
    }
}

/// Whether a host is up, can be commanded, and reaches the external database.
async fn can_serve(world: &Inner, host: &Host, deadline: Duration) -> Answer {
    let (machine, database) =
        tokio::join!(machine::units(world, host, deadline), port::external(world, host, deadline));
    match (machine, database) {
        (Ok(report), Ok(Seen::PortOpen)) if report.system == SystemState::Running => {
            Answer::Shown("up, and reaches the database".to_owned())
        }
        (Ok(report), _) if report.system != SystemState::Running => {
            Answer::NotYet("is booting or shutting down".to_owned())
        }
        (Ok(_), Ok(_)) => Answer::NotYet("the external database refuses it".to_owned()),
        (Ok(_), Err(silent)) => Answer::NotYet(format!("the external database: {silent}")),
        (Err(silent), _) => Answer::Unknown(silent.to_string()),
    }
}

/// A server that was told to stop or to restart commits for a moment more: that shows nothing.
async fn can_write(world: &Inner, host: &Host, epoch: Epoch, deadline: Duration) -> Answer {
    let until = Instant::now() + deadline;
    if let unsettled @ Answer::NotYet(_) = unit_settled(world, host, deadline).await {
        return unsettled;
    }
    let deadline = until.saturating_duration_since(Instant::now());
    match host.database.heartbeat(epoch.0, host.access.name.as_str(), deadline).await {
        Ok(beat) => {
            Answer::Shown(format!("a row was committed in {} ms", beat.latency.as_millis()))
        }
        Err(failure) => not_yet(&failure),
    }
}

async fn tombstone(host: &Host, deadline: Duration) -> Answer {
    match machine::tombstone(host, deadline).await {
        Ok(true) => Answer::Shown("it is there".to_owned()),
        Ok(false) => Answer::NotYet("it is not there".to_owned()),
        Err(why) => Answer::Unknown(why),
    }
}

async fn service_ready(
    world: &Inner,
    host: &Host,
    service: &ServiceName,
    deadline: Duration,
) -> Answer {
    match service_state(world, host, service, deadline.min(HEALTH_MAX)).await {
        Ok(UnitState::Active) => {}
        Ok(state) => return Answer::NotYet(format!("its unit is {state}")),
        Err(answer) => return answer,
    }
    let known = world.spec.services.iter().find(|spec| spec.name == *service);
    let mut seen = "its unit is active".to_owned();
    if known.is_some_and(|spec| spec.readiness.is_some()) {
        match readiness::ask(world, host, service).await {
            Ok(ServiceAnswer::Ready(said)) => seen = format!("active, and its probe sees {said}"),
            Ok(ServiceAnswer::NotReady(said)) => return Answer::NotYet(said),
            Err(silent) => return Answer::Unknown(silent.to_string()),
        }
    }
    match (&host.access.application, known.map(|spec| spec.probed)) {
        (Some(probe), Some(Probed::Health)) => health(host, probe, deadline.min(HEALTH_MAX)).await,
        _ => Answer::Shown(seen),
    }
}

/// How long one look at a unit, and one at the application's health, may take: a readiness probe
/// has a deadline of its own.
const HEALTH_MAX: Duration = Duration::from_secs(2);

async fn health(host: &Host, probe: &HttpProbe, deadline: Duration) -> Answer {
    let until = Instant::now() + deadline;
    let half = until.saturating_duration_since(Instant::now()) / 2;
    let mut seen = port::probe_directly(probe, half).await;
    if seen.is_err() {
        // From here it may be out of reach and yet be ready for users.
        let left = until.saturating_duration_since(Instant::now());
        seen = port::probe_through(&host.ssh, "127.0.0.1", probe, left).await;
    }
    match seen {
        Ok(Seen::ApplicationWell) => Answer::Shown("active, and its health answers".to_owned()),
        Ok(Seen::ApplicationIll(text)) => Answer::NotYet(text),
        Ok(_) => Answer::NotYet("its port refuses".to_owned()),
        Err(silent) => Answer::Unknown(silent.to_string()),
    }
}

async fn service_runs(
    world: &Inner,
    host: &Host,
    service: &ServiceName,
    deadline: Duration,
) -> Answer {
    match service_state(world, host, service, deadline).await {
        Ok(UnitState::Active) => Answer::Shown("its unit is active".to_owned()),
        Ok(state) => Answer::NotYet(format!("its unit is {state}")),
        Err(answer) => answer,
    }
}

async fn service_stopped(
    world: &Inner,
    host: &Host,
    service: &ServiceName,
    deadline: Duration,
) -> Answer {
    match service_state(world, host, service, deadline).await {
        Ok(UnitState::Stopped | UnitState::NeverStarted | UnitState::Failed) => {
            Answer::Shown("its unit does not run".to_owned())
        }
        Ok(state) => Answer::NotYet(format!("its unit is {state}")),
        Err(answer) => answer,
    }
}

async fn service_state(
    world: &Inner,
    host: &Host,
    service: &ServiceName,
    deadline: Duration,
) -> Result<UnitState, Answer> {
    let unit = world.spec.services.iter().find(|spec| spec.name == *service);
    let unknown = || Answer::Unknown(format!("{service} is no service of the pair"));
    let unit = &unit.ok_or_else(unknown)?.unit;
    let silence = |silent: Silent| Answer::Unknown(format!("its unit: {silent}"));
    let report = machine::units(world, host, deadline).await.map_err(silence)?;
    let state = report.unit(unit).map(|report| report.state);
    state.ok_or_else(|| Answer::Unknown(format!("systemd there knows no unit {unit}")))
}

/// What the server said is an answer; that nothing came is none.
pub(super) fn not_yet(failure: &Failure) -> Answer {
    if failure.is_alive() || matches!(failure, Failure::NotRunning(_)) {
        Answer::NotYet(failure.to_string())
    } else {
        Answer::Unknown(failure.to_string())
    }
}
