//! How the simulated world shows proofs: what is true at the moment of asking.

use observer_core::drive::Answer;
use observer_core::plan::Proof;
use observer_core::sighting::UnitState;
use observer_core::words::{HostName, ProxyName};

use crate::machine::{Job, LastWords, Machine, Postmaster, Power, Task};
use crate::network::OBSERVER;
use crate::world::World;

impl World {
    /// Looks for a proof now.
    pub fn prove(&self, proof: &Proof) -> Answer {
        match proof {
            Proof::IsOut { .. }
            | Proof::IsIn { .. }
            | Proof::Drained { .. }
            | Proof::SharedDrained { .. }
            | Proof::FileSays { .. }
            | Proof::FileKeepsOut { .. } => self.prove_at_proxy(proof),
            Proof::BouncerPaused { .. } | Proof::BouncerRuns { .. } => self.prove_at_bouncer(proof),
            Proof::MonitorSays { .. } | Proof::NoSessions { .. } => self.prove_monitor(proof),
            Proof::PoweredOff { host } => self.prove_power(host, |power| power == Power::Off),
            Proof::PoweredOn { host } => self.prove_power(host, |power| power != Power::Off),
            Proof::LagWithin { .. }
            | Proof::ReplayedShutdown { .. }
            | Proof::Streams { .. }
            | Proof::Cloned { .. }
            | Proof::Synchronous { .. }
            | Proof::OnHistoryOf { .. } => self.prove_between(proof),
            Proof::NoTombstone { .. }
            | Proof::TombstoneStands { .. }
            | Proof::Follows { .. }
            | Proof::SlotStands { .. }
            | Proof::NoSlot { .. }
            | Proof::DivergedKept { .. }
            | Proof::LeaseRuns { .. }
            | Proof::NoLease { .. }
            | Proof::NotAtBoot { .. }
            | Proof::PassClean { .. }
            | Proof::NoPass { .. }
            | Proof::ServiceReady { .. }
            | Proof::ServiceRuns { .. }
            | Proof::ServiceStopped { .. } => self.prove_beside(proof),
            Proof::Appointed { .. } => Answer::Shown("the journal says so".to_owned()),
            Proof::CanServe { host } => self.prove_can_serve(host),
            _ => self.prove_of_database(proof),
        }
    }

    /// Proofs at a proxy.
    fn prove_at_proxy(&self, proof: &Proof) -> Answer {
        match proof {
            Proof::IsOut { proxy, host } => self.prove_out(proxy, host),
            Proof::IsIn { proxy, host, everywhere } => {
                let is_in = self.proxies[proxy].says(host, everywhere);
                self.if_proxy(proxy, is_in, "not in rotation")
            }
            Proof::Drained { proxy, host } => match self.prove_out(proxy, host) {
                Answer::Shown(_) if self.proxies[proxy].busy => {
                    Answer::NotYet("1 request has not finished".to_owned())
                }
                answer => answer,
            },
            Proof::SharedDrained { proxy } => {
                let held = &self.proxies[proxy];
                let so = !held.busy && !held.shares_with_anybody();
                self.if_proxy(proxy, so, "1 request has not finished")
            }
            Proof::FileSays { proxy, master, everywhere } => {
                let so = self.proxies[proxy].file_says(master, everywhere);
                self.if_proxy(proxy, so, "the file says otherwise")
            }
            Proof::FileKeepsOut { proxy, host } => {
                let out = self.proxies[proxy].file_keeps_out(host);
                self.if_proxy(proxy, out, "the file lets it in")
            }
            _ => Answer::Unknown("not a proof at a proxy".to_owned()),
        }
    }

