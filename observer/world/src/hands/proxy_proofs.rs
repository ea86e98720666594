//! Looks for the proofs of what was done at a proxy: read back from the running process, from
//! what a reload left behind, and from the file.
//!
//! It changes nothing. A HAProxy that does not run is only a proof together with its file.

use std::sync::PoisonError;
use std::time::Duration;

use haproxy::Document;
use haproxy::runtime::{Command, ProcessTable, ServerRow, Session, Target};
use observer_core::drive::Answer;
use observer_core::policy::UsersGo;
use observer_core::sighting::{Admission, FileServer, Silent, UnitState};
use observer_core::words::HostName;
use tokio::time::Instant;

use super::admission::{ends, is_absent, is_tunnel};
use super::run::Machine;
use super::unseen_workers::unseen_workers;
use super::{Fault, Receivers};
use crate::eyes::machine;
use crate::eyes::proxy::{NoTable, OwnRow, admission, converse, own_rows, rows, table};
use crate::eyes::proxy_file::{read, report};
use crate::pair_world::{Inner, Proxy};
use crate::text::shown;

pub(super) async fn is_out(
    world: &Inner,
    proxy: &Proxy,
    host: &HostName,
    deadline: Duration,
) -> Answer {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    if proxy.turns.is_changing() {
        // The worker that is about to come up knows only the file.
        return Answer::NotYet("its file is being changed and loaded".to_owned());
    }
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
    if let Some(open) = still_open(own.iter().copied()) {
        return open;
    }
    let ending = proxy.ending.lock().unwrap_or_else(PoisonError::into_inner).get(host).copied();
    let counts = |row: &ServerRow| ending.is_some_and(|ordered| ends(ordered, row));
    let sum = |rows: &[&ServerRow]| rows.iter().map(|row| row.sessions).sum::<u64>();
    // Only of these: one of nobody's elsewhere must not stand for somebody's here.
    let counted: Vec<&ServerRow> = own.iter().copied().filter(|row| counts(row)).collect();
    let sessions = sum(&counted);
    let of_nobody = match sessions {
        0 => String::new(),
        _ => match sessions_of_nobody(proxy, &counted, left()).await {
            some if some >= sessions => {
                format!("; {some} sessions whose clients have left wait for the host's last word")
            }
            some => return Answer::NotYet(format!("{} sessions have not ended", sessions - some)),
        },
    };
    if let Some(held_up) = unseen_workers_hold_up(proxy, left()).await {
        return held_up;
    }
    let out = format!("{} servers in maintenance{of_nobody}", own.len());
    match old_rows(world, proxy, |own| own.host == *host, left()).await {
        Ok(old) => {
            let old: Vec<&ServerRow> = old.iter().collect();
            let must_end: Vec<&ServerRow> = old.iter().copied().filter(|row| counts(row)).collect();
            match (sum(&must_end), sum(&old)) {
                (0, 0) => Answer::Shown(out),
                (0, old) => Answer::Shown(format!(
                    "{out}; workers of before a reload finish {old} sessions"
                )),
                (held, _) => {
                    Answer::NotYet(format!("workers of before a reload still hold {held} sessions"))
                }
            }
        }
        Err(why) => Answer::Unknown(why),
    }
}

/// What is answered while one of these servers takes sessions; none if none does.
fn still_open<'a>(rows: impl IntoIterator<Item = &'a ServerRow>) -> Option<Answer> {
    let open = rows.into_iter().find(|row| admission(row) != Admission::TakenOut)?;
    let text = format!("{}/{} takes sessions", open.backend, open.server);
    Some(Answer::NotYet(shown(text.as_bytes())))
}

/// What is answered while workers run that nobody can ask; none if there are none.
async fn unseen_workers_hold_up(proxy: &Proxy, deadline: Duration) -> Option<Answer> {
    if proxy.access.master_socket.is_some() {
        return None;
    }
    match unseen_workers(proxy, deadline).await {
        Ok(0) => None,
        Ok(workers) => Some(Answer::NotYet(format!(
            "{workers} workers from before a reload still serve, and without a master socket \
             nobody can ask them whom"
        ))),
        Err(why) => Some(Answer::Unknown(why)),
    }
}

/// How many of the servers' sessions have lost their clients. Nobody sends anything through them
/// any more and no order ends them: while the host is silent they would hold a fence up for hours.
async fn sessions_of_nobody(proxy: &Proxy, servers: &[&ServerRow], deadline: Duration) -> u64 {
    let asked = converse(proxy, Target::Worker, vec![Command::ShowSessions], deadline).await;
    let sessions = asked.ok().and_then(|answer| Session::parse(&answer).ok()).unwrap_or_default();
    let of_nobody = sessions
        .iter()
        .filter(|session| session.client_left && servers.iter().any(|row| session.is_on(row)));
    of_nobody.count() as u64
}

