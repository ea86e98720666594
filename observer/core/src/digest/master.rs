//! The master's condition, from all vantages together.
//!
//! The order of the questions is the argument: what the host itself says over SSH outranks what
//! is seen from outside; any sign of life outranks any silence.

use super::votes::{self, ProxyWord, Vote};
use super::{Inputs, commits, disk, external, mounts, singletons, system};
use crate::facts::Master;
use crate::judge::Repair;
use crate::ledger::Entry;
use crate::policy::{OnCleanShutdown, OnDatabaseCrash, Probed};
use crate::sighting::{
    Class, DatabaseBusy, Look, MachineReport, Seen, Silent, SystemState, UnitState, Vantage,
};
use crate::words::{At, HostName};

/// The unit that every host's database runs under is reported under this name, so that the core
/// need not know how each distribution calls it.
pub const DATABASE_UNIT: &str = "database";

/// How long the word of a host that saw the master alive counts after that host was lost itself,
/// in milliseconds.
const VANTAGE_WORD_MS: u64 = 10_000;

/// How long an application is given to serve again after its database came back: a few times the
/// second that connection pools commonly wait between attempts.
const APPLICATION_RETURNS_MS: u64 = 5_000;
/// How long an application that takes connections may say that it is not well, or say nothing,
/// before it counts as dead: one that is only overloaded gets no better by a restart or by a move.
const APPLICATION_ILL_MS: u64 = 10_000;

/// The master's condition.
pub(super) struct Assessed {
    pub(super) condition: Master,
    pub(super) since: Option<At>,
}

/// Assesses `master`; `slave` is the second vantage, where there is one.
pub(super) fn assess(inputs: Inputs<'_>, master: &HostName, slave: Option<&HostName>) -> Assessed {
    let view = View { inputs, master, slave };
    let condition = view.condition();
    Assessed { condition, since: view.trouble_since(condition) }
}

/// One sentence per vantage and look.
pub(super) fn evidence(
    inputs: Inputs<'_>,
    master: &HostName,
    slave: Option<&HostName>,
) -> Vec<String> {
    View { inputs, master, slave }.evidence()
}

#[derive(Clone, Copy)]
struct View<'a> {
    inputs: Inputs<'a>,
    master: &'a HostName,
    slave: Option<&'a HostName>,
}

impl<'a> View<'a> {
    fn condition(self) -> Master {
        if self.inputs.spec.has_external_database() {
            return self.beside_external();
        }
        let ssh = votes::ssh(self.inputs, self.master);
        let database = self.entry(Look::Database(self.master.clone()));
        // A hiccup of one kind of look over a connection that carries another is no trouble yet.
        let answers = database.is_some_and(|entry| entry.class == Class::Good);
        if ssh == Vote::Alive || answers { self.by_ssh(database) } else { self.seen_outside(ssh) }
    }

    /// The database is external: what is to be told apart is the host, its way to the database, and
    /// its application.
    fn beside_external(self) -> Master {
        let ssh = votes::ssh(self.inputs, self.master);
        let reach = self.entry(Look::External(self.master.clone()));
        // Both an answer of the database and its refusal came over the host.
        let answers = reach.is_some_and(|entry| matches!(entry.class, Class::Good | Class::Dead));
        if ssh != Vote::Alive && !answers {
            return self.seen_outside(ssh);
        }
        if let Some((_, since)) = self.machine()
            && system(self.inputs, self.master) != Some(SystemState::Running)
        {
            return self.within_grace(since, Master::HostDown);
        }
        if votes::unworkable(self.inputs, self.master).is_some() {
            return Master::OutOfReach;
        }
        match external::reach(self.inputs, self.master) {
            Vote::Alive => self.application_answers(),
            // Nothing is known of its way there, and its application says whether it serves. One
            // without a connection to look through is about to be found silent.
            Vote::Unasked if ssh == Vote::Alive => self.application_answers(),
            Vote::Unasked | Vote::Undecided => Master::Suspect,
            Vote::Lost => {
                let lasts = |since: At| self.inputs.now.since(since) >= APPLICATION_ILL_MS;
                // What was not heard while the host was not says nothing of its database.
                let host = self.entry(Look::Machine(self.master.clone()));
                let heard = host.filter(|entry| entry.class != Class::Silent).map(|e| e.since);
                let lost = reach.zip(heard).is_some_and(|(entry, heard)| {
                    entry.latest.asked_at >= heard && lasts(entry.since.max(heard))
                });
                // One that comes back is reached by one host a moment before the other.
                match external::reached_beside_since(self.inputs, self.master) {
                    // What a switchover did not mend, it will not mend again a moment later.
                    Some(_) if lost && self.switchover_failed_lately() => Master::ApplicationStuck,
                    Some(since) if lost && lasts(since) => Master::CutFromDatabase,
                    None if lost => Master::DatabaseAway,
                    _ => Master::Suspect,
                }
            }
        }
    }

