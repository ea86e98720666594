//! Looks for the proofs of effects. Each answer carries the words of what was seen.
//!
//! It changes nothing, except that proving a write takes a write. What cannot be seen is never
//! taken for shown, nor for not so.

use std::sync::PoisonError;
use std::time::Duration;

use haproxy::runtime::{Command, ProcessTable, Target};
use observer_core::digest::DATABASE_UNIT;
use observer_core::drive::Answer;
use observer_core::plan::Proof;
use observer_core::policy::Probed;
use observer_core::sighting::{Admission, Seen, Silent, UnitState};
use observer_core::words::{Epoch, HostName, Lsn, ServiceName, Timeline, human_bytes};
use tokio::time::Instant;

use super::admission::is_absent;
use super::run::Machine;
use super::{Fault, host_of, proxy_of};
use crate::eyes::proxy::{NoTable, admission, converse, own_rows, rows, table};
use crate::eyes::proxy_file::{read, report};
use crate::eyes::{machine, port};
use crate::pair_world::{Host, Inner, Proxy};
use crate::postgres::Failure;
use crate::text::shown;

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
        Proof::IsIn { proxy, host } => is_in(world, proxy_of(world, proxy)?, host, deadline).await,
        Proof::FileSays { proxy, master } => {
            file_says(world, proxy_of(world, proxy)?, master, deadline).await
        }
        Proof::DatabaseStopped { host } => {
            database_stopped(world, host_of(world, host)?, deadline).await
        }
        Proof::DatabaseAnswers { host } => {
            match host_of(world, host)?.database.look(deadline).await {
                Ok(_) => Answer::Shown("it answers queries".to_owned()),
                Err(failure) => not_yet(&failure),
            }
        }
        Proof::LossWithin { host, reached, budget_bytes } => {
            loss_within(host_of(world, host)?, *reached, *budget_bytes, deadline).await
        }
        Proof::ReplayedAll { host } => replayed_all(host_of(world, host)?, deadline).await,
        Proof::IsPrimary { host, after } => {
            is_primary(host_of(world, host)?, *after, deadline).await
        }
        Proof::CanWrite { host } => can_write(host_of(world, host)?, epoch, deadline).await,
        Proof::TombstoneStands { host } => tombstone(host_of(world, host)?, deadline).await,
        Proof::ServiceReady { host, service } => {
            service_ready(world, host_of(world, host)?, service, deadline).await
        }
        Proof::ServiceStopped { host, service } => {
            service_stopped(world, host_of(world, host)?, service, deadline).await
        }
    })
}

async fn is_out(world: &Inner, proxy: &Proxy, host: &HostName, deadline: Duration) -> Answer {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let rows = match table(world, proxy, deadline).await {
        Ok(rows) => rows,
        Err(error) if is_absent(&error) => {
            return is_out_of_the_file(world, proxy, host, left()).await;
        }
        Err(error) => return unknown_table(error),
    };
    let own: Vec<_> = rows.iter().filter(|own| own.host == *host).map(|own| &own.row).collect();
    if own.is_empty() {
        return Answer::NotYet(format!("no server that leads to {host} was found"));
    }
    if let Some(open) = own.iter().find(|row| admission(row) != Admission::TakenOut) {
        let text = format!("{}/{} takes sessions", open.backend, open.server);
        return Answer::NotYet(shown(text.as_bytes()));
    }
    let must_end = proxy.ending.lock().unwrap_or_else(PoisonError::into_inner).contains(host);
    let sessions: u64 = own.iter().map(|row| row.sessions).sum();
    if must_end && sessions > 0 {
        return Answer::NotYet(format!("{sessions} sessions have not ended"));
    }
    let left_behind = old_sessions(world, proxy, host, left()).await;
    match left_behind {
        Ok(0) => Answer::Shown(format!("{} servers in maintenance", own.len())),
        Ok(old) if must_end => {
            Answer::NotYet(format!("workers of before a reload still hold {old} sessions"))
        }
        Ok(old) => Answer::Shown(format!(
            "{} servers in maintenance; workers of before a reload finish {old} sessions",
            own.len()
        )),
        Err(why) => Answer::Unknown(why),
    }
}