    /// Proofs of what one database is.
    fn prove_of_database(&self, proof: &Proof) -> Answer {
        match proof {
            Proof::DatabaseStopped { host } => self.if_host(host, |machine| {
                matches!(
                    machine.database.postmaster,
                    Postmaster::Stopped
                        | Postmaster::Crashed
                        | Postmaster::Broken
                        | Postmaster::NeverStarted
                )
            }),
            Proof::ShutDown { host } => self.if_host(host, |machine| {
                let standby = machine.database.postmaster == Postmaster::Running
                    && machine.database.in_recovery;
                machine.database.postmaster == Postmaster::Stopped || standby
            }),
            Proof::CheckpointNear { host, .. } | Proof::TimelineSettled { host } => {
                self.if_host(host, |_| true)
            }
            Proof::NotPromoted { host } => match self.machine(host).database.postmaster {
                Postmaster::Running | Postmaster::Starting(_) | Postmaster::Hung => {
                    self.if_host(host, |_| false)
                }
                _ if self.machine(host).tombstone => self.if_host(host, |_| true),
                _ if self.ssh_works(host) => Answer::Failed("it was promoted".to_owned()),
                _ => self.if_host(host, |_| false),
            },
            Proof::DatabaseAnswers { host } => {
                self.if_host(host, |machine| machine.database.postmaster == Postmaster::Running)
            }
            Proof::UnitSettled { host } => {
                self.if_host(host, |machine| machine.database_unit() != UnitState::Activating)
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
                let waits = self.commits_wait(host);
                self.if_host(host, |machine| machine.database.accepts_writes() && !waits)
            }
            _ => Answer::Unknown("not a proof of a database".to_owned()),
        }
    }

    /// Proofs of what lies beside a database: its files, its slots, the services.
    fn prove_beside(&self, proof: &Proof) -> Answer {
        match proof {
            Proof::ServiceReady { host, .. }
            | Proof::ServiceRuns { host, .. }
            | Proof::ServiceStopped { host, .. }
                if self.machine(host).deaf =>
            {
                Answer::Unknown(format!("{host}: systemd does not answer"))
            }
            Proof::NoTombstone { host } => self.if_host(host, |machine| !machine.tombstone),
            Proof::Follows { host, upstream } => self.if_host(host, |machine| {
                machine.tombstone && machine.database.upstream.as_ref() == Some(upstream)
            }),
            Proof::SlotStands { host, follower } => {
                self.if_host(host, |machine| machine.database.slots.contains(follower))
            }
            Proof::NoSlot { host, follower } => {
                self.if_host(host, |machine| !machine.database.slots.contains(follower))
            }
            Proof::LeaseRuns { host } => {
                let asked = self.spec.policy.lease_ms;
                let runs = |machine: &Machine| machine.lease.as_ref().map(|lease| lease.length_ms);
                self.if_host(host, |machine| asked.is_some() && runs(machine) == asked)
            }
            Proof::PassClean { host, kind, epoch, .. } if self.ssh_works(host) => {
                self.machine(host).files.shows_clean((*epoch, *kind))
            }
            Proof::NoPass { host } => self.if_host(host, |machine| machine.files.pass.is_none()),
            Proof::NotAtBoot { host, service } => {
                self.if_host(host, |machine| !machine.enabled.contains(service))
            }
            Proof::NoLease { host } => self.if_host(host, |machine| machine.lease.is_none()),
            Proof::DivergedKept { host, source } => {
                let master = source.as_ref().map(|source| &self.machine(source).database);
                self.if_host(host, |machine| {
                    let database = &machine.database;
                    let has_nothing = database.postmaster == Postmaster::Stopped
                        && master.is_some_and(|master| master.rows.starts_with(&database.rows));
                    database.kept || has_nothing
                })
            }
            Proof::TombstoneStands { host } => self.if_host(host, |machine| machine.tombstone),
            Proof::ServiceReady { host, service } if self.ssh_works(host) => {
                let machine = self.machine(host);
                match (machine.runs(service), machine.is_ready(service)) {
                    (true, false) => Answer::NotYet("status 503: starting".to_owned()),
                    (true, true) => Answer::Shown("status 200".to_owned()),
                    (false, _) => Answer::NotYet("its unit is stopped".to_owned()),
                }
            }
            Proof::ServiceReady { host, service } | Proof::ServiceRuns { host, service } => {
                self.if_host(host, |machine| machine.runs(service))
            }
            Proof::ServiceStopped { host, service } => {
                self.if_host(host, |machine| !machine.runs(service))
            }
            _ => Answer::Unknown("not a proof of files or services".to_owned()),
        }
    }