    /// The host answers us: believe what it says of itself.
    fn by_ssh(self, database: Option<&Entry>) -> Master {
        if let Some((_, since)) = self.machine()
            && system(self.inputs, self.master) != Some(SystemState::Running)
        {
            return self.within_grace(since, Master::DatabaseDead);
        }
        let Some(database) = database else { return Master::Suspect };
        match &database.latest.seen {
            // Our own tombstone made a standby of it: what helps is what helps one that is down.
            Ok(Seen::Database(report)) if report.in_recovery => self.crashed_database(),
            Ok(Seen::Database(_)) => match self.database_answers() {
                Master::Healthy if votes::unworkable(self.inputs, self.master).is_some() => {
                    Master::OutOfReach
                }
                condition => condition,
            },
            Ok(Seen::DatabaseBusy(_)) => self.within_grace(database.since, Master::DatabaseDead),
            Ok(Seen::Refused) => self.database_refuses(database),
            Err(Silent::NoWay) => Master::Suspect,
            Err(_) => self.database_silent(database),
            Ok(_) => Master::Suspect,
        }
    }

    fn database_refuses(self, database: &Entry) -> Master {
        if votes::vote(Some(database), &self.inputs.spec.policy) != Vote::Lost {
            return Master::Suspect;
        }
        // systemd's word counts only if it was asked after the database was found gone.
        let Some(machine) = self.entry(Look::Machine(self.master.clone())) else {
            return Master::Suspect;
        };
        let Ok(Seen::Machine(report)) = &machine.latest.seen else { return Master::Suspect };
        if machine.latest.asked_at < database.since {
            return Master::Suspect;
        }
        match report.unit(DATABASE_UNIT).map(|unit| unit.state) {
            Some(UnitState::Activating | UnitState::Deactivating) => {
                self.within_grace(database.since, Master::DatabaseDead)
            }
            Some(UnitState::Stopped) if self.inputs.memory.left_stopped => self.crashed_database(),
            Some(UnitState::Stopped) => self.stopped_in_order(database.since),
            Some(UnitState::Active | UnitState::NeverStarted | UnitState::Failed) | None => {
                self.crashed_database()
            }
        }
    }

    /// A person stops a master on purpose; whether it may stay so is the policy's word.
    fn stopped_in_order(self, since: At) -> Master {
        let policy = &self.inputs.spec.policy;
        let grace = policy.clean_shutdown_grace_ms;
        let left = self.inputs.now.since(since) >= grace;
        match policy.on_clean_shutdown {
            OnCleanShutdown::FailOver if left => Master::LeftStopped,
            _ => Master::StoppedOnPurpose,
        }
    }

    fn crashed_database(self) -> Master {
        let policy = &self.inputs.spec.policy;
        let tried = self.inputs.tried_lately(Repair::StartDatabase);
        // Without room for its log it would not come up, or fall again.
        let full = disk::is_used_up(self.inputs, self.master);
        if policy.on_database_crash == OnDatabaseCrash::Start && !tried && !full {
            Master::DatabaseCrashed
        } else {
            Master::DatabaseDead
        }
    }