/// Out, and no request is left with the host. What is no HTTP is not waited for: a database's
/// session may last for days.
pub(super) async fn drained(
    world: &Inner,
    proxy: &Proxy,
    host: &HostName,
    deadline: Duration,
) -> Answer {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let out = is_out(world, proxy, host, deadline).await;
    let Answer::Shown(seen) = out else { return out };
    let mut rows: Vec<ServerRow> = match table(world, proxy, left()).await {
        Ok(rows) => rows.into_iter().filter(|own| own.host == *host).map(|own| own.row).collect(),
        // One that does not run holds no request.
        Err(error) if is_absent(&error) => return Answer::Shown(seen),
        Err(error) => return unknown_table(error),
    };
    match old_rows(world, proxy, |own| own.host == *host, left()).await {
        Ok(old) => rows.extend(old),
        Err(why) => return Answer::Unknown(why),
    }
    finished(&rows)
}

/// Whether no request is left with these servers.
fn finished(rows: &[ServerRow]) -> Answer {
    let (tunnels, requests): (Vec<_>, Vec<_>) = rows.iter().partition(|row| is_tunnel(row));
    let sum = |rows: &[&ServerRow]| rows.iter().map(|row| row.sessions).sum::<u64>();
    match (sum(&requests), sum(&tunnels)) {
        (0, 0) => Answer::Shown("no server takes sessions, and none is left".to_owned()),
        (0, tunnels) => Answer::Shown(format!(
            "no server takes sessions, and no request is left; {tunnels} other sessions are open"
        )),
        (1, _) => Answer::NotYet("1 request has not finished".to_owned()),
        (requests, _) => Answer::NotYet(format!("{requests} requests have not finished")),
    }
}

/// Nobody is sent anywhere where users may go to every host, and no request is left there.
pub(super) async fn shared_drained(world: &Inner, proxy: &Proxy, deadline: Duration) -> Answer {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    if proxy.turns.is_changing() {
        return Answer::NotYet("its file is being changed and loaded".to_owned());
    }
    let rows = match table(world, proxy, deadline).await {
        Ok(rows) => rows,
        Err(error) => return unknown_table(error),
    };
    let is_shared = |own: &OwnRow| own.users == UsersGo::EveryHost;
    let mut shared: Vec<ServerRow> =
        rows.into_iter().filter(is_shared).map(|own| own.row).collect();
    if let Some(open) = still_open(&shared) {
        return open;
    }
    if let Some(held_up) = unseen_workers_hold_up(proxy, left()).await {
        return held_up;
    }
    match old_rows(world, proxy, is_shared, left()).await {
        Ok(old) => shared.extend(old),
        Err(why) => return Answer::Unknown(why),
    }
    finished(&shared)
}

/// The sessions that the host has where users may go to every host, those at workers from before a
/// reload among them. One that does not run has none.
pub(crate) async fn shared_sessions(
    world: &Inner,
    proxy: &Proxy,
    host: &HostName,
    deadline: Duration,
) -> Result<u64, Silent> {
    let until = Instant::now() + deadline;
    let rows = match table(world, proxy, deadline).await {
        Ok(rows) => rows,
        Err(error) if is_absent(&error) => return Ok(0),
        Err(error) => return Err(error.silence().err().unwrap_or(Silent::NoWay)),
    };
    let left = until.saturating_duration_since(Instant::now());
    let is_meant = |own: &OwnRow| own.host == *host && own.users == UsersGo::EveryHost;
    let old = old_rows(world, proxy, is_meant, left).await.map_err(Silent::Garbage)?;
    let now = rows.into_iter().filter(is_meant).map(|own| own.row);
    Ok(now.chain(old).map(|row| row.sessions).sum())
}

