//! What each host, proxy and PgBouncer shows of itself, in words for a table.
//!
//! It repeats what was seen and judges nothing: what it means is the digest's.

use observer_core::digest::Unready;
use observer_core::drain::Drain;
use observer_core::forget::Forgotten;
use observer_core::journal::{Keeper, MaintenanceOrder};
use observer_core::ledger::{Entry, Snapshot};
use observer_core::pair::Pair;
use observer_core::policy::UsersGo;
use observer_core::sighting::{
    Admission, DatabaseBusy, DatabaseReport, Look, ProxyFileReport, ProxyReport, Says, Seen,
    Silent, SystemState, Vantage,
};
use observer_core::words::{At, BouncerName, HostName, ProxyName};
use serde::{Deserialize, Serialize};

use super::date_time;

/// What a host is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// The journal's master.
    Master,
    /// Any other host whose database does not claim to be a primary.
    Slave,
    /// The journal's master, whom the open plan has replaced.
    OldMaster,
    /// Promoted by the open plan; the journal names it the master once that is closed.
    NewMaster,
    /// Not the journal's master, and its database takes writes by other hands than ours.
    StraySecondMaster,
    /// No master is known, so nobody's role is.
    Unknown,
}

/// One host's line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct HostStatus {
    /// Its name.
    pub(crate) name: HostName,
    /// Its role.
    pub(crate) role: Role,
    /// Its machine, over SSH.
    pub(crate) machine: String,
    /// Its database.
    pub(crate) database: String,
    /// Bytes of the master's log it has not received; none for the master or where unknown.
    pub(crate) lag_bytes: Option<u64>,
    /// Its application; none where no service is probed.
    pub(crate) application: Option<String>,
    /// The services that run there and are not ready.
    #[serde(default)]
    pub(crate) unready: Vec<Unready>,
    /// The maintenance it is in.
    #[serde(default)]
    pub(crate) maintenance: Option<MaintenanceStatus>,
    /// What its monitor file says; none where it has none, or was not seen.
    #[serde(default)]
    pub(crate) monitor: Option<Says>,
    /// What it is to say, where it says something else.
    #[serde(default)]
    pub(crate) monitor_owed: Option<Says>,
    /// The drain it is in.
    #[serde(default)]
    pub(crate) drain: Option<DrainStatus>,
    /// True while users may be sent there again, and it was not seen that they are.
    #[serde(default)]
    pub(crate) returning: bool,
    /// True where users may go to every host, and the application there is not well.
    #[serde(default)]
    pub(crate) serves_nobody: bool,
}

/// A drain in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct DrainStatus {
    /// Who.
    pub(crate) by: String,
    /// Why.
    pub(crate) reason: String,
    /// When it was ordered.
    pub(crate) since: At,
    /// When it ends by itself.
    pub(crate) until: Option<At>,
    /// What its monitor file says.
    pub(crate) says: Option<Says>,
    /// What the proxies say of the host where users may go to every host; none where there is no
    /// such backend, or they do not all say the same.
    #[serde(default)]
    pub(crate) proxies_say: Option<Says>,
    /// Sessions that are open there now; none while they are not counted.
    pub(crate) sessions: Option<u64>,
    /// How it stood once nobody was left, or its limit was over.
    pub(crate) settled: Option<SettledStatus>,
}

/// How a drain stood.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct SettledStatus {
    /// When.
    pub(crate) at: At,
    /// Sessions that were left; none where they could not be counted, or where nobody was there and
    /// balancers might still send somebody.
    pub(crate) left: Option<u64>,
}

impl DrainStatus {
    fn of(pair: &Pair, name: &HostName, drain: &Drain) -> Self {
        let digest = pair.latest().map(|(digest, _)| digest);
        let standing = digest.and_then(|one| one.drains.iter().find(|one| one.host == *name));
        Self {
            by: drain.order.by.clone(),
            reason: drain.order.reason.clone(),
            since: drain.order.since,
            until: drain.order.until,
            says: monitor(pair.snapshot(), name),
            proxies_say: digest
                .and_then(|one| one.proxied.iter().find(|one| one.host == *name))
                .and_then(|standing| standing.sees),
            sessions: standing.and_then(|standing| standing.sessions),
            settled: drain.settled.map(|one| SettledStatus { at: one.at, left: one.left }),
        }
    }

