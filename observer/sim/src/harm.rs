//! What faults do to the world.

use observer_core::policy::{Placement, Probed};
use observer_core::sighting::Admission;
use observer_core::words::{At, HostName};

use crate::disk::Disk;
use crate::fault::Fault;
use crate::machine::{OnPromote, Postmaster, Power, Running, ServiceState, Switch, Warmup};
use crate::network::OBSERVER;
use crate::world::World;

impl World {
    /// Does a fault to the world. True if a connection of the observer's breaks audibly.
    pub fn harm(&mut self, fault: Fault, now: At) -> bool {
        match fault {
            Fault::Cut(a, b) => self.network.cut(&a, &b),
            Fault::Heal(a, b) => self.network.heal(&a, &b),
            Fault::Isolate(node) => self.network.isolate(&node),
            Fault::Join(node) => self.network.join(&node),
            Fault::HealNetwork => self.network.heal_all(),
            Fault::StopHaproxy(proxy) => self.proxy_mut(&proxy).running = false,
            Fault::StartHaproxy(proxy) => self.proxy_mut(&proxy).start(),
            Fault::PowerOffProxy(proxy) => self.proxy_mut(&proxy).powered = false,
            Fault::PowerOnProxy(proxy) => {
                let proxy = self.proxy_mut(&proxy);
                proxy.powered = true;
                proxy.start();
            }
            Fault::LetFinish(proxy) => self.proxy_mut(&proxy).busy = false,
            Fault::NeverFinish(proxy) => self.proxy_mut(&proxy).busy = true,
            Fault::EditRuntime(proxy, host) => {
                self.proxy_mut(&proxy).runtime.insert(host, Admission::LetIn);
            }
            Fault::TakeOutByHand(proxy, host) => {
                self.proxy_mut(&proxy).runtime.insert(host, Admission::TakenOut);
            }
            Fault::TakeOutShared(proxy, host) => {
                self.proxy_mut(&proxy).shared_runtime.insert(host, Admission::TakenOut);
            }
            Fault::DrainAtProxy(proxy, host) => {
                let proxy = self.proxy_mut(&proxy);
                for table in [&mut proxy.runtime, &mut proxy.shared_runtime] {
                    table.entry(host.clone()).and_modify(|state| *state = Admission::Draining);
                }
            }
            Fault::WriteOutShared(proxy, host) => {
                self.proxy_mut(&proxy).shared_file.insert(host, Admission::TakenOut);
            }
            Fault::EditFile(proxy, host) => {
                self.proxy_mut(&proxy).file.insert(host, Admission::LetIn);
            }
            Fault::StopBouncer(_)
            | Fault::StartBouncer(_)
            | Fault::PowerOffBouncer(_)
            | Fault::PowerOnBouncer(_)
            | Fault::PauseBouncer(_)
            | Fault::ResumeBouncer(_)
            | Fault::NeverCommit(_)
            | Fault::LetCommit(_) => self.harm_bouncer(fault),
            Fault::WriteMonitor(..)
            | Fault::LockMonitor(_)
            | Fault::UnlockMonitor(_)
            | Fault::OpenSessions(..) => self.harm_monitor(fault),
            other => return self.harm_host(other, now),
        }
        false
    }

    /// Boots a machine; of the managed units those start that somebody has enabled.
    pub(crate) fn boot(&mut self, host: &HostName, now: At) {
        self.machine_mut(host).boot();
        for unit in self.machine(host).enabled.clone() {
            match unit {
                Some(service) => {
                    self.machine_mut(host).start_service(&service, now);
                    self.started_by_hand.insert(host.clone());
                }
                None => self.start_database(host, now),
            }
        }
    }

