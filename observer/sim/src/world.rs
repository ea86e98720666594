//! The whole simulated world, and how it answers looks, effects and proofs.
//!
//! It only answers for what is true at the moment of asking; delay, loss and order are `run`'s.

use std::collections::BTreeMap;

use observer_core::drive::{Answer, Reply};
use observer_core::plan::{Effect, Proof, Stop};
use observer_core::policy::{PairSpec, Probed};
use observer_core::sighting::{
    Admission, CheckResult, DatabaseBusy, DatabaseReport, FileServer, Look, MachineReport,
    ProxyFileReport, ProxyReport, Seen, ServerReport, Silent, SystemState, UnitReport, UnitState,
    Vantage, Walreceiver,
};
use observer_core::words::{At, HostName, ProxyName};

use crate::machine::{Machine, Postmaster, Power, Running, ServiceState};
use crate::network::{Network, OBSERVER};
use crate::proxy::Proxy;

/// The simulated database's system identifier.
const SYSTEM_ID: u64 = 7_000_000_000_000_000_001;

/// The world.
#[derive(Clone, Debug)]
pub struct World {
    /// The pair's members.
    pub spec: PairSpec,
    /// The hosts.
    pub machines: BTreeMap<HostName, Machine>,
    /// The proxies.
    pub proxies: BTreeMap<ProxyName, Proxy>,
    /// The links.
    pub network: Network,
    /// Which promotions were carried out: by which epoch, of which host.
    pub promotions: Vec<(u64, HostName)>,
}

impl World {
    /// A healthy pair in which the first host is the master.
    pub fn new(spec: PairSpec) -> Self {
        let master = spec.hosts[0].clone();
        let machine = |host: &HostName| {
            let services = spec.services.iter().map(|service| {
                let here = match service.placement {
                    observer_core::policy::Placement::All => true,
                    observer_core::policy::Placement::Master => *host == master,
                    observer_core::policy::Placement::Slave => *host != master,
                };
                let state = if here { ServiceState::Up } else { ServiceState::Stopped };
                (service.name.clone(), state)
            });
            (host.clone(), Machine::new(*host != master, services.collect()))
        };
        Self {
            machines: spec.hosts.iter().map(machine).collect(),
            proxies: spec
                .proxies
                .iter()
                .map(|proxy| (proxy.clone(), Proxy::new(&spec.hosts, &master)))
                .collect(),
            network: Network::default(),
            promotions: Vec::new(),
            spec,
        }
    }

    /// A host.
    pub fn machine(&self, host: &HostName) -> &Machine {
        self.machines.get(host).expect("scenarios name configured hosts")
    }

    /// A host, to change.
    pub fn machine_mut(&mut self, host: &HostName) -> &mut Machine {
        self.machines.get_mut(host).expect("scenarios name configured hosts")
    }

    /// A proxy, to change.
    pub fn proxy_mut(&mut self, proxy: &ProxyName) -> &mut Proxy {
        self.proxies.get_mut(proxy).expect("scenarios name configured proxies")
    }

    /// True if the application on `host` serves: every probed service runs.
    pub fn application_serves(&self, host: &HostName) -> bool {
        let machine = self.machine(host);
        let probed = self.spec.services.iter().filter(|s| s.probed == Probed::Health);
        machine.is_up() && probed.into_iter().all(|service| machine.runs(&service.name))
    }

    /// True if a user at `proxy` would have a write committed on `host`.
    pub fn users_can_write(&self, proxy: &ProxyName, host: &HostName) -> bool {
        let machine = self.machine(host);
        self.proxies[proxy].lets_in(host)
            && machine.is_up()
            && machine.database.accepts_writes()
            && self.application_serves(host)
            && self.network.passes(proxy.as_str(), host.as_str())
    }

