//! The hosts that users may go to at the proxies, in backends that lead them to every host.
//!
//! What a host is to be there follows from its role and from what people ordered, as for monitor
//! files; here it is held against what every such proxy says.

use serde::{Deserialize, Serialize};

use super::{Inputs, monitors};
use crate::ledger::Entry;
use crate::policy::UsersGo;
use crate::sighting::{Admission, CheckResult, Look, Says, Seen, ServerReport};
use crate::words::{At, HostName, ProxyName};

/// One host, at the backends whose users may go to every host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxiedStanding {
    /// The host.
    pub host: HostName,
    /// What all of them say, running and in the file; none where they do not say the same, or one
    /// of them is not seen.
    pub sees: Option<Says>,
    /// What they are to say; none where they may stay as they are.
    pub wants: Option<Says>,
    /// True while the application there is as well as it can be on this host, and no check of a
    /// proxy that lets users in fails.
    pub well: bool,
}

impl ProxiedStanding {
    /// True if users are to be let in, whenever somebody puts the proxies right.
    pub fn is_in(&self) -> bool {
        match self.wants {
            Some(wants) => wants == Says::In,
            None => self.sees != Some(Says::Out),
        }
    }

    /// True if nobody keeps users from the host but its own application.
    pub fn is_ill(&self) -> bool {
        !self.well && self.wants != Some(Says::Out)
    }
}

/// Every host; none where no proxy has such backends.
pub(super) fn standings(inputs: Inputs<'_>) -> Vec<ProxiedStanding> {
    let Some(master) = &inputs.memory.master else { return Vec::new() };
    if inputs.spec.sharing.is_empty() {
        return Vec::new();
    }
    let standing = |host: &HostName| ProxiedStanding {
        host: host.clone(),
        sees: sees(inputs, host),
        wants: monitors::wants(inputs, UsersGo::EveryHost, master, host),
        well: monitors::is_well(inputs, UsersGo::EveryHost, Some(master), host)
            && inputs.spec.sharing.iter().all(|proxy| finds_well(inputs, proxy, host)),
    };
    inputs.spec.hosts.iter().map(standing).collect()
}

/// Those that are to share users and serve none, a sentence each. Of the master more is told.
pub(super) fn told<'a>(
    standings: &'a [ProxiedStanding],
    master: Option<&'a HostName>,
) -> impl Iterator<Item = String> + 'a {
    let ill = move |one: &&ProxiedStanding| one.is_ill() && Some(&one.host) != master;
    standings.iter().filter(ill).map(|one| {
        format!("{}: its application is not well, and is to serve users of every host", one.host)
    })
}

/// What a row of the host is to say in such a backend; none where it may stay as it is.
pub(super) fn wants(standings: &[ProxiedStanding], host: &HostName) -> Option<Says> {
    standings.iter().find(|standing| standing.host == *host)?.wants
}

/// True if a person's order, or a role that has just changed, asks for what the host is to be.
pub(super) fn is_ordered(inputs: Inputs<'_>, host: &HostName) -> bool {
    let memory = inputs.memory;
    memory.drained.contains_key(host)
        || memory.maintenance.contains_key(host)
        || memory.returning.contains_key(host)
}

fn sees(inputs: Inputs<'_>, host: &HostName) -> Option<Says> {
    let mut said = Vec::new();
    for proxy in &inputs.spec.sharing {
        let running = rows(inputs, proxy, host)?.map(|row| row.admission).collect::<Vec<_>>();
        let Some(Seen::ProxyFile(file)) = inputs.snapshot.seen(&Look::ProxyFile(proxy.clone()))
        else {
            return None;
        };
        let own = |row: &&crate::sighting::FileServer| {
            row.host == *host && row.users == UsersGo::EveryHost
        };
        let written: Vec<Admission> =
            file.servers.iter().filter(own).map(|row| row.admission).collect();
        if running.is_empty() || written.is_empty() {
            return None;
        }
        said.extend(running.into_iter().chain(written));
    }
    let is = |wanted: Admission| said.iter().all(|one| *one == wanted);
    match () {
        () if is(Admission::LetIn) => Some(Says::In),
        () if is(Admission::TakenOut) => Some(Says::Out),
        () => None,
    }
}

/// True unless a check of the host fails, or what was seen is older than its return.
fn finds_well(inputs: Inputs<'_>, proxy: &ProxyName, host: &HostName) -> bool {
    let since = inputs.memory.returning.get(host).map_or(At::default(), |back| back.since);
    let is_fresh = |entry: &Entry| entry.latest.asked_at >= since;
    let fails =
        |row: &ServerReport| row.admission == Admission::LetIn && row.check == CheckResult::Failing;
    inputs.snapshot.get(&Look::Proxy(proxy.clone())).is_some_and(is_fresh)
        && rows(inputs, proxy, host).is_some_and(|mut rows| !rows.any(fails))
}

/// The host's rows in such backends of a running proxy; none where it is not seen.
fn rows<'a>(
    inputs: Inputs<'a>,
    proxy: &ProxyName,
    host: &'a HostName,
) -> Option<impl Iterator<Item = &'a ServerReport>> {
    match inputs.snapshot.seen(&Look::Proxy(proxy.clone())) {
        Some(Seen::Proxy(report)) => Some(
            report
                .servers
                .iter()
                .filter(move |row| row.host == *host && row.users == UsersGo::EveryHost),
        ),
        _ => None,
    }
}
