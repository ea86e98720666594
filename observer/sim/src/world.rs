//! The whole simulated world, and how it answers looks, effects and proofs.
//!
//! It only answers for what is true at the moment of asking; delay, loss and order are `run`'s.

use std::collections::{BTreeMap, BTreeSet};

use observer_core::drive::Reply;
use observer_core::files::{Deletions, PassOrder};
use observer_core::plan::{Effect, Sessions, Stop};
use observer_core::policy::{PairSpec, Probed};
use observer_core::words::{At, BouncerName, Epoch, HostName, ProxyName, Timeline};

use crate::bouncer::Bouncer;
use crate::lease::LeaseEnd;
use crate::machine::{Job, Machine, OnPromote, Postmaster, Power, Running, ServiceState, Task};
use crate::network::{Network, OBSERVER};
use crate::proxy::Proxy;

/// The world.
#[derive(Clone, Debug)]
pub struct World {
    /// The pair's members.
    pub spec: PairSpec,
    /// The hosts.
    pub machines: BTreeMap<HostName, Machine>,
    /// The proxies.
    pub proxies: BTreeMap<ProxyName, Proxy>,
    /// The PgBouncers.
    pub bouncers: BTreeMap<BouncerName, Bouncer>,
    /// The links.
    pub network: Network,
    /// Which promotions were carried out: by which epoch, of which host.
    pub promotions: Vec<(u64, HostName)>,
    /// Which hosts people promoted by hand.
    pub promoted_by_hand: Vec<HostName>,
    /// On which hosts people started or stopped singletons by hand.
    pub started_by_hand: BTreeSet<HostName>,
    /// Which hosts stopped themselves because their lease was over.
    pub leases_ended: Vec<LeaseEnd>,
    /// Whether the guard is in place on every host.
    pub guarded: Running,
    /// How often it refused a start.
    pub guard_refusals: u32,
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
        let mut machines: BTreeMap<HostName, Machine> = spec.hosts.iter().map(machine).collect();
        for slave in spec.others(&master) {
            machines.entry(slave.clone()).and_modify(|machine| {
                machine.database.upstream = Some(master.clone());
            });
            machines.entry(master.clone()).and_modify(|machine| {
                machine.database.slots.insert(slave.clone());
            });
        }
        Self {
            machines,
            proxies: spec
                .proxies
                .iter()
                .map(|name| {
                    let proxy = Proxy::new(&spec.hosts, &master);
                    let shares = spec.sharing.contains(name);
                    let proxy = match (shares, spec.has_external_database()) {
                        (false, _) => proxy,
                        (true, false) => proxy.sharing(),
                        (true, true) => proxy.sharing().sharing_alone(),
                    };
                    (name.clone(), proxy)
                })
                .collect(),
            bouncers: spec.bouncers.iter().map(|name| (name.clone(), Bouncer::new())).collect(),
            network: Network::default(),
            promotions: Vec::new(),
            promoted_by_hand: Vec::new(),
            started_by_hand: BTreeSet::new(),
            leases_ended: Vec::new(),
            guarded: Running::No,
            guard_refusals: 0,
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

    /// True if the application on `host` serves: every service that answers for it is ready.
    pub fn application_serves(&self, host: &HostName) -> bool {
        let machine = self.machine(host);
        let probed = self.spec.services.iter().filter(|s| s.probed == Probed::Health);
        machine.is_up()
            && !machine.frozen
            && probed.into_iter().all(|service| machine.is_ready(&service.name))
    }

    /// True if a user at `proxy` would have a write committed on `host`.
    pub fn users_can_write(&self, proxy: &ProxyName, host: &HostName) -> bool {
        if self.spec.has_external_database() {
            return self.external_users_can_write(proxy, host);
        }
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
        if self.spec.has_external_database() {
            return self.network.passes(proxy.as_str(), host.as_str())
                && self.serves_with_external(host);
        }
        machine.is_up()
            && self.network.passes(proxy.as_str(), host.as_str())
            && machine.database.postmaster == Postmaster::Running
            && (!machine.database.in_recovery || self.spec.sharing.contains(proxy))
            && self.application_serves(host)
    }

    /// Lets databases start and standbys receive.
    pub fn pass(&mut self, now: At) {
        for machine in self.machines.values_mut() {
            machine.pass(now);
        }
        self.check_leases(now);
        self.end_jobs(now);
        self.end_passes_due(now);
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
            if !self.follows(&host, &primary, source) {
                continue;
            }
            let held = self.machine(&host).database.rows.len();
            let master = &self.machine(&primary).database;
            let (missing, history) = (master.rows[held..].to_vec(), master.history.clone());
            let standby = &mut self.machine_mut(&host).database;
            standby.rows.extend(missing);
            standby.timeline = source.0;
            standby.history = history;
            standby.heard_at = Some(now);
        }
    }