    /// Proofs that hold one host against another.
    fn prove_between(&self, proof: &Proof) -> Answer {
        match proof {
            Proof::LagWithin { host, master, bytes } => {
                let master = self.machine(master);
                let reached = master.database.lsn();
                if master.database.postmaster != Postmaster::Running {
                    return Answer::Shown("there is no primary to be near to".to_owned());
                }
                self.if_host(host, |machine| {
                    let lag = machine.database.lsn().behind(reached);
                    machine.database.heard_at.is_some() && lag <= *bytes
                })
            }
            Proof::ReplayedShutdown { host, master } => {
                let master = &self.machine(master).database;
                self.if_host(host, |machine| {
                    let standby = &machine.database;
                    let runs = standby.postmaster == Postmaster::Running;
                    let whole = master.postmaster == Postmaster::Stopped
                        && master.last_words == LastWords::Sent
                        && standby.rows == master.rows
                        && !standby.replay_paused;
                    runs && whole && standby.in_recovery
                })
            }
            Proof::Streams { host, upstream } => match self.cannot_stream(host, upstream) {
                true => Answer::Never("no start makes it stream".to_owned()),
                false => self.prove_streams(host, upstream),
            },
            Proof::Cloned { host, upstream } => {
                let answer = self.prove_streams(host, upstream);
                self.unless_failed(host, &Task::Clone(upstream.clone()), answer)
            }
            Proof::Synchronous { host, standby } => {
                let waits = standby.is_some() && self.commits_wait(host);
                self.if_host(host, |machine| machine.database.waits_for == *standby && !waits)
            }
            Proof::OnHistoryOf { host, source } => {
                let master = &self.machine(source).database;
                let answer = self.if_host(host, |machine| {
                    let database = &machine.database;
                    let clean = database.postmaster == Postmaster::Stopped
                        && master.rows.starts_with(&database.rows);
                    clean || database.rewound
                });
                self.unless_failed(host, &Task::Rewind(source.clone()), answer)
            }
            _ => Answer::Unknown("not a proof between hosts".to_owned()),
        }
    }

    /// True of a database that is down, could not be rewound, and holds what its master does not.
    fn cannot_stream(&self, host: &HostName, upstream: &HostName) -> bool {
        let (machine, master) = (self.machine(host), &self.machine(upstream).database);
        let own = &machine.database;
        let tried =
            matches!(machine.job, Job::Done(Task::Rewind(_)) | Job::Failed(Task::Rewind(_), _));
        let down = matches!(own.postmaster, Postmaster::Stopped | Postmaster::Crashed);
        down && tried && !own.rewound && !master.rows.starts_with(&own.rows)
    }

    fn prove_streams(&self, host: &HostName, upstream: &HostName) -> Answer {
        let source = self.machine(upstream).database.clone_position();
        self.if_host(host, |machine| {
            let standby = &machine.database;
            standby.postmaster == Postmaster::Running
                && standby.in_recovery
                && standby.heard_at.is_some()
                && standby.timeline == source.0
        })
    }

    /// What is not shown and was tried in vain will not show.
    fn unless_failed(&self, host: &HostName, task: &Task, answer: Answer) -> Answer {
        match (&self.machine(host).job, answer) {
            (Job::Failed(failed, why), Answer::NotYet(_)) if failed == task => {
                Answer::Failed((*why).to_owned())
            }
            (Job::Done(done @ Task::Rewind(_)), Answer::NotYet(_)) if done == task => {
                Answer::Failed("not rewound".to_owned())
            }
            (Job::None, Answer::NotYet(_)) => Answer::Failed("no longer running".to_owned()),
            (_, answer) => answer,
        }
    }

    fn prove_out(&self, name: &ProxyName, host: &HostName) -> Answer {
        let out = self.proxies[name].is_out(host);
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

    pub(crate) fn if_host(&self, host: &HostName, so: impl FnOnce(&Machine) -> bool) -> Answer {
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