    fn database_silent(self, database: &Entry) -> Master {
        if votes::vote(Some(database), &self.inputs.spec.policy) != Vote::Lost {
            return Master::Suspect;
        }
        if votes::proxies(self.inputs, self.master) == ProxyWord::UsersServed {
            return self.if_lasting(Master::UsersServed);
        }
        let ports = self.port_votes();
        if ports.contains(&Vote::Alive) {
            return self.if_lasting(Master::OutOfReach);
        }
        if ports.contains(&Vote::Undecided) { Master::Suspect } else { Master::DatabaseHung }
    }

    /// The database takes queries: can it commit, and does the application serve?
    fn database_answers(self) -> Master {
        let policy = &self.inputs.spec.policy;
        if commits::are_held_up(self.inputs, self.master) {
            // It is well and waits for the slave; that is judged by itself.
            return Master::Healthy;
        }
        if self.fell_for_want_of_room() {
            return self.cannot_write();
        }
        let write = self.entry(Look::Write(self.master.clone()));
        if let Some(entry) = write {
            let needed = match &entry.latest.seen {
                Ok(Seen::CannotWrite(_)) => Some(2),
                Err(Silent::NoWay) | Ok(_) => None,
                Err(_) => Some(policy.failures),
            };
            if let Some(needed) = needed {
                // What failed while nothing of the host was seen, or while commits waited for the
                // slave, says nothing of its disk.
                let database = self.entry(Look::Database(self.master.clone()));
                let answers_since = database.map_or(entry.since, |database| {
                    database.waited_at.map_or(database.since, |at| at.max(database.since))
                });
                let since = entry.since.max(answers_since);
                let sure = entry.streak >= needed && entry.latest.asked_at >= answers_since;
                let lasts = self.inputs.now.since(since) >= policy.cannot_write_grace_ms;
                return if sure && lasts { self.cannot_write() } else { Master::Suspect };
            }
        }
        self.application_answers()
    }

    /// Host and database are well: does the application serve?
    fn application_answers(self) -> Master {
        let policy = &self.inputs.spec.policy;
        if !self.has_application() {
            return Master::Healthy;
        }
        let look = Look::Application { host: self.master.clone(), from: Vantage::Observer };
        let Some(entry) = self.entry(look) else { return Master::Suspect };
        let needed = match entry.class {
            Class::Good => return Master::Healthy,
            Class::Dead => 2,
            Class::Busy | Class::Silent => policy.failures,
        };
        let is_gone = matches!(entry.latest.seen, Ok(Seen::Refused));
        let lasts = is_gone || self.inputs.now.since(entry.since) >= APPLICATION_ILL_MS;
        if entry.streak < needed || !lasts || !self.database_settled() {
            return Master::Suspect;
        }
        if votes::finds_all_well(self.inputs, self.master) {
            return self.if_lasting(Master::UsersServed);
        }
        self.application_down(entry)
    }

    /// A switchover loses nothing, and is no way out of a master that cannot be shut down in order.
    fn cannot_write(self) -> Master {
        let stuck = self.switchover_failed_lately()
            || disk::forbids_an_orderly_stop(self.inputs, self.master);
        if stuck { Master::WriteStuck } else { Master::CannotWrite }
    }

    /// True if the database has fallen lately and its disk has no room for its log: it commits
    /// between two falls, and each takes every session along.
    fn fell_for_want_of_room(self) -> bool {
        let fell_at = self.entry(Look::Database(self.master.clone())).and_then(|e| e.fell_at);
        let grace = self.inputs.spec.policy.restart_grace_ms;
        let lately = fell_at.is_some_and(|at| self.inputs.now.since(at) < grace);
        lately && disk::is_used_up(self.inputs, self.master)
    }