    /// True if a commit on `host` would wait for a standby that does not take it.
    pub fn commits_wait(&self, host: &HostName) -> bool {
        let database = &self.machine(host).database;
        let Some(standby) = &database.waits_for else { return false };
        !self.follows(standby, host, database.clone_position())
    }

    /// Hands every row to the standbys that follow, as a commit does that waits for one.
    pub fn replicate_now(&mut self, now: At) {
        self.replicate(now);
    }

    /// True if the standby on `host` streams from `primary`: told to, let in, and of its history.
    fn follows(&self, host: &HostName, primary: &HostName, source: (Timeline, usize)) -> bool {
        let machine = self.machine(host);
        let standby = &machine.database;
        let tries = machine.is_up()
            && standby.postmaster == Postmaster::Running
            && standby.in_recovery
            && standby.upstream.as_ref() == Some(primary)
            && !standby.stalled
            && !standby.locked_out
            && self.network.passes(primary.as_str(), host.as_str());
        let master = &self.machine(primary).database;
        let fits = standby.timeline <= source.0 && standby.rows.len() <= source.1;
        if !tries || !fits || !master.slots.contains(host) {
            return false;
        }
        // One that streams already is known to be of the same history. PostgreSQL goes by it, and
        // takes what was written beside the master, on its own timeline, for the master's.
        let same_history = (standby.timeline, &standby.history) == (source.0, &master.history);
        standby.heard_at.is_some() || same_history || master.rows.starts_with(&standby.rows)
    }

    /// Performs an effect now. None: the way there is silent, so nothing is done or answered.
    pub fn perform(&mut self, effect: &Effect, epoch: u64, now: At) -> Option<Reply> {
        match effect {
            Effect::Look => Some(Reply::Did),
            Effect::TakeOut { proxy, host, sessions } => {
                let reply = self.at_proxy(proxy, |proxy| proxy.take_out(host));
                if reply == Some(Reply::Did) && *sessions != Sessions::Finish {
                    self.end_sessions(host);
                }
                reply
            }
            Effect::HoldShared { proxy } => self.at_proxy(proxy, Proxy::hold_shared),
            Effect::LetIn { proxy, host, everywhere } => {
                self.at_proxy(proxy, |proxy| proxy.let_in_only(host, everywhere))
            }
            Effect::Rewrite { proxy, master, everywhere } => {
                self.at_proxy(proxy, |proxy| proxy.rewrite(master, everywhere))
            }
            Effect::KeepOut { proxy, host } => self.at_proxy(proxy, |proxy| proxy.keep_out(host)),
            Effect::PauseBouncer { .. } | Effect::ResumeBouncer { .. } => self.at_bouncer(effect),
            Effect::Promote { host } => self.promote(host, epoch, now),
            Effect::Appoint { host } => self.appoint(host, epoch),
            Effect::Pass { host, source, set, kind } => {
                let (host, source, set) = (host.clone(), source.clone(), set.clone());
                let (kind, epoch) = (*kind, Epoch(epoch));
                let deletions = Deletions::Limited;
                let order = PassOrder { host, source, set, kind, deletions, epoch };
                self.begin_pass(&order, now)
            }
            Effect::EndPasses { host } => self.on_host(host, |machine| {
                machine.files.end_all(Epoch(epoch));
                Reply::Did
            }),
            Effect::SetLease { host, length_ms } => self.set_lease(host, *length_ms, now),
            Effect::StartDatabase { host } if self.wrote_beside_its_master(host) => {
                self.on_host(host, |_| Reply::Refused("it wrote beside its master".to_owned()))
            }
            Effect::StartDatabase { host } | Effect::RestartDatabase { host } => {
                let reply = self.perform_on_host(effect, now);
                if reply == Some(Reply::Did) {
                    self.start_database(host, now);
                }
                reply
            }
            Effect::Monitor { host, says } => self.write_monitor(host, *says),
            Effect::AwaitBalancers { .. } => Some(Reply::Did),
            Effect::PowerOff { host } => self.power_off(host, now),
            Effect::PowerOn { host } => self.power_on(host, now),
            Effect::StopDatabase { how: Stop::Clean, .. } => {
                // It ends its streams with everything it holds.
                self.replicate(now);
                self.perform_on_host(effect, now)
            }
            effect => self.perform_on_host(effect, now),
        }
    }

