//! Looks at a running HAProxy: its own table of servers, and which of them is which host.
//!
//! A server belongs to a host because the configuration says so, because the file gives it the
//! host's address, or because the running process does: the file may be newer than the process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::Duration;

use haproxy::runtime::{Batch, Command, Info, ServerName, ServerRow, Status, Target};
use observer_core::policy::UsersGo;
use observer_core::sighting::{Admission, CheckResult, ProxyReport, Seen, ServerReport, Silent};
use observer_core::words::HostName;

use super::silence;
use crate::access::ProxyServer;
use crate::haproxy_socket::{AskError, ask};
use crate::pair_world::{Inner, Proxy};
use crate::text::shown;

/// A table of some thousand servers.
pub(crate) const TABLE_MAX: usize = 4 << 20;

/// Why a table could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoTable {
    /// The socket gave no answer.
    Ask(AskError),
    /// The answer is none.
    Unreadable(String),
}

/// A row of the table that leads to a host of the pair.
#[derive(Debug, Clone)]
pub(crate) struct OwnRow {
    pub(crate) host: HostName,
    /// The hosts to which its backend's users may go.
    pub(crate) users: UsersGo,
    pub(crate) row: ServerRow,
}

impl NoTable {
    pub(crate) fn silence(self) -> Result<Seen, Silent> {
        match self {
            NoTable::Ask(error) => silence::of_ask(error),
            NoTable::Unreadable(text) => Err(Silent::Garbage(text)),
        }
    }
}

pub(crate) async fn look(world: &Inner, proxy: &Proxy, deadline: Duration) -> Result<Seen, Silent> {
    match table(world, proxy, deadline).await {
        Ok(rows) => {
            let servers = rows.into_iter().map(report).collect();
            let process = *proxy.seen_process.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(Seen::Proxy(ProxyReport { servers, process }))
        }
        Err(error) => error.silence(),
    }
}

/// The rows of the running table that lead to hosts of the pair.
pub(crate) async fn table(
    world: &Inner,
    proxy: &Proxy,
    deadline: Duration,
) -> Result<Vec<OwnRow>, NoTable> {
    let until = tokio::time::Instant::now() + deadline;
    let rows = rows_and_process(proxy, deadline).await?;
    // One that was spelled wrong would have the right one taken for what leads to the master alone,
    // and every other host taken out there.
    let has = |name: &String| rows.iter().any(|row| row.backend == *name);
    if let Some(name) = proxy.access.every_host.iter().find(|name| !has(name)) {
        return Err(NoTable::Unreadable(format!(
            "HAProxy has no backend `{name}`, which every_host of the pair's file names"
        )));
    }
    let mut own = own_rows(world, proxy, &rows);
    if own.is_empty() && proxy.file.bytes().is_none() {
        // The table may name addresses that only the file ties to a host.
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        if super::proxy_file::read(proxy, left).await.is_ok() {
            own = own_rows(world, proxy, &rows);
        }
    }
    let servers = own.iter().map(|own| ProxyServer {
        backend: own.row.backend.clone(),
        server: own.row.server.clone(),
        host: own.host.clone(),
    });
    *proxy.seen_servers.lock().unwrap_or_else(PoisonError::into_inner) = servers.collect();
    Ok(own)
}

/// The rows of the process that answers at the runtime socket, and which one that is.
async fn rows_and_process(proxy: &Proxy, deadline: Duration) -> Result<Vec<ServerRow>, NoTable> {
    let commands = vec![Command::ShowInfo, Command::ShowStat];
    let answer = converse(proxy, Target::Worker, commands, deadline).await?;
    let (info, table) = answer.split_at(answer.find(TABLE).unwrap_or(0));
    let process = Info::parse(info).ok().map(|info| info.pid);
    *proxy.seen_process.lock().unwrap_or_else(PoisonError::into_inner) = process;
    parse(table)
}

/// The first words of the answer to `show stat`.
const TABLE: &str = "# pxname";

fn parse(answer: &str) -> Result<Vec<ServerRow>, NoTable> {
    // The error carries the answer's own words.
    let unreadable = |error| NoTable::Unreadable(shown(format!("`show stat`: {error}").as_bytes()));
    ServerRow::parse(answer).map_err(unreadable)
}

/// The rows of one process: the current worker's own socket, or an old one through the master.
pub(crate) async fn rows(
    proxy: &Proxy,
    target: Target,
    deadline: Duration,
) -> Result<Vec<ServerRow>, NoTable> {
    parse(&converse(proxy, target, vec![Command::ShowStat], deadline).await?)
}

/// The socket at which a process takes commands; none where no master socket is configured.
pub(crate) fn socket(proxy: &Proxy, target: Target) -> Option<&PathBuf> {
    match target {
        Target::Worker => Some(&proxy.access.runtime_socket),
        _ => proxy.access.master_socket.as_ref(),
    }
}

/// Sends commands to one process and returns its whole answer as text.
pub(crate) async fn converse(
    proxy: &Proxy,
    target: Target,
    commands: Vec<Command>,
    deadline: Duration,
) -> Result<String, NoTable> {
    let none = || NoTable::Unreadable("no master socket is configured".to_owned());
    let socket = socket(proxy, target).ok_or_else(none)?;
    let batch = Batch::new(target, commands).map_err(|bad| NoTable::Unreadable(bad.to_string()))?;
    let path = socket.to_string_lossy();
    let answer = ask(&proxy.ssh, &path, &batch.render(), deadline, TABLE_MAX).await;
    Ok(String::from_utf8_lossy(&answer.map_err(NoTable::Ask)?).into_owned())
}