    /// Hosts that users can write to through any proxy.
    pub fn writable_hosts(&self) -> Vec<HostName> {
        let through_any = |host: &&HostName| {
            self.spec.proxies.iter().any(|proxy| self.users_can_write(proxy, host))
        };
        self.spec.hosts.iter().filter(through_any).cloned().collect()
    }

    /// True if `proxy`'s own check of `host` would pass now.
    pub fn check_passes(&self, proxy: &ProxyName, host: &HostName) -> bool {
        let machine = self.machine(host);
        machine.is_up()
            && self.network.passes(proxy.as_str(), host.as_str())
            && machine.database.postmaster == Postmaster::Running
            && !machine.database.in_recovery
            && self.application_serves(host)
    }

    /// Lets databases start and standbys receive.
    pub fn pass(&mut self, now: At) {
        for machine in self.machines.values_mut() {
            machine.pass(now);
        }
        self.replicate(now);
    }

    /// A standby whose primary's end of the connection was closed knows it at once; one whose
    /// primary fell silent goes on waiting.
    fn close_streams(&mut self) {
        let closed = self.spec.hosts.iter().any(|host| {
            let machine = self.machine(host);
            let primary = !machine.database.in_recovery;
            let gone = machine.power == Power::Crashed
                || (machine.is_up()
                    && !matches!(
                        machine.database.postmaster,
                        Postmaster::Running | Postmaster::Hung
                    ));
            primary && gone
        });
        if closed {
            for machine in self.machines.values_mut() {
                machine.database.heard_at = None;
            }
        }
    }

    fn replicate(&mut self, now: At) {
        self.close_streams();
        let primary = self.spec.hosts.iter().find(|host| {
            let database = &self.machine(host).database;
            self.machine(host).is_up()
                && database.postmaster == Postmaster::Running
                && !database.in_recovery
        });
        let Some(primary) = primary.cloned() else { return };
        let source = self.machine(&primary).database.clone_position();
        let hosts: Vec<HostName> = self.spec.others(&primary).cloned().collect();
        for host in hosts {
            let connected = self.network.passes(primary.as_str(), host.as_str());
            let machine = self.machine(&host);
            let standby = &machine.database;
            let follows = machine.is_up()
                && standby.postmaster == Postmaster::Running
                && standby.in_recovery
                && standby.timeline == source.0
                && standby.rows.len() <= source.1;
            if !follows || !connected || standby.stalled {
                continue;
            }
            let held = standby.rows.len();
            let missing = self.machine(&primary).database.rows[held..].to_vec();
            let standby = &mut self.machine_mut(&host).database;
            standby.rows.extend(missing);
            standby.heard_at = Some(now);
        }
    }

    /// Answers a look; none is silence until the deadline.
    pub fn see(&self, look: &Look, now: At) -> Option<Result<Seen, Silent>> {
        match look {
            Look::Machine(host) => self.see_machine(host),
            Look::Database(host) => self.over_ssh(host, |machine| self.see_database(machine, now)),
            Look::Write(host) => self.over_ssh(host, see_write),
            Look::Port { host, from } => self.see_through(from, host, see_port),
            Look::Application { host, from } => self.see_through(from, host, |machine| {
                let serves = self.application_serves(host);
                if !serves {
                    return Some(Ok(Seen::Refused));
                }
                Some(Ok(match machine.database.postmaster {
                    Postmaster::Running if !machine.database.in_recovery => Seen::ApplicationWell,
                    _ => Seen::ApplicationIll("no writable database".to_owned()),
                }))
            }),
            Look::Proxy(proxy) => self.see_proxy(proxy),
            Look::ProxyFile(proxy) => self.see_file(proxy),
        }
    }

