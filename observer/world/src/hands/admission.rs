//! Lets users in and takes them out, at the running proxy.
//!
//! It touches no file, except where HAProxy does not run: then only the file can keep a host out
//! at its next start. The order inside: first nobody new comes in, then open sessions are ended,
//! once, because a second time would also hit requests that wait for the next master. One that was
//! just being given to a server by another of HAProxy's threads may escape that; what is still
//! there a moment later is ended by its own handle.

use std::sync::PoisonError;
use std::time::Duration;

use haproxy::runtime::{
    AdminState, Command, ServerName, ServerRow, Session, Target, close_idle, split_answers,
};
use observer_core::plan::Sessions;
use observer_core::policy::UsersGo;
use observer_core::sighting::{Admission, UnitState};
use observer_core::words::HostName;
use tokio::time::Instant;

use super::proxy_proofs::old_workers;
use super::{Fault, Receivers, rewrite};
use crate::access::ProxyServer;
use crate::eyes::machine;
use crate::eyes::proxy::{
    NoTable, OwnRow, TABLE_MAX, admission, converse, own_rows, rows, server_name, socket, table,
};
use crate::haproxy_socket::{AskError, ask};
use crate::pair_world::{Inner, Proxy};
use crate::ssh::Nature;
use crate::text::shown;

pub(super) async fn take_out(
    world: &Inner,
    proxy: &Proxy,
    host: &HostName,
    sessions: Sessions,
    deadline: Duration,
) -> Result<(), Fault> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let rows = match table(world, proxy, left()).await {
        Ok(rows) => rows,
        Err(error) if is_absent(&error) => {
            return out_of_the_file(world, proxy, host, left()).await;
        }
        Err(error) => return Err(refused(proxy, &error)),
    };
    let servers = servers_of(proxy, &rows, host)?;
    let ended = servers_whose_sessions_end(&rows, host, sessions)?;
    if sessions != Sessions::Finish {
        let mut ending = proxy.ending.lock().unwrap_or_else(PoisonError::into_inner);
        ending.insert(host.clone(), sessions);
    }
    order(proxy, Target::Worker, out_commands(&servers, &ended), left()).await?;
    if sessions != Sessions::Finish {
        for worker in old_workers(proxy, left()).await.unwrap_or_default() {
            end_left_behind(world, proxy, (host, sessions), Target::Pid(worker), left()).await;
        }
        if !all_end(world, proxy, (host, sessions), until).await {
            end_left_behind(world, proxy, (host, sessions), Target::Worker, left()).await;
        }
    }
    Ok(())
}

pub(super) async fn let_in(
    world: &Inner,
    proxy: &Proxy,
    receivers: Receivers<'_>,
    deadline: Duration,
) -> Result<(), Fault> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let rows = table(world, proxy, left()).await.map_err(|error| refused(proxy, &error))?;
    servers_of(proxy, &rows, receivers.master)?;
    let (ins, outs): (Vec<&OwnRow>, Vec<&OwnRow>) =
        rows.iter().partition(|own| receivers.include(&own.host, own.users));
    let names = |rows: &[&OwnRow]| {
        let names = rows.iter().map(|own| server_name(&own.row));
        names.collect::<Result<Vec<ServerName>, _>>().map_err(Fault::Refused)
    };
    let (servers, others) = (names(&ins)?, names(&outs)?);
    let weights = weights_of(&ins)?;
    {
        let mut ending = proxy.ending.lock().unwrap_or_else(PoisonError::into_inner);
        ending.retain(|host, _| !ins.iter().any(|own| own.host == *host));
    }
    if let Err(fault) = end_idle(world, proxy, &ins, left()).await {
        // A few requests that fail are better than an open door that stays shut.
        let (name, host) = (&proxy.access.name, receivers.master);
        tracing::warn!("{name}: idle connections to {host} could not be closed: {fault:?}");
    }
    let commands = [weights, in_commands(&servers, &others)].concat();
    order(proxy, Target::Worker, commands, left()).await
}

/// Gives those a weight that have none: nobody new would come to them. Which one matters only where
/// users go to several.
fn weights_of(rows: &[&OwnRow]) -> Result<Vec<Command>, Fault> {
    let weightless = rows.iter().filter(|own| own.row.weight == Some(0));
    let weigh = |own: &&OwnRow| {
        let name = server_name(&own.row).map_err(Fault::Refused)?;
        Ok(match own.users {
            UsersGo::Master => Command::SetServerWeight(name, 1),
            UsersGo::EveryHost => Command::RestoreServerWeight(name),
        })
    };
    weightless.map(weigh).collect()
}