/// Sessions to the host that workers from before a reload still carry.
async fn old_sessions(
    world: &Inner,
    proxy: &Proxy,
    host: &HostName,
    deadline: Duration,
) -> Result<u64, String> {
    let until = Instant::now() + deadline;
    let mut sessions = 0;
    for worker in old_workers(proxy, deadline).await? {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(rows) = rows(proxy, Target::Pid(worker), left).await else {
            // It may have ended while we asked; the next look lists it no more.
            return Err(format!("worker {worker} of before a reload does not say what it holds"));
        };
        let own = own_rows(world, proxy, &rows);
        let own = own.iter().filter(|own| own.host == *host);
        sessions += own.map(|own| own.row.sessions).sum::<u64>();
    }
    Ok(sessions)
}

/// The workers from before a reload that still finish something; none where no master socket is
/// configured to ask.
pub(super) async fn old_workers(proxy: &Proxy, deadline: Duration) -> Result<Vec<u32>, String> {
    if proxy.access.master_socket.is_none() {
        return Ok(Vec::new());
    }
    let table = processes(proxy, deadline).await?;
    Ok(table.old_workers.iter().map(|worker| worker.pid).collect())
}

/// The master's table of processes.
pub(super) async fn processes(proxy: &Proxy, deadline: Duration) -> Result<ProcessTable, String> {
    match converse(proxy, Target::Master, vec![Command::ShowProc], deadline).await {
        Ok(answer) => ProcessTable::parse(&answer).map_err(|error| format!("`show proc`: {error}")),
        Err(NoTable::Ask(error)) => Err(format!("the master socket: {error}")),
        Err(NoTable::Unreadable(text)) => Err(text),
    }
}

/// A HAProxy that does not run lets nobody in; one that is started again does what its file says.
async fn is_out_of_the_file(
    world: &Inner,
    proxy: &Proxy,
    host: &HostName,
    deadline: Duration,
) -> Answer {
    let until = Instant::now() + deadline;
    match machine::unit(&proxy.ssh, &proxy.access.unit, deadline).await {
        Ok(UnitState::Stopped | UnitState::NeverStarted | UnitState::Failed) => {}
        Ok(state) => return Answer::NotYet(format!("HAProxy has no socket and is {state:?}")),
        Err(silent) => return Answer::Unknown(format!("HAProxy has no socket: {silent}")),
    }
    let left = until.saturating_duration_since(Instant::now());
    let file = match read(proxy, left).await {
        Ok(bytes) => report(world, proxy, &bytes),
        Err(silent) => Err(silent),
    };
    match file {
        Err(silent) => Answer::Unknown(format!("HAProxy is not running, and its file: {silent}")),
        Ok(file) => {
            let mut own = file.servers.iter().filter(|server| server.host == *host).peekable();
            if own.peek().is_none() {
                let text = format!("HAProxy is not running, and its file does not name {host}");
                return Answer::NotYet(text);
            }
            match own.find(|server| server.admission != Admission::TakenOut) {
                None => Answer::Shown(format!(
                    "HAProxy is not running there; its file keeps {host} out"
                )),
                Some(open) => Answer::NotYet(format!(
                    "HAProxy is not running there; its file would let users in to {}/{}",
                    open.backend, open.server
                )),
            }
        }
    }
}

async fn is_in(world: &Inner, proxy: &Proxy, host: &HostName, deadline: Duration) -> Answer {
    let rows = match table(world, proxy, deadline).await {
        Ok(rows) => rows,
        Err(error) => return unknown_table(error),
    };
    let own: Vec<_> = rows.iter().filter(|own| own.host == *host).map(|own| &own.row).collect();
    if own.is_empty() {
        return Answer::NotYet(format!("no server that leads to {host} was found"));
    }
    let others = rows.iter().filter(|own| own.host != *host);
    let mut open = others.filter(|own| admission(&own.row) != Admission::TakenOut);
    if let Some(open) = open.next() {
        let text = format!("{}/{} takes sessions too", open.row.backend, open.row.server);
        return Answer::NotYet(shown(text.as_bytes()));
    }
    match own.iter().find(|row| admission(row) != Admission::LetIn) {
        None => Answer::Shown(format!("{} servers take sessions", own.len())),
        Some(shut) => {
            let text = format!("{}/{} takes no sessions", shut.backend, shut.server);
            Answer::NotYet(shown(text.as_bytes()))
        }
    }
}