    fn see_machine(&self, host: &HostName) -> Option<Result<Seen, Silent>> {
        let machine = self.machine(host);
        if !self.network.passes(OBSERVER, host.as_str()) || machine.power == Power::Off {
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
        let mut units =
            vec![UnitReport { unit: "database".to_owned(), state: machine.database_unit() }];
        units.extend(self.spec.services.iter().map(|service| UnitReport {
            unit: service.unit.clone(),
            state: match machine.services.get(&service.name) {
                Some(ServiceState::Up) => UnitState::Active,
                Some(ServiceState::Failed | ServiceState::Broken) => UnitState::Failed,
                Some(ServiceState::NeverStarted) => UnitState::NeverStarted,
                Some(ServiceState::Stopped) | None => UnitState::Stopped,
            },
        }));
        Some(Ok(Seen::Machine(MachineReport {
            system: SystemState::Running,
            units,
            tombstone: machine.tombstone,
        })))
    }

    /// True if commands can be run on `host`.
    pub fn ssh_works(&self, host: &HostName) -> bool {
        let machine = self.machine(host);
        self.network.passes(OBSERVER, host.as_str())
            && machine.is_up()
            && machine.sshd == Running::Yes
            && !machine.key_changed
    }

    fn over_ssh(
        &self,
        host: &HostName,
        see: impl FnOnce(&Machine) -> Option<Result<Seen, Silent>>,
    ) -> Option<Result<Seen, Silent>> {
        let machine = self.machine(host);
        if !self.network.passes(OBSERVER, host.as_str()) || machine.power == Power::Off {
            // An established connection that has gone silent: the query just waits.
            return None;
        }
        if self.ssh_works(host) { see(machine) } else { Some(Err(Silent::NoWay)) }
    }

    fn see_database(&self, machine: &Machine, now: At) -> Option<Result<Seen, Silent>> {
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
                    walreceiver: receiver.filter(|_| database.in_recovery),
                })))
            }
            _ => Some(Ok(Seen::Refused)),
        }
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
            Power::On => see(machine),
        }
    }

    fn ssh_silent(&self, host: &HostName) -> bool {
        let machine = self.machine(host);
        !self.network.passes(OBSERVER, host.as_str()) || machine.power == Power::Off
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
                admission: *admission,
                check,
                sessions: 0,
            }
        };
        let servers = proxy.runtime.iter().flat_map(|row| {
            let database = self.database_check_passes(name, row.0);
            [server(row, "app", proxy.failing[row.0] == 0), server(row, "app_pg", database)]
        });
        Some(Ok(Seen::Proxy(ProxyReport { servers: servers.collect() })))
    }

    /// Whether the check of the database alone passes, as of a frontend for SQL clients.
    fn database_check_passes(&self, proxy: &ProxyName, host: &HostName) -> bool {
        let machine = self.machine(host);
        machine.is_up()
            && self.network.passes(proxy.as_str(), host.as_str())
            && machine.database.postmaster == Postmaster::Running
    }

    fn see_file(&self, name: &ProxyName) -> Option<Result<Seen, Silent>> {
        let proxy = &self.proxies[name];
        if !self.network.passes(OBSERVER, name.as_str()) || !proxy.powered {
            return None;
        }
        let line = |(host, admission): (&HostName, &Admission)| FileServer {
            backend: "app".to_owned(),
            server: host.to_string(),
            host: host.clone(),
            admission: *admission,
        };
        let servers = proxy.file.iter().map(line).collect();
        Some(Ok(Seen::ProxyFile(ProxyFileReport { servers })))
    }

    /// Performs an effect now. None: the way there is silent, so nothing is done or answered.
    pub fn perform(&mut self, effect: &Effect, epoch: u64, now: At) -> Option<Reply> {
        match effect {
            Effect::Look => Some(Reply::Did),
            Effect::TakeOut { proxy, host, .. } => self.at_proxy(proxy, |proxy| {
                proxy.file_if_stopped(host, Admission::TakenOut);
                proxy.set_runtime(host, Admission::TakenOut)
            }),
            Effect::LetIn { proxy, host } => self.at_proxy(proxy, |proxy| proxy.let_in_only(host)),
            Effect::Rewrite { proxy, master } => self.at_proxy(proxy, |proxy| {
                for (host, admission) in &mut proxy.file {
                    let is_in = host == master;
                    *admission = if is_in { Admission::LetIn } else { Admission::TakenOut };
                }
                Reply::Did
            }),
            Effect::KeepOut { proxy, host } => self.at_proxy(proxy, |proxy| {
                proxy.file.insert(host.clone(), Admission::TakenOut);
                Reply::Did
            }),
            Effect::LiftTombstone { host } => self.on_host(host, |machine| {
                machine.tombstone = false;
                Reply::Did
            }),
            Effect::StopDatabase { host, how } => self.on_host(host, |machine| {
                machine.end_database(match how {
                    Stop::Clean => Postmaster::Stopped,
                    Stop::Kill => Postmaster::Crashed,
                });
                Reply::Did
            }),
            Effect::StartDatabase { host } => self.on_host(host, |machine| {
                machine.start_database(now);
                Reply::Did
            }),
            Effect::RestartDatabase { host } => self.on_host(host, |machine| {
                machine.tombstone = false;
                machine.end_database(Postmaster::Stopped);
                machine.start_database(now);
                Reply::Did
            }),
            Effect::Promote { host } => {
                let reply = self.on_host(host, |machine| {
                    let ready = machine.database.postmaster == Postmaster::Running;
                    machine.promote();
                    if ready {
                        return Reply::Did;
                    }
                    machine.start_database(now);
                    Reply::Refused("was not running".to_owned())
                });
                if reply == Some(Reply::Did) {
                    self.promotions.push((epoch, host.clone()));
                }
                reply
            }
            Effect::LeaveTombstone { host } => self.on_host(host, |machine| {
                machine.tombstone = true;
                Reply::Did
            }),
            Effect::StartService { host, service } | Effect::RestartService { host, service } => {
                self.on_host(host, |machine| {
                    machine.start_service(service);
                    Reply::Did
                })
            }
            Effect::StopService { host, service } => self.on_host(host, |machine| {
                machine.stop_service(service);
                Reply::Did
            }),
        }
    }

    fn at_proxy(
        &mut self,
        name: &ProxyName,
        act: impl FnOnce(&mut Proxy) -> Reply,
    ) -> Option<Reply> {
        let reachable = self.network.passes(OBSERVER, name.as_str());
        let proxy = self.proxy_mut(name);
        (reachable && proxy.powered).then(|| act(proxy))
    }

    fn on_host(
        &mut self,
        host: &HostName,
        act: impl FnOnce(&mut Machine) -> Reply,
    ) -> Option<Reply> {
        if self.ssh_silent(host) {
            return None;
        }
        if !self.ssh_works(host) {
            return Some(Reply::Refused("no SSH connection".to_owned()));
        }
        Some(act(self.machine_mut(host)))
    }

    /// Looks for a proof now.
    pub fn prove(&mut self, proof: &Proof) -> Answer {
        match proof {
            Proof::IsOut { proxy, host } => self.prove_out(proxy, host),
            Proof::IsIn { proxy, host } => {
                let is_in = self.proxies[proxy].lets_in(host);
                self.if_proxy(proxy, is_in, "not in rotation")
            }
            Proof::FileSays { proxy, master } => {
                let file = &self.proxies[proxy].file;
                let so = file
                    .iter()
                    .all(|(host, state)| (*state == Admission::LetIn) == (host == master));
                self.if_proxy(proxy, so, "the file says otherwise")
            }
            Proof::FileKeepsOut { proxy, host } => {
                let out = self.proxies[proxy].file.get(host) == Some(&Admission::TakenOut);
                self.if_proxy(proxy, out, "the file lets it in")
            }
            Proof::NoTombstone { host } => self.if_host(host, |machine| !machine.tombstone),
            Proof::DatabaseStopped { host } => self.if_host(host, |machine| {
                matches!(
                    machine.database.postmaster,
                    Postmaster::Stopped
                        | Postmaster::Crashed
                        | Postmaster::Broken
                        | Postmaster::NeverStarted
                )
            }),
            Proof::DatabaseAnswers { host } => {
                self.if_host(host, |machine| machine.database.postmaster == Postmaster::Running)
            }
            Proof::LossWithin { host, reached, budget_bytes } => self
                .if_host(host, |machine| machine.database.lsn().behind(*reached) <= *budget_bytes),
            Proof::ReplayedAll { host } => self.if_host(host, |machine| {
                machine.database.postmaster == Postmaster::Running
                    && !machine.database.replay_paused
            }),
            Proof::IsPrimary { host, after } => self.if_host(host, |machine| {
                machine.database.postmaster == Postmaster::Running
                    && !machine.database.in_recovery
                    && machine.database.timeline > *after
            }),
            Proof::CanWrite { host } => {
                self.if_host(host, |machine| machine.database.accepts_writes())
            }
            Proof::TombstoneStands { host } => self.if_host(host, |machine| machine.tombstone),
            Proof::ServiceReady { host, service } => {
                self.if_host(host, |machine| machine.runs(service))
            }
            Proof::ServiceStopped { host, service } => {
                self.if_host(host, |machine| !machine.runs(service))
            }
        }
    }

    fn prove_out(&self, name: &ProxyName, host: &HostName) -> Answer {
        let proxy = &self.proxies[name];
        let out = if proxy.running {
            proxy.runtime.get(host) != Some(&Admission::LetIn)
        } else {
            proxy.file.get(host) != Some(&Admission::LetIn)
        };
        self.if_proxy(name, out, "still in rotation")
    }

    fn if_proxy(&self, name: &ProxyName, so: bool, otherwise: &str) -> Answer {
        let proxy = &self.proxies[name];
        if !self.network.passes(OBSERVER, name.as_str()) || !proxy.powered {
            return Answer::Unknown(format!("{name} does not answer"));
        }
        if so {
            Answer::Shown("read back".to_owned())
        } else {
            Answer::NotYet(otherwise.to_owned())
        }
    }

    fn if_host(&self, host: &HostName, so: impl FnOnce(&Machine) -> bool) -> Answer {
        if !self.ssh_works(host) {
            return Answer::Unknown(format!("{host} does not answer"));
        }
        let machine = self.machine(host);
        if so(machine) {
            Answer::Shown("seen".to_owned())
        } else {
            Answer::NotYet("not yet".to_owned())
        }
    }
}

