//! How the simulated world answers looks.

use observer_core::policy::{ServiceSpec, UsersGo};
use observer_core::sighting::{
    Admission, CheckResult, DatabaseBusy, DatabaseReport, FileServer, LeaseSeen, Look,
    MachineReport, ProxyFileReport, ProxyReport, Seen, ServerReport, Silent, Synchrony,
    SystemState, UnitReport, UnitState, Vantage, Walreceiver,
};
use observer_core::words::{At, HostName, ProxyName};

use crate::machine::{Machine, Postmaster, Power, Running, ServiceState};
use crate::network::OBSERVER;
use crate::world::World;

/// The backend whose users may go to every host.
const SHARED: &str = "everywhere";

/// The simulated database's system identifier.
const SYSTEM_ID: u64 = 7_000_000_000_000_000_001;

impl World {
    /// Answers a look; none is silence until the deadline.
    pub fn see(&self, look: &Look, now: At) -> Option<Result<Seen, Silent>> {
        match look {
            Look::Machine(host) => self.see_machine(host),
            Look::Database(host) => {
                self.over_ssh(host, |machine| self.see_database(host, machine, now))
            }
            Look::Write(host) => self.over_ssh(host, |machine| {
                let waits =
                    machine.database.postmaster == Postmaster::Running && self.commits_wait(host);
                if waits { None } else { see_write(machine) }
            }),
            Look::Disk(host) => self
                .over_ssh(host, |machine| Some(Ok(Seen::Disk(machine.database.disk.rooms(now))))),
            Look::Files(host) => self.over_ssh(host, |machine| Some(self.see_files(machine, now))),
            Look::External(host) => self.over_ssh(host, |_| self.see_external(host)),
            Look::Sessions(host) => self.over_ssh(host, World::see_sessions),
            Look::Mount { host, .. } => {
                self.over_ssh(host, |machine| Some(Ok(machine.mount.see(now))))
            }
            Look::Port { host, from }
                if self.machine(host).frozen
                    && self.machine(host).is_up()
                    && *from == Vantage::Observer
                    && self.network.passes(OBSERVER, host.as_str()) =>
            {
                Some(Ok(Seen::PortOpen))
            }
            Look::Port { host, from } if self.spec.has_external_database() => {
                self.see_through(from, host, |machine| {
                    let up = machine.sshd == Running::Yes;
                    Some(Ok(if up { Seen::PortOpen } else { Seen::Refused }))
                })
            }
            Look::Port { host, from } => self.see_through(from, host, see_port),
            Look::Application { host, from } => self.see_through(from, host, |machine| {
                let serves = self.application_serves(host);
                if !serves {
                    return Some(Ok(Seen::Refused));
                }
                if machine.overloaded {
                    return Some(Ok(Seen::ApplicationIll("overloaded".to_owned())));
                }
                if self.spec.has_external_database() {
                    return Some(Ok(if self.serves_with_external(host) {
                        Seen::ApplicationWell
                    } else {
                        Seen::ApplicationIll("no database".to_owned())
                    }));
                }
                Some(Ok(match machine.database.postmaster {
                    Postmaster::Running
                        if !machine.database.in_recovery || self.serves_everywhere() =>
                    {
                        Seen::ApplicationWell
                    }
                    _ => Seen::ApplicationIll("no writable database".to_owned()),
                }))
            }),
            Look::Readiness { host, service } => self.over_ssh(host, |machine| {
                Some(Ok(if machine.is_ready(service) {
                    Seen::Ready("status 200".to_owned())
                } else {
                    Seen::NotReady("status 503: starting".to_owned())
                }))
            }),
            Look::Proxy(proxy) => self.see_proxy(proxy),
            Look::ProxyFile(proxy) => self.see_file(proxy),
            Look::Bouncer(bouncer) => self.see_bouncer(bouncer),
        }
    }