    fn application_down(self, application: &Entry) -> Master {
        // systemd's word counts only if it was asked after the application was found gone: one that
        // a person has just stopped still ran when it was asked before.
        let machine = self.entry(Look::Machine(self.master.clone()));
        let said_before = |entry: &Entry| entry.latest.asked_at < application.since;
        if machine.is_some_and(|entry| entry.latest.seen.is_ok() && said_before(entry)) {
            return Master::Suspect;
        }
        let units = self.inputs.spec.services.iter().filter(|s| s.probed == Probed::Health);
        let states: Vec<UnitState> = units
            .filter_map(|service| {
                let (report, _) = self.machine()?;
                let state = report.unit(&service.unit).map(|unit| unit.state)?;
                // What a plan of ours has stopped and not started again is nobody's wish.
                let left = singletons::was_left(self.inputs, self.master, service);
                let failed = state == UnitState::Stopped && left;
                Some(if failed { UnitState::Failed } else { state })
            })
            .collect();
        if states.iter().any(|s| matches!(s, UnitState::Activating | UnitState::Deactivating)) {
            return self.within_grace(application.since, Master::ApplicationDead);
        }
        if states.contains(&UnitState::Stopped) {
            return Master::StoppedOnPurpose;
        }
        match (
            self.inputs.tried_lately(Repair::RestartApplication),
            self.switchover_failed_lately(),
        ) {
            (false, _) => Master::ApplicationCrashed,
            (true, false) => Master::ApplicationDead,
            (true, true) => Master::ApplicationStuck,
        }
    }

    /// The host does not answer us: ask everybody else before believing anything.
    fn seen_outside(self, ssh: Vote) -> Master {
        let users = votes::proxies(self.inputs, self.master);
        let others = self.outside_votes();
        let alive = others.contains(&Vote::Alive) || users == ProxyWord::Connects;
        if ssh != Vote::Lost {
            return if self.going_down() { Master::Restarting } else { Master::Suspect };
        }
        if users == ProxyWord::UsersServed {
            return self.if_lasting(Master::UsersServed);
        }
        if alive {
            return self.if_lasting(Master::OutOfReach);
        }
        if self.going_down() {
            return Master::Restarting;
        }
        let own = votes::port(self.inputs, self.master, Vantage::Observer);
        let second = users == ProxyWord::Failing || self.slave_votes().contains(&Vote::Lost);
        let unsure = others.contains(&Vote::Undecided)
            || votes::a_proxy_is_undecided(self.inputs)
            || self.lost_with_its_vantage();
        // As long as the policy gives a host to come back by itself, since anybody heard it last.
        let since = self.last_heard();
        let policy = &self.inputs.spec.policy;
        let lasts = since.is_some_and(|at| self.inputs.now.since(at) >= policy.detection_ms);
        let gone = own == Vote::Lost && second && !unsure && lasts;
        if gone { Master::HostGone } else { Master::Suspect }
    }

    /// The hosts that look at the master beside us: the slave; where the database is external,
    /// every host that answers, since any of them may be the one that still sees it.
    fn second_hosts(self) -> Vec<HostName> {
        if !self.inputs.spec.has_external_database() {
            return self.slave.cloned().into_iter().collect();
        }
        let answers = |host: &&HostName| votes::ssh(self.inputs, host) == Vote::Alive;
        self.inputs.spec.others(self.master).filter(answers).cloned().collect()
    }

    /// When the last of all vantages, proxies included, ceased to find the master.
    fn last_heard(self) -> Option<At> {
        let lost = |entry: &Entry| (entry.class != Class::Good).then_some(entry.since);
        let own = self.entry(Look::Machine(self.master.clone())).map(|entry| entry.since);
        let hosts = self.inputs.spec.others(self.master).flat_map(|host| self.looks_from(host));
        let seen = hosts.filter_map(|look| lost(self.entry(look)?));
        let proxies = self.inputs.spec.proxies.iter().filter_map(|proxy| {
            self.entry(Look::Proxy(proxy.clone()))?.failing_since.get(self.master).copied()
        });
        own.into_iter().chain(seen).chain(proxies).max()
    }

    /// The looks at the master from another host.
    fn looks_from(self, host: &HostName) -> [Look; 2] {
        let (from, host) = (Vantage::Host(host.clone()), self.master.clone());
        [Look::Port { host: host.clone(), from: from.clone() }, Look::Application { host, from }]
    }