fn unknown_table(error: NoTable) -> Answer {
    match error.silence() {
        Ok(_) => Answer::NotYet("HAProxy is not running there".to_owned()),
        Err(silent) => Answer::Unknown(format!("the proxy's table: {silent}")),
    }
}

async fn file_says(world: &Inner, proxy: &Proxy, master: &HostName, deadline: Duration) -> Answer {
    let until = Instant::now() + deadline;
    let file = match read(proxy, deadline).await {
        Ok(bytes) => report(world, proxy, &bytes),
        Err(silent) => Err(silent),
    };
    let file = match file {
        Ok(file) => file,
        Err(silent) => return Answer::Unknown(silent.to_string()),
    };
    let should = |host: &HostName| {
        if host == master { Admission::LetIn } else { Admission::TakenOut }
    };
    if !file.servers.iter().any(|server| server.host == *master) {
        return Answer::NotYet(format!("the file names no server of {master}"));
    }
    if let Some(wrong) = file.servers.iter().find(|known| known.admission != should(&known.host)) {
        let what = if wrong.host == *master { "keeps out" } else { "lets in" };
        return Answer::NotYet(format!("the file {what} {}/{}", wrong.backend, wrong.server));
    }
    let left = until.saturating_duration_since(Instant::now());
    match Machine::proxy(proxy).try_run(&proxy.commands.check, "", left).await {
        Ok(output) if output.succeeded() => {
            Answer::Shown(format!("{} servers as they should be", file.servers.len()))
        }
        Ok(output) => Answer::NotYet(format!("HAProxy rejects it: {}", shown(&output.stderr))),
        Err(Fault::Refused(why)) => Answer::Unknown(why),
        Err(Fault::NoReply) => Answer::Unknown("HAProxy's check did not end".to_owned()),
    }
}

async fn database_stopped(world: &Inner, host: &Host, deadline: Duration) -> Answer {
    let (units, knock) =
        tokio::join!(machine::units(world, host, deadline), host.database.knock(deadline));
    let state = match units {
        Ok(report) => report.unit(DATABASE_UNIT).map(|unit| unit.state),
        Err(silent) => return Answer::Unknown(format!("its unit: {silent}")),
    };
    match (state, knock) {
        (None, _) => Answer::Unknown(format!("systemd knows no {}", host.access.database.unit)),
        (
            Some(UnitState::Stopped | UnitState::NeverStarted | UnitState::Failed),
            Err(Failure::NotRunning(_)),
        ) => Answer::Shown("its unit does not run and its socket refuses".to_owned()),
        (Some(state), Err(Failure::NotRunning(_))) => {
            Answer::NotYet(format!("its unit is {state:?}"))
        }
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

async fn can_write(host: &Host, epoch: Epoch, deadline: Duration) -> Answer {
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
    let until = Instant::now() + deadline;
    match service_state(world, host, service, deadline).await {
        Ok(UnitState::Active) => {}
        Ok(state) => return Answer::NotYet(format!("its unit is {state:?}")),
        Err(answer) => return answer,
    }
    let probed = world.spec.services.iter().find(|spec| spec.name == *service);
    let probe = match (&host.access.application, probed.map(|spec| spec.probed)) {
        (Some(probe), Some(Probed::Health)) => probe,
        _ => return Answer::Shown("its unit is active".to_owned()),
    };
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
        Ok(state) => Answer::NotYet(format!("its unit is {state:?}")),
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
fn not_yet(failure: &Failure) -> Answer {
    if failure.is_alive() || matches!(failure, Failure::NotRunning(_)) {
        Answer::NotYet(failure.to_string())
    } else {
        Answer::Unknown(failure.to_string())
    }
}