    /// What still sends users there, and what that says.
    fn still_in(&self) -> Option<[&'static str; 2]> {
        match (self.says, self.proxies_say) {
            (Some(Says::In), _) => Some(["its monitor file", "says in"]),
            (_, Some(Says::In)) => Some(["its place at the proxies", "is open"]),
            _ => None,
        }
    }

    /// How far it is, in a few words.
    pub(crate) fn progress(&self) -> String {
        match (self.still_in(), self.sessions) {
            (Some([place, _]), _) => format!("{place} is being changed"),
            (_, Some(1)) => "1 session is left".to_owned(),
            (_, Some(count)) => format!("{count} sessions are left"),
            (_, None) => "sessions are not counted yet".to_owned(),
        }
    }

    /// Who has it, since when, until when and why, and how far it is.
    pub(crate) fn sentence(&self, host: &HostName) -> String {
        let until = self.until.map_or_else(
            || "until somebody ends it".to_owned(),
            |until| format!("until {}", date_time(until)),
        );
        let stands = match self.settled {
            Some(SettledStatus { left: Some(0), .. }) => match self.still_in() {
                Some([place, says]) => format!("not drained any more: {place} {says} again"),
                None => "drained".to_owned(),
            },
            Some(_) if let Some([place, says]) = self.still_in() => {
                format!("not drained: its limit is over and {place} still {says}")
            }
            Some(_) if self.sessions.is_none() => {
                "not known to be drained: its limit is over and its sessions cannot be counted"
                    .to_owned()
            }
            Some(_) => format!("drained, its limit is over and {}", self.progress()),
            None => format!("being drained, {}", self.progress()),
        };
        let (by, since) = (&self.by, date_time(self.since));
        format!("{host} is {stands}, for {by} since {since}, {until}: {}", self.reason)
    }
}

fn monitor(snapshot: &Snapshot, name: &HostName) -> Option<Says> {
    match snapshot.seen(&Look::Machine(name.clone())) {
        Some(Seen::Machine(report)) => report.monitor,
        _ => None,
    }
}

fn monitor_owed(pair: &Pair, host: &HostName) -> Option<Says> {
    let (digest, _) = pair.latest()?;
    digest.monitors.iter().find(|one| one.host == *host)?.owed()
}

/// A dead host that is left out of the pair.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ForgottenStatus {
    /// Which.
    pub(crate) host: HostName,
    /// Who left it out.
    pub(crate) by: String,
    /// Why.
    pub(crate) reason: String,
    /// When.
    pub(crate) since: At,
}

impl ForgottenStatus {
    /// Every one.
    pub(crate) fn all(pair: &Pair) -> Vec<Self> {
        let of = |(host, one): (&HostName, &Forgotten)| Self {
            host: host.clone(),
            by: one.by.clone(),
            reason: one.reason.clone(),
            since: one.since,
        };
        pair.left_out().map(of).collect()
    }

    /// As a person reads it.
    pub(crate) fn sentence(&self) -> String {
        let (host, by, since) = (&self.host, &self.by, date_time(self.since));
        format!(
            "{host} is left out since {since}, for {by}: {}; it is taken back by itself once it \
             answers",
            self.reason
        )
    }
}

/// A maintenance in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct MaintenanceStatus {
    /// Who.
    pub(crate) by: String,
    /// Why.
    pub(crate) reason: String,
    /// When it ends by itself.
    pub(crate) until: Option<At>,
    /// When it began.
    #[serde(default)]
    pub(crate) since: At,
    /// Whose it is.
    #[serde(default)]
    pub(crate) keeper: Keeper,
}

impl MaintenanceStatus {
    /// What was ordered, as it is shown.
    pub(crate) fn of(order: &MaintenanceOrder) -> Self {
        let MaintenanceOrder { by, reason, since, until, keeper } = order.clone();
        Self { by, reason, until, since, keeper }
    }

    /// Who has it, since when, until when and why.
    pub(crate) fn sentence(&self, host: &HostName) -> String {
        let until = self.until.map_or_else(
            || "until somebody ends it".to_owned(),
            |until| format!("until {}", date_time(until)),
        );
        let (by, since) = (&self.by, date_time(self.since));
        format!("{host} is in maintenance for {by} since {since}, {until}: {}", self.reason)
    }
}