    /// True where a host that saw the master alive while we did not has itself been lost a moment
    /// ago: its last word counts until it has been away for longer than a hiccup.
    fn lost_with_its_vantage(self) -> bool {
        let policy = &self.inputs.spec.policy;
        let Some(own) = self.entry(Look::Machine(self.master.clone())) else { return false };
        let margin_ms = u64::from(policy.failures) * policy.interval_ms;
        let is_late = |host: &HostName, entry: &Entry| {
            let machine = self.entry(Look::Machine(host.clone()));
            let asked = machine.is_some_and(|machine| {
                machine.class == Class::Good && entry.latest.asked_at >= machine.since
            });
            let is_good = entry.class == Class::Good;
            let until = if is_good { entry.latest.at } else { entry.since };
            // One that was asked while it answered, and did not find the master, says so itself.
            let counts = is_good || !asked;
            counts
                && until > own.since.plus(margin_ms)
                && self.inputs.now.since(until) < VANTAGE_WORD_MS
        };
        let sees = |host: &HostName| {
            let looks = self.looks_from(host).into_iter();
            looks.filter_map(|look| self.entry(look)).any(|entry| is_late(host, entry))
        };
        self.inputs.spec.has_external_database() && self.inputs.spec.others(self.master).any(sees)
    }

    fn port_votes(self) -> Vec<Vote> {
        let mut found = vec![votes::port(self.inputs, self.master, Vantage::Observer)];
        for host in self.second_hosts() {
            found.push(votes::port(self.inputs, self.master, Vantage::Host(host)));
        }
        found
    }

    fn slave_votes(self) -> Vec<Vote> {
        let mut found = Vec::new();
        for host in self.second_hosts() {
            let from = Vantage::Host(host.clone());
            found.push(votes::port(self.inputs, self.master, from.clone()));
            found.push(votes::walreceiver(self.inputs, &host));
            if self.has_application() {
                found.push(votes::application(self.inputs, self.master, from));
            }
        }
        found
    }

    fn outside_votes(self) -> Vec<Vote> {
        let mut found = vec![votes::port(self.inputs, self.master, Vantage::Observer)];
        if self.has_application() {
            found.push(votes::application(self.inputs, self.master, Vantage::Observer));
        }
        found.extend(self.slave_votes());
        found
    }

    fn has_application(self) -> bool {
        self.inputs.spec.services.iter().any(|service| service.probed == Probed::Health)
    }

    /// True if the machine or its database was seen on its way down, by order, within the grace.
    fn going_down(self) -> bool {
        let grace = self.inputs.spec.policy.restart_grace_ms;
        [Look::Machine(self.master.clone()), Look::Database(self.master.clone())]
            .into_iter()
            .filter_map(|look| self.entry(look)?.going_down_at)
            .any(|at| self.inputs.now.since(at) < grace)
    }

    fn within_grace(self, since: At, after: Master) -> Master {
        let grace = self.inputs.spec.policy.restart_grace_ms;
        if self.inputs.now.since(since) < grace { Master::Restarting } else { after }
    }

    /// A contradiction between vantages is told only if it lasts: in the first moments of a death
    /// the slower vantages have simply not noticed yet.
    fn if_lasting(self, condition: Master) -> Master {
        let policy = &self.inputs.spec.policy;
        let lasts_ms = u64::from(policy.failures) * policy.interval_ms;
        let since = self.trouble_since(condition);
        let lasts = since.is_some_and(|since| self.inputs.now.since(since) >= lasts_ms);
        if lasts { condition } else { Master::Suspect }
    }

    /// True once the database has answered for so long that an application has had time to find
    /// it again: one that lost its database for a moment must not be restarted for it.
    fn database_settled(self) -> bool {
        let external = self.inputs.spec.has_external_database();
        let host = self.master.clone();
        let entry = self.entry(if external { Look::External(host) } else { Look::Database(host) });
        entry.is_some_and(|entry| self.inputs.now.since(entry.since) >= APPLICATION_RETURNS_MS)
    }

    fn switchover_failed_lately(self) -> bool {
        self.inputs.is_lately(self.inputs.memory.undone_switchover)
    }