/// The servers that are meant, at workers from before a reload, with the sessions they still carry.
async fn old_rows(
    world: &Inner,
    proxy: &Proxy,
    is_meant: impl Fn(&OwnRow) -> bool,
    deadline: Duration,
) -> Result<Vec<ServerRow>, String> {
    let until = Instant::now() + deadline;
    let mut old = Vec::new();
    for worker in old_workers(proxy, deadline).await? {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(rows) = rows(proxy, Target::Pid(worker), left).await else {
            // It may have ended while we asked; the next look lists it no more.
            return Err(format!("worker {worker} of before a reload does not say what it holds"));
        };
        let own = own_rows(world, proxy, &rows).into_iter().filter(|own| is_meant(own));
        old.extend(own.map(|own| own.row));
    }
    Ok(old)
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

/// Whether a reload could be ordered and proven: the socket that it takes answers.
pub(super) async fn can_be_loaded(proxy: &Proxy, deadline: Duration) -> Result<(), String> {
    match proxy.access.master_socket {
        Some(_) => processes(proxy, deadline).await.map(drop),
        None => super::reload::worker(proxy, deadline).await.map(drop),
    }
}

/// The master's table of processes.
pub(super) async fn processes(proxy: &Proxy, deadline: Duration) -> Result<ProcessTable, String> {
    match converse(proxy, Target::Master, vec![Command::ShowProc], deadline).await {
        Ok(answer) => ProcessTable::parse(&answer)
            .map_err(|error| shown(format!("`show proc`: {error}").as_bytes())),
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
        Ok(state) => {
            return Answer::NotYet(format!("HAProxy has no socket, and its unit is {state}"));
        }
        Err(silent) => return Answer::Unknown(format!("HAProxy has no socket: {silent}")),
    }
    let left = until.saturating_duration_since(Instant::now());
    let told = |why: &str| format!("HAProxy is not running there; {why}");
    match file_keeps_out(world, proxy, host, left).await {
        Answer::Shown(why) => Answer::Shown(told(&why)),
        Answer::NotYet(why) => Answer::NotYet(told(&why)),
        Answer::Unknown(why) | Answer::Failed(why) | Answer::Never(why) => {
            Answer::Unknown(told(&why))
        }
    }
}

/// What the next start of HAProxy would do, as the file on the disk says.
pub(super) async fn file_keeps_out(
    world: &Inner,
    proxy: &Proxy,
    host: &HostName,
    deadline: Duration,
) -> Answer {
    let file = match read(proxy, deadline).await {
        Ok(bytes) => report(world, proxy, &Document::parse(&bytes)),
        Err(silent) => Err(silent),
    };
    let file = match file {
        Ok(file) => file,
        Err(silent) => return Answer::Unknown(format!("its file: {silent}")),
    };
    let mut own = file.servers.iter().filter(|server| server.host == *host).peekable();
    if own.peek().is_none() {
        return Answer::NotYet(format!("its file does not name {host}"));
    }
    match own.find(|server| server.admission != Admission::TakenOut) {
        None => Answer::Shown(format!("its file keeps {host} out")),
        Some(open) => Answer::NotYet(format!(
            "its file would let users in to {}/{}",
            open.backend, open.server
        )),
    }
}

pub(super) async fn is_in(
    world: &Inner,
    proxy: &Proxy,
    receivers: Receivers<'_>,
    deadline: Duration,
) -> Answer {
    let rows = match table(world, proxy, deadline).await {
        Ok(rows) => rows,
        Err(error) => return unknown_table(error),
    };
    if !rows.iter().any(|own| own.host == *receivers.master) {
        return Answer::NotYet(format!("no server that leads to {} was found", receivers.master));
    }
    let (ins, outs): (Vec<&OwnRow>, Vec<&OwnRow>) =
        rows.iter().partition(|own| receivers.include(&own.host, own.users));
    if let Some(open) = outs.iter().find(|own| admission(&own.row) != Admission::TakenOut) {
        let text = format!("{}/{} takes sessions too", open.row.backend, open.row.server);
        return Answer::NotYet(shown(text.as_bytes()));
    }
    match ins.iter().find(|own| admission(&own.row) != Admission::LetIn) {
        None => Answer::Shown(format!("{} servers take sessions", ins.len())),
        Some(shut) => {
            let why = match shut.row.weight {
                Some(0) => ": remove `weight 0` from its line in haproxy.cfg",
                _ => "",
            };
            let text = format!("{}/{} takes no sessions{why}", shut.row.backend, shut.row.server);
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

pub(super) async fn file_says(
    world: &Inner,
    proxy: &Proxy,
    receivers: Receivers<'_>,
    deadline: Duration,
) -> Answer {
    let master = receivers.master;
    let until = Instant::now() + deadline;
    let file = match read(proxy, deadline).await {
        Ok(bytes) => report(world, proxy, &Document::parse(&bytes)),
        Err(silent) => Err(silent),
    };
    let file = match file {
        Ok(file) => file,
        Err(silent) => return Answer::Unknown(silent.to_string()),
    };
    let should = |known: &FileServer| match receivers.include(&known.host, known.users) {
        true => Admission::LetIn,
        false => Admission::TakenOut,
    };
    if !file.servers.iter().any(|server| server.host == *master) {
        return Answer::NotYet(format!("the file names no server of {master}"));
    }
    if let Some(wrong) = file.servers.iter().find(|known| known.admission != should(known)) {
        let what = if wrong.admission == Admission::TakenOut { "keeps out" } else { "lets in" };
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