/// One proxy's line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ProxyStatus {
    /// Its name.
    pub(crate) name: ProxyName,
    /// Whether it answers, in words.
    pub(crate) state: String,
    /// The hosts it lets users in to now.
    pub(crate) lets_in: Vec<HostName>,
    /// The hosts its file lets users in to at its next start; none where it was not read.
    pub(crate) file_lets_in: Option<Vec<HostName>>,
    /// The same two where users may go to every host; none where there is no such backend.
    #[serde(default)]
    pub(crate) shares: Option<Shares>,
    /// Sessions open to hosts of the pair.
    pub(crate) sessions: u64,
}

/// The hosts that share the users of backends which lead to every host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Shares {
    /// Those that the proxy lets users in to now.
    pub(crate) lets_in: Vec<HostName>,
    /// Those that its file lets users in to; none where it was not read.
    pub(crate) file_lets_in: Option<Vec<HostName>>,
}

/// One PgBouncer's line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct BouncerStatus {
    /// Its name.
    pub(crate) name: BouncerName,
    /// Whether it runs and is paused, in words.
    pub(crate) state: String,
    /// Its connections to a server; none where it was not seen.
    pub(crate) connections: Option<u64>,
}

/// Every host's line, in configured order.
pub(crate) fn hosts(pair: &Pair) -> Vec<HostStatus> {
    let snapshot = pair.snapshot();
    let master = pair.memory().master.as_ref();
    let promoted = pair.promoted_by_plan();
    let (drained, returning) = (&pair.memory().drained, &pair.memory().returning);
    let everywhere = !pair.spec().users_go_to_the_master_alone();
    let of_master = master.and_then(|host| last_report(snapshot, host));
    let line = |name: &HostName| {
        let report = match snapshot.seen(&Look::Database(name.clone())) {
            Some(Seen::Database(report)) => Some(report),
            _ => None,
        };
        let is_master = master == Some(name);
        let lag = match (report, of_master) {
            (Some(report), Some(of_master)) if !is_master && report.in_recovery => {
                Some(report.lsn.behind(of_master.lsn))
            }
            _ => None,
        };
        HostStatus {
            name: name.clone(),
            role: match report {
                _ if promoted == Some(name) => Role::NewMaster,
                _ if is_master && promoted.is_some() => Role::OldMaster,
                _ if is_master => Role::Master,
                Some(report) if !report.in_recovery && master.is_some() => Role::StraySecondMaster,
                _ if master.is_none() => Role::Unknown,
                _ => Role::Slave,
            },
            machine: with_low_disk(machine(snapshot, name), pair, name),
            database: database(snapshot, name),
            lag_bytes: lag,
            application: application(snapshot, name),
            unready: unready(pair, name),
            maintenance: pair.memory().maintenance.get(name).map(MaintenanceStatus::of),
            monitor: monitor(snapshot, name),
            monitor_owed: monitor_owed(pair, name),
            drain: drained.get(name).map(|drain| DrainStatus::of(pair, name, drain)),
            returning: returning.get(name).is_some_and(|back| back.undrained || everywhere)
                && pair.spec().can_drain(),
            serves_nobody: !is_master && serves_nobody(pair, name),
        }
    };
    pair.spec().hosts.iter().map(line).collect()
}

/// Every proxy's line, in configured order.
pub(crate) fn proxies(pair: &Pair) -> Vec<ProxyStatus> {
    let snapshot = pair.snapshot();
    let line = |name: &ProxyName| {
        let entry = snapshot.get(&Look::Proxy(name.clone()));
        let (state, report) = match entry.map(|entry| &entry.latest.seen) {
            None => ("not seen yet".to_owned(), None),
            Some(Ok(Seen::Proxy(report))) => ("serves".to_owned(), Some(report)),
            Some(Ok(_)) => ("HAProxy is not running".to_owned(), None),
            Some(Err(silent)) => (silence(silent), None),
        };
        let file = match snapshot.seen(&Look::ProxyFile(name.clone())) {
            Some(Seen::ProxyFile(file)) => Some(file),
            _ => None,
        };
        let running = |users| report.map(|report| runtime_let_in(report, users));
        let written = |users| file.map(|file| file_let_in(file, users));
        ProxyStatus {
            name: name.clone(),
            state,
            lets_in: running(UsersGo::Master).unwrap_or_default(),
            file_lets_in: written(UsersGo::Master),
            shares: pair.spec().sharing.contains(name).then(|| Shares {
                lets_in: running(UsersGo::EveryHost).unwrap_or_default(),
                file_lets_in: written(UsersGo::EveryHost),
            }),
            sessions: report.map_or(0, |report| report.servers.iter().map(|s| s.sessions).sum()),
        }
    };
    pair.spec().proxies.iter().map(line).collect()
}