    fn harm_host(&mut self, fault: Fault, now: At) -> bool {
        match fault {
            Fault::PowerOff(host) => self.machine_mut(&host).lose_power(Power::Off),
            Fault::CrashHost(host) => {
                self.machine_mut(&host).lose_power(Power::Crashed);
                return self.network.passes(OBSERVER, host.as_str());
            }
            Fault::PowerOn(host) if !self.machine(&host).is_up() => {
                self.boot(&host, now);
            }
            Fault::Enable(host, unit) => {
                self.machine_mut(&host).enabled.insert(unit);
            }
            Fault::BreakSwitch(host) => self.machine_mut(&host).switch = Switch::Broken,
            Fault::DeafenSwitch(host) => self.machine_mut(&host).switch = Switch::Deaf,
            Fault::SlowSwitch(host) => self.machine_mut(&host).switch = Switch::Slow,
            Fault::MendSwitch(host) => self.machine_mut(&host).switch = Switch::Works,
            Fault::KillApplication(host) => self.application(&host, ServiceState::Failed),
            Fault::BreakApplication(host) => self.application(&host, ServiceState::Broken),
            Fault::StopApplication(host) => self.application(&host, ServiceState::Stopped),
            Fault::Singletons(host, state) => {
                self.singletons(&host, state);
                self.started_by_hand.insert(host);
            }
            Fault::WarmUp(host, service, warmup) => {
                self.machine_mut(&host).warmups.insert(service, warmup);
            }
            Fault::LoseReadiness(host, service) => {
                self.machine_mut(&host).warming.insert(service, Warmup::Never);
            }
            Fault::GainReadiness(host, service) => {
                let machine = self.machine_mut(&host);
                machine.warmups.remove(&service);
                machine.warming.remove(&service);
            }
            Fault::LetStop(host) => self.machine_mut(&host).stubborn = false,
            Fault::RefuseToStop(host) => self.machine_mut(&host).stubborn = true,
            Fault::KillSshd(host) => {
                self.machine_mut(&host).sshd = Running::No;
                return true;
            }
            Fault::HangBoot(host) => self.machine_mut(&host).boots = true,
            Fault::EndBoot(host) => self.machine_mut(&host).boots = false,
            Fault::ForbidForwarding(host) => self.machine_mut(&host).no_way_on = true,
            Fault::Freeze(host) => self.machine_mut(&host).frozen = true,
            Fault::Thaw(host) => self.machine_mut(&host).frozen = false,
            Fault::DeafenSystemd(host) => self.machine_mut(&host).deaf = true,
            Fault::MendSystemd(host) => self.machine_mut(&host).deaf = false,
            Fault::StartSshd(host) => self.machine_mut(&host).sshd = Running::Yes,
            Fault::ChangeHostKey(host) => {
                self.machine_mut(&host).key_changed = true;
                return true;
            }
            Fault::Overload(host) => self.machine_mut(&host).overloaded = true,
            Fault::Relieve(host) => self.machine_mut(&host).overloaded = false,
            Fault::Garble(host) => self.machine_mut(&host).garbled = true,
            Fault::Ungarble(host) => self.machine_mut(&host).garbled = false,
            other => return self.harm_database(other, now),
        }
        false
    }

    fn harm_database(&mut self, fault: Fault, now: At) -> bool {
        match fault {
            Fault::KillDatabase(host) => return self.end_database(&host, Postmaster::Crashed),
            Fault::BreakDatabase(host) => return self.end_database(&host, Postmaster::Broken),
            Fault::StopDatabase(host) => return self.end_database(&host, Postmaster::Stopped),
            Fault::HangDatabase(host) => {
                self.turn(&host, Postmaster::Running, Postmaster::Hung);
            }
            Fault::WakeDatabase(host) => {
                self.turn(&host, Postmaster::Hung, Postmaster::Running);
            }
            Fault::MendDatabase(host) => self.turn(&host, Postmaster::Broken, Postmaster::Crashed),
            Fault::StartDatabase(host) => {
                self.turn(&host, Postmaster::Broken, Postmaster::Crashed);
                self.start_database(&host, now);
            }
            Fault::RestartDatabase(host) => {
                self.machine_mut(&host).end_database(Postmaster::Stopped);
                self.start_database(&host, now);
                return true;
            }
            Fault::PromoteByHand(host) => self.promote_by_hand(host),
            Fault::StartWithoutSignal(host) => self.start_without_signal(host),
            Fault::FollowByHand(host, upstream) => {
                self.follow_by_hand(host, upstream, now);
                return true;
            }
            Fault::TurnLicence(host, to) => self.machine_mut(&host).files.set_licence(to),
            Fault::DeleteFiles(host) => self.machine_mut(&host).files.delete_half(),
            Fault::HangPasses(host) => self.machine_mut(&host).files.hangs = true,
            Fault::LetPassesEnd(host) => self.machine_mut(&host).files.hangs = false,
            Fault::FillFiles(host) => self.machine_mut(&host).files.full = true,
            Fault::FreeFiles(host) => self.machine_mut(&host).files.full = false,
            Fault::KillPass(host) => self.machine_mut(&host).files.pass = None,
            Fault::TurnMount(host, mount) => self.machine_mut(&host).mount = mount.begun(now),
            Fault::FillDisk(host) => self.machine_mut(&host).database.disk = Disk::Full,
            Fault::FailDisk(host) => self.machine_mut(&host).database.disk = Disk::Failing,
            Fault::FillLogDisk(host) => self.machine_mut(&host).database.disk = Disk::LogFull,
            Fault::NearlyFillDisk(host) => self.machine_mut(&host).database.disk = Disk::Low,
            Fault::LetDiskFill(host) => {
                self.machine_mut(&host).database.disk = Disk::Filling(now);
            }
            Fault::FreeDisk(host) => self.machine_mut(&host).database.disk = Disk::Roomy,
            Fault::PauseReplay(host) => self.machine_mut(&host).database.replay_paused = true,
            Fault::DropSlot(host, follower) => {
                self.machine_mut(&host).database.slots.remove(&follower);
                self.machine_mut(&follower).database.heard_at = None;
            }
            Fault::LoseLog(host) => self.machine_mut(&host).database.log_gone = true,
            Fault::LockOut(host) => self.machine_mut(&host).database.locked_out = true,
            Fault::LetLogIn(host) => self.machine_mut(&host).database.locked_out = false,
            Fault::RefusePromotion(host) => {
                self.machine_mut(&host).database.on_promote = OnPromote::Refuses;
            }
            Fault::AllowPromotion(host) => {
                self.machine_mut(&host).database.on_promote = OnPromote::Obeys;
            }
            Fault::IgnorePromotion(host) => {
                self.machine_mut(&host).database.on_promote = OnPromote::Ignores;
            }
            Fault::StallReplication(host) => self.machine_mut(&host).database.stalled = true,
            Fault::ResumeReplication(host) => {
                let database = &mut self.machine_mut(&host).database;
                database.stalled = false;
                database.replay_paused = false;
            }
            _ => {}
        }
        false
    }