/// The server's name as HAProxy takes it; one it would not take is never sent.
pub(crate) fn server_name(row: &ServerRow) -> Result<ServerName, String> {
    let name = ServerName::new(row.backend.as_str(), row.server.as_str());
    name.map_err(|_| shown(format!("{}/{} is no name", row.backend, row.server).as_bytes()))
}

/// Picks the rows that lead to hosts of the pair.
pub(crate) fn own_rows(world: &Inner, proxy: &Proxy, rows: &[ServerRow]) -> Vec<OwnRow> {
    let by_file = proxy.file.servers(world, proxy);
    let addresses = addresses(world);
    let named: &[ProxyServer] = match proxy.access.servers.as_slice() {
        [] => &by_file,
        explicit => explicit,
    };
    // Where a row says which address it leads to, that decides: the running process may know a name
    // that the file has given to another host since.
    let host_of = |row: &ServerRow| {
        let address = row.address.as_deref().map(without_port);
        let by_address = address.and_then(|address| {
            let is_it = |own: &Vec<String>| own.iter().any(|own| own == address);
            addresses.iter().find_map(|(host, own)| is_it(own).then(|| host.clone()))
        });
        by_address.or_else(|| {
            let is_it =
                |known: &&ProxyServer| known.backend == row.backend && known.server == row.server;
            named.iter().find(is_it).map(|known| known.host.clone())
        })
    };
    let own = |row: &ServerRow| {
        let users = proxy.users_of(&row.backend);
        Some(OwnRow { host: host_of(row)?, users, row: row.clone() })
    };
    rows.iter().filter_map(own).collect()
}

/// Every address under which a host of the pair is known. Loopback is everybody's own: it says
/// nothing of which host is meant.
pub(crate) fn addresses(world: &Inner) -> BTreeMap<HostName, Vec<String>> {
    let own = world.hosts.iter().map(|(name, host)| {
        let access = &host.access;
        let mut own = vec![access.ssh.address.clone(), access.database.address.clone()];
        own.extend(access.application.as_ref().map(|probe| probe.address.clone()));
        own.retain(|address| !["127.0.0.1", "::1", "localhost"].contains(&address.as_str()));
        own.sort();
        own.dedup();
        (name.clone(), own)
    });
    own.collect()
}

/// `10.0.0.1:80` and `[::1]:80` without the port.
fn without_port(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

fn report(own: OwnRow) -> ServerReport {
    let OwnRow { host, users, row } = own;
    ServerReport {
        users,
        admission: admission(&row),
        check: check(&row),
        sessions: row.sessions,
        backend: row.backend,
        server: row.server,
        host,
    }
}

/// A server without weight is called *up* by HAProxy, and takes nobody new all the same.
pub(crate) fn admission(row: &ServerRow) -> Admission {
    match row.status {
        Status::Maint => Admission::TakenOut,
        Status::Drain => Admission::Draining,
        _ if row.weight == Some(0) => Admission::Draining,
        _ => Admission::LetIn,
    }
}

/// What the last check said. A server that is "UP 1/2" has just failed one.
fn check(row: &ServerRow) -> CheckResult {
    if matches!(row.status, Status::Maint | Status::NoCheck) {
        return CheckResult::Unchecked;
    }
    match row.check_status.as_deref() {
        Some("L7OK" | "L7OKC" | "PROCOK") => CheckResult::Well,
        Some("L4OK" | "L6OK") => CheckResult::Connects,
        None | Some("" | "INI" | "UNK" | "CHECKED" | "HANA") => CheckResult::Unchecked,
        // The proxy's own trouble says nothing of the server.
        Some("SOCKERR" | "PROCERR") => CheckResult::Unchecked,
        Some(_) => CheckResult::Failing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# pxname,svname,status,check_status,scur,stot,qcur,addr,weight\n";

    fn row(line: &str) -> ServerRow {
        ServerRow::parse(&format!("{HEAD}{line}\n\n")).unwrap().remove(0)
    }

    #[track_caller]
    fn says(line: &str, expected: (Admission, CheckResult)) {
        let row = row(line);
        assert_eq!((admission(&row), check(&row)), expected, "{line}");
    }

    #[test]
    fn a_row_says_who_is_let_in_and_what_the_last_check_saw() {
        use {Admission::*, CheckResult::*};
        says("b,s,UP,L7OK,1,1,0,10.0.0.1:80", (LetIn, Well));
        says("b,s,UP,L4OK,1,1,0,10.0.0.1:80", (LetIn, Connects));
        says("b,s,UP 1/2,L4CON,1,1,0,10.0.0.1:80", (LetIn, Failing));
        says("b,s,DOWN,L7TOUT,0,1,0,10.0.0.1:80", (LetIn, Failing));
        says("b,s,UP,* L7OK,0,1,0,10.0.0.1:80", (LetIn, Well));
        says("b,s,no check,,0,1,0,10.0.0.1:80", (LetIn, Unchecked));
        says("b,s,MAINT,L7OK,0,1,0,10.0.0.1:80", (TakenOut, Unchecked));
        says("b,s,MAINT (via b/x),,0,1,0,10.0.0.1:80", (TakenOut, Unchecked));
        says("b,s,DRAIN,L7OK,3,1,0,10.0.0.1:80", (Draining, Well));
        says("b,s,UP,L7OK,3,1,0,10.0.0.1:80,0", (Draining, Well));
        says("b,s,DOWN,L7TOUT,0,1,0,10.0.0.1:80,1", (LetIn, Failing));
        says("b,s,MAINT,,0,1,0,10.0.0.1:80,0", (TakenOut, Unchecked));
    }

    #[test]
    fn ports_are_cut_off_addresses_of_either_family() {
        assert_eq!(without_port("10.0.0.1:80"), "10.0.0.1");
        assert_eq!(without_port("[::1]:80"), "::1");
    }
}