/// Every PgBouncer's line, in configured order.
pub(crate) fn bouncers(pair: &Pair) -> Vec<BouncerStatus> {
    let line = |name: &BouncerName| {
        let entry = pair.snapshot().get(&Look::Bouncer(name.clone()));
        let (state, connections) = match entry.map(|entry| &entry.latest.seen) {
            None => ("not seen yet".to_owned(), None),
            Some(Ok(Seen::Bouncer(report))) => {
                let paused: Vec<&str> = report.paused().collect();
                let state = match paused[..] {
                    [] => "runs".to_owned(),
                    _ => format!("paused: {}", paused.join(", ")),
                };
                (state, Some(report.databases.iter().map(|one| one.connections).sum()))
            }
            Some(Ok(_)) => ("PgBouncer is not running".to_owned(), None),
            Some(Err(silent)) => (silence(silent), None),
        };
        BouncerStatus { name: name.clone(), state, connections }
    };
    pair.spec().bouncers.iter().map(line).collect()
}

fn serves_nobody(pair: &Pair, host: &HostName) -> bool {
    let proxied = pair.latest().map(|(digest, _)| &digest.proxied[..]).unwrap_or_default();
    proxied.iter().any(|one| one.host == *host && one.is_ill())
}

fn runtime_let_in(report: &ProxyReport, users: UsersGo) -> Vec<HostName> {
    let own = report.servers.iter().filter(|server| server.users == users);
    let_in(own.map(|server| (&server.host, server.admission)))
}

fn file_let_in(file: &ProxyFileReport, users: UsersGo) -> Vec<HostName> {
    let own = file.servers.iter().filter(|server| server.users == users);
    let_in(own.map(|server| (&server.host, server.admission)))
}

fn let_in<'a>(rows: impl Iterator<Item = (&'a HostName, Admission)>) -> Vec<HostName> {
    let mut hosts: Vec<HostName> = rows
        .filter(|(_, admission)| *admission != Admission::TakenOut)
        .map(|(host, _)| host.clone())
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

fn last_report<'a>(snapshot: &'a Snapshot, host: &HostName) -> Option<&'a DatabaseReport> {
    let entry = snapshot.get(&Look::Database(host.clone()))?;
    entry.last_report.as_ref().map(|(_, report)| report)
}

fn machine(snapshot: &Snapshot, host: &HostName) -> String {
    let entry = snapshot.get(&Look::Machine(host.clone()));
    match entry.map(|entry| &entry.latest.seen) {
        None => "not seen yet".to_owned(),
        Some(Ok(Seen::Machine(report))) => {
            let state = match report.system {
                SystemState::Starting => "booting",
                SystemState::Running => "up",
                SystemState::Stopping => "going down",
            };
            let tombstone = if report.tombstone { ", tombstone" } else { "" };
            format!("{state}{tombstone}")
        }
        Some(Ok(_)) => "SSH refused".to_owned(),
        Some(Err(silent)) => silence(silent),
    }
}

/// A disk that is low stands behind what the machine says.
fn with_low_disk(said: String, pair: &Pair, host: &HostName) -> String {
    let digest = pair.latest().map(|(digest, _)| digest);
    match digest.and_then(|digest| digest.low_disks.iter().find(|low| low.host == *host)) {
        Some(low) => format!("{said}, {}", low.text),
        None => said,
    }
}

/// The database as one that is external is seen from `host`.
fn reached(entry: &Entry) -> String {
    match &entry.latest.seen {
        Ok(Seen::PortOpen) => "reaches it".to_owned(),
        Ok(_) => "is refused by it".to_owned(),
        Err(silent) => silence(silent),
    }
}