    /// True if `host` would start as a standby of a primary on whose timeline it has written.
    fn wrote_beside_its_master(&self, host: &HostName) -> bool {
        let machine = self.machine(host);
        let own = &machine.database;
        let was_primary = own.postmaster == Postmaster::Stopped && !own.in_recovery;
        let mut others = self.spec.others(host).map(|other| self.machine(other));
        let on_its_own = |other: &Machine| {
            let theirs = &other.database;
            other.is_up()
                && theirs.postmaster == Postmaster::Running
                && !theirs.in_recovery
                && theirs.timeline == own.timeline
        };
        machine.tombstone && was_primary && !own.rewound && others.any(on_its_own)
    }

    fn promote(&mut self, host: &HostName, epoch: u64, now: At) -> Option<Reply> {
        let reply = self.on_host(host, |machine| {
            let ready = machine.database.postmaster == Postmaster::Running;
            machine.promote();
            if ready {
                return match machine.database.on_promote {
                    OnPromote::Refuses => Reply::Refused("permission denied".to_owned()),
                    OnPromote::Obeys | OnPromote::Ignores => Reply::Did,
                };
            }
            machine.start_database(now);
            Reply::Refused("was not running".to_owned())
        });
        if reply == Some(Reply::Did) && !self.machine(host).database.in_recovery {
            self.promotions.push((epoch, host.clone()));
        }
        reply
    }

    fn perform_on_host(&mut self, effect: &Effect, now: At) -> Option<Reply> {
        let Some(host) = effect.on_host().cloned() else {
            return Some(Reply::Refused("not done on a host".to_owned()));
        };
        if self.machine(&host).deaf
            && matches!(
                effect,
                Effect::StartService { .. }
                    | Effect::StopService { .. }
                    | Effect::RestartService { .. }
            )
        {
            return None;
        }
        self.on_host(&host, |machine| {
            match effect {
                Effect::StopDatabase { how: Stop::Clean, .. } => {
                    // Without room for the last checkpoint it ends as in a crash.
                    let full =
                        machine.database.disk.refuses_commits() && !machine.database.in_recovery;
                    let end = if full { Postmaster::Crashed } else { Postmaster::Stopped };
                    machine.end_database(end);
                }
                Effect::StopDatabase { how: Stop::Kill, .. } => {
                    machine.end_database(Postmaster::Crashed);
                }
                Effect::RestartDatabase { .. } => {
                    machine.tombstone = false;
                    machine.end_database(Postmaster::Stopped);
                }
                Effect::Follow { upstream, .. } => {
                    machine.tombstone |= machine.database.in_recovery
                        || machine.database.postmaster != Postmaster::Running;
                    if machine.database.upstream.as_ref() != Some(upstream) {
                        machine.database.heard_at = None;
                    }
                    machine.database.upstream = Some(upstream.clone());
                }
                Effect::MakeSlot { follower, .. } => {
                    machine.database.slots.insert(follower.clone());
                }
                Effect::DropSlot { follower, .. } => {
                    machine.database.slots.remove(follower);
                }
                Effect::Synchronise { standby, .. } => {
                    machine.database.waits_for = standby.clone();
                }
                Effect::KeepDiverged { .. } => machine.database.kept = true,
                Effect::Rewind { .. } if matches!(machine.job, Job::Running(Task::Clone(_), _)) => {
                    machine.rewinds_beside_clone += 1;
                    return Reply::Refused("a clone still runs there".to_owned());
                }
                Effect::Rewind { source, .. } => {
                    machine.begin(Task::Rewind(source.clone()), now);
                }
                Effect::Clone { source, .. } => machine.begin(Task::Clone(source.clone()), now),
                Effect::DropLease { .. } => machine.lease = None,
                Effect::DisableAtBoot { service, .. } => {
                    machine.enabled.remove(service);
                }
                Effect::LeaveTombstone { .. } => machine.tombstone = true,
                Effect::LiftTombstone { .. } => machine.tombstone = false,
                Effect::StopService { service, .. } => machine.stop_service(service),
                Effect::StartService { service, .. } => machine.start_service(service, now),
                Effect::RestartService { service, .. } => machine.restart_service(service, now),
                _ => {}
            }
            Reply::Did
        })
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

    pub(crate) fn on_host(
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
}

impl crate::machine::Database {
    pub(crate) fn clone_position(&self) -> (Timeline, usize) {
        (self.timeline, self.rows.len())
    }
}