    fn machine(self) -> Option<(&'a MachineReport, At)> {
        let entry = self.entry(Look::Machine(self.master.clone()))?;
        match &entry.latest.seen {
            Ok(Seen::Machine(report)) => Some((report, entry.since)),
            _ => None,
        }
    }

    fn entry(self, look: Look) -> Option<&'a Entry> {
        self.inputs.snapshot.get(&look)
    }

    /// The first sign of the present trouble among the looks at the master that are not good.
    fn trouble_since(self, condition: Master) -> Option<At> {
        if condition == Master::Healthy {
            return None;
        }
        let bad = self.inputs.snapshot.entries().filter(|(look, entry)| {
            // That its disk or its files are not shown says nothing of how the master is.
            let shows = !look.is_slow() && !matches!(look, Look::Disk(_) | Look::Files(_));
            look.host() == Some(self.master) && shows && entry.class != Class::Good
        });
        bad.map(|(_, entry)| entry.since).min()
    }

    /// One sentence per look at the master.
    fn evidence(self) -> Vec<String> {
        let looks = self.inputs.snapshot.entries();
        let mut said: Vec<String> = looks
            .filter(|(look, _)| look.host() == Some(self.master))
            .map(|(look, entry)| format!("{look}: {}", describe(entry, self.inputs.now)))
            .collect();
        let word = match votes::proxies(self.inputs, self.master) {
            ProxyWord::UsersServed => "checks pass, users are served",
            ProxyWord::Connects => "TCP checks pass",
            ProxyWord::Failing => "checks fail",
            ProxyWord::Nothing => "no check result",
        };
        said.push(format!("proxies on {}: {word}", self.master));
        if let Some(slave) = self.slave.filter(|_| !self.inputs.spec.has_external_database()) {
            let word = match votes::walreceiver(self.inputs, slave) {
                Vote::Alive => "hears the master",
                Vote::Lost => "connected, and hears nothing",
                Vote::Undecided | Vote::Unasked => "not connected",
            };
            said.push(format!("walreceiver on {slave}: {word}"));
        }
        said
    }
}

fn describe(entry: &Entry, now: At) -> String {
    let for_how_long = crate::words::human_ms(now.since(entry.since));
    let what = match &entry.latest.seen {
        Ok(Seen::Refused) => "connection refused".to_owned(),
        Ok(Seen::Machine(report)) => match report.system {
            SystemState::Running => "answers".to_owned(),
            SystemState::Starting => "booting".to_owned(),
            SystemState::Stopping => "shutting down".to_owned(),
        },
        Ok(Seen::Database(report)) if report.in_recovery => "answers as standby".to_owned(),
        Ok(Seen::Database(_)) => "answers as primary".to_owned(),
        Ok(Seen::DatabaseBusy(DatabaseBusy::StartingUp)) => "starting up".to_owned(),
        Ok(Seen::DatabaseBusy(DatabaseBusy::ShuttingDown)) => "shutting down".to_owned(),
        Ok(Seen::Written { latency_ms }) => format!("commits in {latency_ms} ms"),
        Ok(Seen::CannotWrite(why)) => format!("cannot commit: {why}"),
        Ok(Seen::Disk(rooms)) => disk::describe(rooms),
        Ok(Seen::Sessions(count)) => format!("{count} sessions"),
        Ok(Seen::Mount(report)) => mounts::describe(report),
        Ok(Seen::PortOpen) => "takes connections".to_owned(),
        Ok(Seen::ApplicationWell) => "healthy".to_owned(),
        Ok(Seen::ApplicationIll(why)) => format!("not well: {why}"),
        Ok(Seen::Ready(what)) => format!("ready: {what}"),
        Ok(Seen::NotReady(what)) => format!("not ready: {what}"),
        Ok(Seen::Files(_) | Seen::Proxy(_) | Seen::ProxyFile(_) | Seen::Bouncer(_)) => {
            "answers".to_owned()
        }
        Err(silent) => silent.to_string(),
    };
    format!("{what} ({} looks, {for_how_long})", entry.streak)
}

#[cfg(test)]
#[path = "master_tests.rs"]
mod tests;