fn database(snapshot: &Snapshot, host: &HostName) -> String {
    if let Some(entry) = snapshot.get(&Look::External(host.clone())) {
        return reached(entry);
    }
    let entry = snapshot.get(&Look::Database(host.clone()));
    match entry.map(|entry| &entry.latest.seen) {
        None => "not seen yet".to_owned(),
        Some(Ok(Seen::Database(report))) => {
            let kind = match (&report.walreceiver, report.in_recovery) {
                (_, false) => "primary",
                (Some(receiver), true) if receiver.streaming => "standby, streaming",
                (_, true) => "standby, not streaming",
            };
            let paused = if report.replay_paused { ", replay paused" } else { "" };
            format!("{kind}{paused}, timeline {}", report.timeline)
        }
        Some(Ok(Seen::DatabaseBusy(DatabaseBusy::StartingUp))) => "starting up".to_owned(),
        Some(Ok(Seen::DatabaseBusy(DatabaseBusy::ShuttingDown))) => "shutting down".to_owned(),
        Some(Ok(_)) => "not running".to_owned(),
        Some(Err(silent)) => silence(silent),
    }
}

fn application(snapshot: &Snapshot, host: &HostName) -> Option<String> {
    let look = Look::Application { host: host.clone(), from: Vantage::Observer };
    Some(match &snapshot.get(&look)?.latest.seen {
        Ok(Seen::ApplicationWell) => "well".to_owned(),
        // Beside a standby an application has nothing to serve from: that is how it should be.
        Ok(Seen::ApplicationIll(_)) if is_standby(snapshot, host) => "stands by".to_owned(),
        Ok(Seen::ApplicationIll(why)) => format!("ill: {why}"),
        Ok(_) => "not running".to_owned(),
        Err(silent) => silence(silent),
    })
}

fn unready(pair: &Pair, host: &HostName) -> Vec<Unready> {
    let digest = pair.latest().map(|(digest, _)| digest);
    let all = digest.into_iter().flat_map(|digest| &digest.unready);
    all.filter(|one| one.host == *host).cloned().collect()
}

fn is_standby(snapshot: &Snapshot, host: &HostName) -> bool {
    let seen = snapshot.seen(&Look::Database(host.clone()));
    matches!(seen, Some(Seen::Database(report)) if report.in_recovery)
}

fn silence(silent: &Silent) -> String {
    silent.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_says_how_far_it_is() {
        let drain = DrainStatus {
            by: "jo".to_owned(),
            reason: "a new kernel".to_owned(),
            since: At(0),
            until: None,
            proxies_say: None,
            says: Some(Says::Out),
            sessions: Some(2),
            settled: None,
        };
        let host = HostName::new("node-b");
        let says = |drain: &DrainStatus| drain.sentence(&host);
        let running = says(&drain);
        assert!(running.starts_with("node-b is being drained, 2 sessions are left, for jo since"));
        assert!(running.ends_with("until somebody ends it: a new kernel"), "{running}");
        let over = SettledStatus { at: At(9), left: Some(2) };
        let over = DrainStatus { settled: Some(over), sessions: Some(1), ..drain.clone() };
        let said = says(&over);
        assert!(said.starts_with("node-b is drained, its limit is over and 1 session is left"));
        let empty = SettledStatus { at: At(9), left: Some(0) };
        let empty = DrainStatus { settled: Some(empty), ..drain.clone() };
        assert!(says(&empty).starts_with("node-b is drained, for jo"), "{}", says(&empty));
        let again = says(&DrainStatus { says: Some(Says::In), ..empty });
        assert!(again.starts_with("node-b is not drained any more: its"), "{again}");
        // What balancers are still told, or nobody can count, is not drained.
        let unknown = Some(SettledStatus { at: At(9), left: None });
        let unknown = DrainStatus { settled: unknown, sessions: None, ..drain.clone() };
        let said = says(&unknown);
        assert!(said.starts_with("node-b is not known to be drained: its limit is over"), "{said}");
        let said = says(&DrainStatus { says: Some(Says::In), sessions: Some(0), ..unknown });
        assert!(said.contains("its limit is over and its monitor file still says in"), "{said}");
        let early = DrainStatus { says: Some(Says::In), sessions: None, ..drain };
        assert_eq!(early.progress(), "its monitor file is being changed");
    }
}