    fn promote_by_hand(&mut self, host: HostName) {
        // Its end of recovery is the first it writes of its own.
        let own = u64::MAX - self.promoted_by_hand.len() as u64;
        let machine = self.machine_mut(&host);
        let was_standby = machine.database.in_recovery;
        machine.promote();
        if was_standby && !machine.database.in_recovery {
            machine.database.rows.push(own);
        }
        self.promoted_by_hand.push(host);
    }

    fn start_without_signal(&mut self, host: HostName) {
        let own = u64::MAX - self.promoted_by_hand.len() as u64;
        let machine = self.machine_mut(&host);
        machine.tombstone = false;
        machine.end_database(Postmaster::Running);
        machine.database.in_recovery = false;
        machine.database.rows.push(own);
        self.promoted_by_hand.push(host);
    }

    fn follow_by_hand(&mut self, host: HostName, upstream: HostName, now: At) {
        let machine = self.machine_mut(&host);
        machine.tombstone = true;
        machine.database.upstream = Some(upstream.clone());
        machine.end_database(Postmaster::Stopped);
        machine.start_database(now);
        self.machine_mut(&upstream).database.slots.insert(host);
    }

    /// What a person does who finds the master stopped: starts it with everything on it.
    pub fn start_by_hand(&mut self, host: &HostName, now: At) {
        let services: Vec<_> = self.spec.services.iter().map(|s| s.name.clone()).collect();
        let machine = self.machine_mut(host);
        if matches!(machine.database.postmaster, Postmaster::Stopped | Postmaster::Broken) {
            machine.database.postmaster = Postmaster::Crashed;
            self.start_database(host, now);
        }
        for service in services {
            self.machine_mut(host).start_service(&service, now);
        }
    }

    fn turn(&mut self, host: &HostName, from: Postmaster, to: Postmaster) {
        let database = &mut self.machine_mut(host).database;
        if database.postmaster == from {
            database.postmaster = to;
        }
    }

    fn end_database(&mut self, host: &HostName, how: Postmaster) -> bool {
        let machine = self.machine_mut(host);
        let ran = matches!(machine.database.postmaster, Postmaster::Running | Postmaster::Hung);
        if ran && how == Postmaster::Broken {
            machine.database.postmaster = Postmaster::Broken;
            machine.database.heard_at = None;
        } else {
            machine.end_database(how);
        }
        ran && self.network.passes(OBSERVER, host.as_str())
    }

    fn singletons(&mut self, host: &HostName, state: ServiceState) {
        let services = self.spec.services.iter();
        let names: Vec<_> =
            services.filter(|s| s.placement == Placement::Master).map(|s| s.name.clone()).collect();
        let machine = self.machine_mut(host);
        if machine.is_up() {
            machine.services.extend(names.into_iter().map(|name| (name, state)));
        }
    }

    fn application(&mut self, host: &HostName, state: ServiceState) {
        let probed = self.spec.services.iter().find(|service| service.probed == Probed::Health);
        let Some(name) = probed.map(|service| service.name.clone()) else { return };
        let machine = self.machine_mut(host);
        if machine.is_up() {
            machine.services.insert(name, state);
        }
    }
}