impl crate::machine::Database {
    fn clone_position(&self) -> (observer_core::words::Timeline, usize) {
        (self.timeline, self.rows.len())
    }
}

impl Proxy {
    fn set_runtime(&mut self, host: &HostName, admission: Admission) -> Reply {
        if !self.running {
            return Reply::Refused("HAProxy is not running".to_owned());
        }
        self.runtime.insert(host.clone(), admission);
        if admission == Admission::LetIn {
            self.failing.insert(host.clone(), 0);
        }
        Reply::Did
    }

    fn let_in_only(&mut self, host: &HostName) -> Reply {
        let others: Vec<HostName> =
            self.runtime.keys().filter(|other| *other != host).cloned().collect();
        for other in others {
            self.set_runtime(&other, Admission::TakenOut);
        }
        self.set_runtime(host, Admission::LetIn)
    }

    /// A proxy that does not run must not let the host in when it is started again.
    fn file_if_stopped(&mut self, host: &HostName, admission: Admission) {
        if !self.running {
            self.file.insert(host.clone(), admission);
        }
    }
}

fn see_write(machine: &Machine) -> Option<Result<Seen, Silent>> {
    let database = &machine.database;
    match database.postmaster {
        Postmaster::Hung => None,
        Postmaster::Running if database.disk_full => {
            Some(Ok(Seen::CannotWrite("no space left on device".to_owned())))
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