    fn see_machine(&self, host: &HostName) -> Option<Result<Seen, Silent>> {
        let machine = self.machine(host);
        if !self.network.passes(OBSERVER, host.as_str())
            || machine.power == Power::Off
            || machine.frozen
            || machine.deaf
        {
            return None;
        }
        if machine.power == Power::Crashed || machine.sshd == Running::No {
            return Some(Ok(Seen::Refused));
        }
        if machine.key_changed {
            let (pinned, offered) = ("SHA256:pinned".to_owned(), "SHA256:offered".to_owned());
            return Some(Err(Silent::HostKeyChanged { pinned, offered }));
        }
        if machine.garbled {
            return Some(Err(Silent::Garbage("welcome!".to_owned())));
        }
        let mut units = vec![UnitReport {
            unit: "database".to_owned(),
            state: machine.database_unit(),
            loops: false,
            at_boot: machine.enabled.contains(&None),
        }];
        let is_known = |service: &&ServiceSpec| {
            machine.services.get(&service.name) != Some(&ServiceState::Gone)
        };
        units.extend(self.spec.services.iter().filter(is_known).map(|service| UnitReport {
            unit: service.unit.clone(),
            state: match machine.services.get(&service.name) {
                Some(ServiceState::Up) => UnitState::Active,
                Some(ServiceState::Failed | ServiceState::Broken) => UnitState::Failed,
                Some(ServiceState::NeverStarted) => UnitState::NeverStarted,
                Some(ServiceState::Looping) => UnitState::Activating,
                Some(ServiceState::Stopped | ServiceState::Gone) | None => UnitState::Stopped,
            },
            loops: machine.services.get(&service.name) == Some(&ServiceState::Looping),
            at_boot: machine.enabled.contains(&Some(service.name.clone())),
        }));
        Some(Ok(Seen::Machine(MachineReport {
            system: if machine.boots { SystemState::Starting } else { SystemState::Running },
            units,
            tombstone: machine.tombstone,
            lease: self.see_lease(machine),
            monitor: self.see_monitor(machine),
        })))
    }

    fn see_lease(&self, machine: &Machine) -> LeaseSeen {
        let length_ms = machine.lease.as_ref().map(|lease| lease.length_ms);
        match length_ms {
            None => LeaseSeen::None,
            length_ms if length_ms == self.spec.policy.lease_ms => LeaseSeen::AsAsked,
            Some(_) => LeaseSeen::Other,
        }
    }

    /// True if commands can be run on `host`.
    pub fn ssh_works(&self, host: &HostName) -> bool {
        let machine = self.machine(host);
        self.network.passes(OBSERVER, host.as_str())
            && machine.is_up()
            && !machine.frozen
            && machine.sshd == Running::Yes
            && !machine.key_changed
    }

    fn over_ssh(
        &self,
        host: &HostName,
        see: impl FnOnce(&Machine) -> Option<Result<Seen, Silent>>,
    ) -> Option<Result<Seen, Silent>> {
        let machine = self.machine(host);
        if !self.network.passes(OBSERVER, host.as_str())
            || machine.power == Power::Off
            || machine.frozen
        {
            // An established connection that has gone silent: the query just waits.
            return None;
        }
        if self.ssh_works(host) { see(machine) } else { Some(Err(Silent::NoWay)) }
    }

    fn see_database(
        &self,
        host: &HostName,
        machine: &Machine,
        now: At,
    ) -> Option<Result<Seen, Silent>> {
        let database = &machine.database;
        match database.postmaster {
            Postmaster::Hung => None,
            Postmaster::Starting(_) => Some(Ok(Seen::DatabaseBusy(DatabaseBusy::StartingUp))),
            Postmaster::Running => {
                let receiver = database
                    .heard_at
                    .map(|at| Walreceiver { streaming: true, last_message_ms: now.since(at) });
                Some(Ok(Seen::Database(DatabaseReport {
                    in_recovery: database.in_recovery,
                    timeline: database.timeline,
                    system_id: SYSTEM_ID,
                    lsn: database.lsn(),
                    replayed: database.lsn(),
                    replay_paused: database.replay_paused,
                    synchrony: self.synchrony(host),
                    history: Some(database.history.clone()),
                    walreceiver: receiver.filter(|_| database.in_recovery),
                })))
            }
            _ => Some(Ok(Seen::Refused)),
        }
    }

    fn synchrony(&self, host: &HostName) -> Synchrony {
        let database = &self.machine(host).database;
        let Some(standby) = database.waits_for.as_ref().filter(|_| !database.in_recovery) else {
            return Synchrony::default();
        };
        let asked = vec![standby.to_string()];
        let held = if self.commits_wait(host) { Vec::new() } else { asked.clone() };
        Synchrony { asked, held }
    }