/// Has users wait where they may go to every host.
pub(super) async fn hold_shared(
    world: &Inner,
    proxy: &Proxy,
    deadline: Duration,
) -> Result<(), Fault> {
    let until = Instant::now() + deadline;
    let rows = table(world, proxy, deadline).await.map_err(|error| refused(proxy, &error))?;
    let shared = rows.iter().filter(|own| own.users == UsersGo::EveryHost);
    let names = shared.map(|own| server_name(&own.row));
    let names: Vec<ServerName> = names.collect::<Result<_, _>>().map_err(Fault::Refused)?;
    let left = until.saturating_duration_since(Instant::now());
    order(proxy, Target::Worker, out_commands(&names, &[]), left).await
}

/// What a dry run shows for it.
pub(super) fn describe_hold(proxy: &Proxy) -> Vec<String> {
    let is_shared = |server: &ProxyServer| proxy.users_of(&server.backend) == UsersGo::EveryHost;
    describe(proxy, "every host", is_shared, |servers, _| out_commands(servers, &[]))
}

/// How often the way back is ordered of a server whose address was turned away.
const WAYS_BACK: u32 = 5;

/// Closes the connections that HAProxy keeps to these servers for reuse, and sees to it that every
/// one has its own address afterwards: from HAProxy 3.0 on one changes after the answer. One that
/// takes sessions is left alone: its connections are in use, and a request would go astray.
async fn end_idle(
    world: &Inner,
    proxy: &Proxy,
    rows: &[&OwnRow],
    deadline: Duration,
) -> Result<(), Fault> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let own = rows.iter().copied().filter(|own| admission(&own.row) != Admission::LetIn);
    let closings = own.filter_map(|own| Some((own, close_idle(&own.row)?)));
    let (kept, orders): (Vec<&OwnRow>, Vec<_>) = closings.unzip();
    if kept.is_empty() {
        return Ok(());
    }
    let turned = order(proxy, Target::Worker, orders.concat(), left()).await;
    for _ in 0..WAYS_BACK {
        let now = table(world, proxy, left()).await.map_err(|error| refused(proxy, &error))?;
        let is_away = |own: &&&OwnRow| {
            let same = |row: &ServerRow| {
                (&row.backend, &row.server) == (&own.row.backend, &own.row.server)
            };
            now.iter().any(|one| same(&one.row) && one.row.address != own.row.address)
        };
        let away = kept.iter().filter(is_away).filter_map(|own| back(&own.row));
        let away: Vec<Command> = away.collect();
        if away.is_empty() {
            return turned;
        }
        order(proxy, Target::Worker, away, left()).await?;
    }
    Err(Fault::Refused("a server's address could not be turned back".to_owned()))
}

/// Gives a server the address that it had in this row.
fn back(row: &ServerRow) -> Option<Command> {
    let address = row.address.as_ref()?.parse().ok()?;
    Some(Command::SetServerAddress(server_name(row).ok()?, address))
}