    fn see_through(
        &self,
        from: &Vantage,
        host: &HostName,
        see: impl FnOnce(&Machine) -> Option<Result<Seen, Silent>>,
    ) -> Option<Result<Seen, Silent>> {
        let start = match from {
            Vantage::Observer => OBSERVER,
            Vantage::Host(other) => {
                if self.ssh_silent(other) {
                    return None;
                }
                if !self.ssh_works(other) {
                    return Some(Err(Silent::NoWay));
                }
                if self.machine(other).no_way_on {
                    return Some(Err(Silent::Denied("forwarding is prohibited".to_owned())));
                }
                other.as_str()
            }
        };
        let machine = self.machine(host);
        if !self.network.passes(start, host.as_str()) {
            return None;
        }
        match machine.power {
            Power::Off => None,
            Power::Crashed => Some(Ok(Seen::Refused)),
            Power::On if machine.frozen => None,
            Power::On => see(machine),
        }
    }

    pub(crate) fn ssh_silent(&self, host: &HostName) -> bool {
        let machine = self.machine(host);
        !self.network.passes(OBSERVER, host.as_str())
            || machine.power == Power::Off
            || machine.frozen
    }

    fn see_proxy(&self, name: &ProxyName) -> Option<Result<Seen, Silent>> {
        let proxy = &self.proxies[name];
        if !self.network.passes(OBSERVER, name.as_str()) || !proxy.powered {
            return None;
        }
        if !proxy.running {
            return Some(Ok(Seen::Refused));
        }
        let server = |(host, admission): (&HostName, &Admission), backend: &str, passes: bool| {
            let check = match (admission, passes) {
                (Admission::TakenOut, _) => CheckResult::Unchecked,
                (_, true) => CheckResult::Well,
                (_, false) => CheckResult::Failing,
            };
            ServerReport {
                backend: backend.to_owned(),
                server: host.to_string(),
                host: host.clone(),
                users: if backend == SHARED { UsersGo::EveryHost } else { UsersGo::Master },
                admission: *admission,
                check,
                sessions: 0,
            }
        };
        let servers = proxy.runtime.iter().flat_map(|row| {
            let database = self.database_check_passes(name, row.0);
            [server(row, "app", proxy.failing[row.0] == 0), server(row, "app_pg", database)]
        });
        let shared = proxy.shared_runtime.iter();
        let shared = shared.map(|row| server(row, SHARED, proxy.failing[row.0] == 0));
        let servers = servers.chain(shared).collect();
        Some(Ok(Seen::Proxy(ProxyReport { servers, process: None })))
    }

    /// Whether the check of the database alone passes, as of a frontend for SQL clients.
    fn database_check_passes(&self, proxy: &ProxyName, host: &HostName) -> bool {
        let machine = self.machine(host);
        if self.spec.has_external_database() {
            return self.check_passes(proxy, host);
        }
        machine.is_up()
            && self.network.passes(proxy.as_str(), host.as_str())
            && machine.database.postmaster == Postmaster::Running
    }

    fn see_file(&self, name: &ProxyName) -> Option<Result<Seen, Silent>> {
        let proxy = &self.proxies[name];
        if !self.network.passes(OBSERVER, name.as_str()) || !proxy.powered {
            return None;
        }
        let line = |(host, admission): (&HostName, &Admission), users| FileServer {
            backend: if users == UsersGo::Master { "app" } else { SHARED }.to_owned(),
            server: host.to_string(),
            host: host.clone(),
            users,
            admission: *admission,
        };
        let own = proxy.file.iter().map(|row| line(row, UsersGo::Master));
        let shared = proxy.shared_file.iter().map(|row| line(row, UsersGo::EveryHost));
        let servers = own.chain(shared).collect();
        Some(Ok(Seen::ProxyFile(ProxyFileReport { servers })))
    }
}

fn see_write(machine: &Machine) -> Option<Result<Seen, Silent>> {
    let database = &machine.database;
    match database.postmaster {
        Postmaster::Hung => None,
        Postmaster::Running if database.disk.refuses_commits() => {
            Some(Ok(Seen::CannotWrite("could not extend file".to_owned())))
        }
        Postmaster::Running if database.in_recovery => {
            Some(Ok(Seen::CannotWrite("in recovery".to_owned())))
        }
        Postmaster::Running => Some(Ok(Seen::Written { latency_ms: 1 })),
        Postmaster::Starting(_) => Some(Ok(Seen::DatabaseBusy(DatabaseBusy::StartingUp))),
        _ => Some(Ok(Seen::Refused)),
    }
}

fn see_port(machine: &Machine) -> Option<Result<Seen, Silent>> {
    match machine.database.postmaster {
        Postmaster::Hung => None,
        Postmaster::Running => Some(Ok(Seen::PortOpen)),
        Postmaster::Starting(_) => Some(Ok(Seen::DatabaseBusy(DatabaseBusy::StartingUp))),
        _ => Some(Ok(Seen::Refused)),
    }
}