/// How long sessions that were ordered to end may take for it, and how often that is looked at.
const ENDS_WITHIN: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Whether the host's sessions are gone within a moment; true also where that cannot be seen, for
/// the proof will say so.
async fn all_end(
    world: &Inner,
    proxy: &Proxy,
    (host, ordered): (&HostName, Sessions),
    until: Instant,
) -> bool {
    let enough = until.min(Instant::now() + ENDS_WITHIN);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(rows) = table(world, proxy, left).await else { return true };
        let own = rows.iter().filter(|own| own.host == *host && ends(ordered, &own.row));
        if own.map(|own| own.row.sessions).sum::<u64>() == 0 {
            return true;
        }
        if Instant::now() >= enough {
            return false;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Ends the host's sessions one by one. To a worker that a reload has replaced its backends are
/// disabled: it refuses orders to a server, and takes those to a session. What fails here is seen
/// by the proof.
async fn end_left_behind(
    world: &Inner,
    proxy: &Proxy,
    (host, ordered): (&HostName, Sessions),
    target: Target,
    deadline: Duration,
) {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let Ok(rows) = rows(proxy, target, left()).await else { return };
    let own = own_rows(world, proxy, &rows);
    let Ok(answer) = converse(proxy, target, vec![Command::ShowSessions], left()).await else {
        return;
    };
    let leads_there = |session: &Session| {
        own.iter()
            .any(|own| own.host == *host && ends(ordered, &own.row) && session.is_on(&own.row))
    };
    let sessions = Session::parse(&answer).unwrap_or_default();
    let ids = sessions.iter().filter(|session| leads_there(session)).map(|session| &session.id);
    // A handle is a pointer that HAProxy printed; anything else is not sent back to it.
    let ids: Vec<&String> = ids.filter(|id| is_handle(id)).collect();
    let Some(socket) = socket(proxy, target) else { return };
    let (path, prefix) = (socket.to_string_lossy(), target.prefix());
    // A line that HAProxy reads whole has room for some hundred handles.
    for ids in ids.chunks(SESSIONS_PER_LINE) {
        let order = |id: &&String| format!("{prefix}shutdown session {id};");
        let line = ids.iter().map(order).collect::<String>() + "quit";
        let _ = ask(&proxy.ssh, &path, &line, left(), TABLE_MAX).await;
    }
}

const SESSIONS_PER_LINE: usize = 100;

fn is_handle(id: &str) -> bool {
    let digits = id.strip_prefix("0x").unwrap_or("");
    !digits.is_empty() && digits.len() <= 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What a dry run shows for taking a host out.
pub(super) fn describe_out(proxy: &Proxy, host: &HostName, sessions: Sessions) -> Vec<String> {
    let is_it = |server: &ProxyServer| server.host == *host;
    let mut lines = describe(proxy, host.as_str(), is_it, |servers, _| match sessions {
        Sessions::End => out_commands(servers, servers),
        Sessions::Finish | Sessions::EndTunnels => out_commands(servers, &[]),
    });
    if sessions == Sessions::EndTunnels {
        let socket = proxy.access.runtime_socket.display();
        lines.push(format!(
            "{socket}: shutdown sessions server, for every server of {host} whose mode is not http"
        ));
    }
    lines
}

/// What a dry run shows for letting a host in.
pub(super) fn describe_in(proxy: &Proxy, receivers: Receivers<'_>) -> Vec<String> {
    let socket = proxy.access.runtime_socket.display();
    let host = receivers.master;
    let idle = format!(
        "{socket}: set server ... port, there and back, where idle connections to {host} are kept"
    );
    let is_in =
        |server: &ProxyServer| receivers.include(&server.host, proxy.users_of(&server.backend));
    [vec![idle], describe(proxy, host.as_str(), is_in, in_commands)].concat()
}

fn describe(
    proxy: &Proxy,
    of: &str,
    is_meant: impl Fn(&ProxyServer) -> bool,
    commands: impl Fn(&[ServerName], &[ServerName]) -> Vec<Command>,
) -> Vec<String> {
    let socket = proxy.access.runtime_socket.display();
    let known = proxy.seen_servers.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let known = if known.is_empty() { proxy.access.servers.clone() } else { known };
    let of_host = |wanted: bool| -> Vec<ServerName> {
        let known = known.iter().filter(|server| is_meant(server) == wanted);
        let name = |server: &ProxyServer| {
            ServerName::new(server.backend.as_str(), server.server.as_str()).ok()
        };
        known.filter_map(name).collect()
    };
    let (servers, others) = (of_host(true), of_host(false));
    if servers.is_empty() {
        return vec![format!("{socket}: for every server of {of} (none was seen yet)")];
    }
    let lines = commands(&servers, &others);
    lines.iter().map(|command| format!("{socket}: {command}")).collect()
}

fn out_commands(servers: &[ServerName], ended: &[ServerName]) -> Vec<Command> {
    let maint = |server: &ServerName| Command::SetServerState(server.clone(), AdminState::Maint);
    let mut commands: Vec<Command> = servers.iter().map(maint).collect();
    commands.extend(ended.iter().cloned().map(Command::ShutdownSessions));
    commands
}

/// The others go out first, in the same batch: users are let in to one host or to none.
fn in_commands(servers: &[ServerName], others: &[ServerName]) -> Vec<Command> {
    let ready = |server: &ServerName| Command::SetServerState(server.clone(), AdminState::Ready);
    let mut commands = out_commands(others, &[]);
    commands.extend(servers.iter().map(ready));
    commands
}

fn servers_whose_sessions_end(
    rows: &[OwnRow],
    host: &HostName,
    ordered: Sessions,
) -> Result<Vec<ServerName>, Fault> {
    let own = rows.iter().filter(|own| own.host == *host && ends(ordered, &own.row));
    own.map(|own| server_name(&own.row)).collect::<Result<_, _>>().map_err(Fault::Refused)
}

/// Whether the order ends the sessions of this server.
pub(super) fn ends(ordered: Sessions, row: &ServerRow) -> bool {
    match ordered {
        Sessions::Finish => false,
        Sessions::End => true,
        Sessions::EndTunnels => is_tunnel(row),
    }
}

/// Whether what goes to a server is no HTTP. Where the table does not say, it is taken for HTTP:
/// that is waited for and never cut.
pub(super) fn is_tunnel(row: &ServerRow) -> bool {
    row.mode.as_deref().is_some_and(|mode| mode != "http")
}

fn servers_of(proxy: &Proxy, rows: &[OwnRow], host: &HostName) -> Result<Vec<ServerName>, Fault> {
    let own = rows.iter().filter(|own| own.host == *host);
    let names: Result<Vec<ServerName>, String> = own.map(|own| server_name(&own.row)).collect();
    let names = names.map_err(Fault::Refused)?;
    if names.is_empty() {
        let name = &proxy.access.name;
        return Err(Fault::Refused(format!("{name} has no server that leads to {host}")));
    }
    Ok(names)
}

/// Sends commands that change something, and reads each one's answer.
async fn order(
    proxy: &Proxy,
    target: Target,
    commands: Vec<Command>,
    deadline: Duration,
) -> Result<(), Fault> {
    let socket = match (&target, &proxy.access.master_socket) {
        (Target::Worker, _) | (_, None) => &proxy.access.runtime_socket,
        (_, Some(master)) => master,
    };
    let batch = haproxy::runtime::Batch::new(target, commands)
        .map_err(|bad| Fault::Refused(format!("the commands cannot be sent: {bad}")))?;
    let path = socket.to_string_lossy();
    let answer = match ask(&proxy.ssh, &path, &batch.render(), deadline, TABLE_MAX).await {
        Ok(answer) => String::from_utf8_lossy(&answer).into_owned(),
        Err(error) if error.was_sent() => return Err(Fault::NoReply),
        Err(error) => return Err(refused(proxy, &NoTable::Ask(error))),
    };
    // The errors carry HAProxy's own words.
    let refused = |what: String| {
        let text = format!("HAProxy on {}: {what}", proxy.access.name);
        Fault::Refused(shown(text.as_bytes()))
    };
    let answers = split_answers(&batch, &answer).map_err(|error| refused(error.to_string()))?;
    for (command, answer) in batch.commands().iter().zip(answers) {
        command.outcome(answer).map_err(|error| refused(format!("{command}: {error}")))?;
    }
    Ok(())
}

/// Keeps the host out of the file of a HAProxy that does not run.
async fn out_of_the_file(
    world: &Inner,
    proxy: &Proxy,
    host: &HostName,
    deadline: Duration,
) -> Result<(), Fault> {
    let until = Instant::now() + deadline;
    let name = &proxy.access.name;
    match machine::unit(&proxy.ssh, &proxy.access.unit, deadline).await {
        Ok(UnitState::Stopped | UnitState::NeverStarted | UnitState::Failed) => {}
        Ok(_) => {
            let why = format!("HAProxy on {name} is on its way up or down");
            return Err(Fault::Refused(why));
        }
        Err(silent) => {
            let why =
                format!("HAProxy on {name} has no socket, and its unit is not seen: {silent}");
            return Err(Fault::Refused(why));
        }
    }
    let left = until.saturating_duration_since(Instant::now());
    rewrite::keep_out(world, proxy, host, left).await.map_err(|fault| match fault {
        Fault::Refused(why) => Fault::Refused(format!("HAProxy is not running on {name}; {why}")),
        Fault::NoReply => Fault::NoReply,
    })
}

/// Whether nobody listens on the runtime socket, for certain.
pub(super) fn is_absent(error: &NoTable) -> bool {
    matches!(error, NoTable::Ask(AskError::Open(error)) if error.nature() == Nature::Definite)
}

pub(super) fn refused(proxy: &Proxy, error: &NoTable) -> Fault {
    let name = &proxy.access.name;
    Fault::Refused(match error {
        error if is_absent(error) => format!("HAProxy is not running on {name}"),
        NoTable::Ask(error) => format!("{name}: {error}"),
        NoTable::Unreadable(text) => format!("{name}: {text}"),
    })
}
