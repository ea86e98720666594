//! A plan: immutable ordered steps for one goal and one epoch. No choice is left for execution.
//!
//! This file only says what a plan *is*. `draft` writes plans, `lint` checks them against the
//! safety rules without knowing how they were written, `drive` carries them out.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::facts::Asker;
use crate::judge::Repair;
use crate::policy::FenceGrade;
use crate::words::{At, Epoch, HostName, Lsn, PlanId, ProxyName, ServiceName, Timeline};

/// What a plan is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// Promote the slave because the master does not serve.
    FailOver,
    /// Put a small thing right.
    Repair(Repair),
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Goal::FailOver => "failover",
            Goal::Repair(Repair::StartDatabase) => "start the database in place",
            Goal::Repair(Repair::RestartApplication) => "restart the application",
            Goal::Repair(Repair::StopStaleMaster) => "stop the stale master",
            Goal::Repair(Repair::CorrectProxies) => "correct the proxies",
        })
    }
}

/// The plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Its number.
    pub id: PlanId,
    /// What it is for.
    pub goal: Goal,
    /// The epoch its effects carry; a change of master opens a new one.
    pub epoch: Epoch,
    /// The rule that asked for it.
    pub rule: String,
    /// Who asked.
    pub asker: Asker,
    /// When it was drafted.
    pub drafted_at: At,
    /// When the first sign of the trouble was seen; the report counts from here.
    pub trouble_since: At,
    /// The fence that its pivot needs, by the policy when it was drafted.
    pub fence: FenceGrade,
    /// The master when it was drafted.
    pub master: HostName,
    /// The master when it is done.
    pub next_master: HostName,
    /// What is done, in this order.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Index of the pivot: the one step after which we only go forward.
    pub fn pivot(&self) -> Option<usize> {
        self.steps.iter().position(|step| matches!(step.effect, Effect::Promote { .. }))
    }
}

/// One effect with its proof, the meaning of a lost reply, its undo and its deadline.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Name, stable across plans of one goal: forecasts compare steps of the same name.
    pub name: String,
    /// Whether it is ordered, or looked at first and ordered only if its proof does not show.
    pub first: First,
    /// What is done.
    pub effect: Effect,
    /// What must be seen afterwards. An exit code is only a claim.
    pub proof: Proof,
    /// What to do when no reply comes and the proof does not show.
    pub lost_reply: LostReply,
    /// How it is taken back.
    pub undo: Undo,
    /// What happens if it does not succeed by its deadline.
    pub on_failure: OnFailure,
    /// How long the effect and its proof may take together, in milliseconds.
    pub deadline_ms: u64,
}

/// How a step begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum First {
    /// Its effect is ordered.
    Order,
    /// Its proof is looked for; the effect is ordered only if it does not show. For what is most
    /// likely so already.
    Look,
}

/// The closed list of everything that is ever done to the world.
///
/// Every effect may be repeated: doing it a second time changes nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing: the step is its proof.
    Look,
    /// At the running proxy, put every server of `host` into maintenance.
    TakeOut {
        /// The proxy.
        proxy: ProxyName,
        /// The host that receives no new session.
        host: HostName,
        /// What happens to sessions that are open.
        sessions: Sessions,
    },
    /// At the running proxy, put every server of `host` into rotation, and in the same breath
    /// those of every other host out of it: users are let in to one host or to none.
    LetIn {
        /// The proxy.
        proxy: ProxyName,
        /// The host that receives sessions.
        host: HostName,
    },
    /// Make the proxy's file say that only `master` is let in; check it first, keep the old one.
    Rewrite {
        /// The proxy.
        proxy: ProxyName,
        /// The only host that is let in.
        master: HostName,
    },
    /// Make the proxy's file keep `host` out, so that a HAProxy that is restarted does not let
    /// users in to it again.
    KeepOut {
        /// The proxy.
        proxy: ProxyName,
        /// The host that its file keeps out.
        host: HostName,
    },
    /// Stop the database through its unit.
    StopDatabase {
        /// The host.
        host: HostName,
        /// How hard.
        how: Stop,
    },
    /// Start the database through its unit.
    StartDatabase {
        /// The host.
        host: HostName,
    },
    /// Start the database as the master it was, through its unit: a tombstone is lifted first, and
    /// one that somebody started meanwhile is stopped, since the tombstone made a slave of it.
    RestartDatabase {
        /// The host.
        host: HostName,
    },
    /// End recovery on a standby; a standby that is not running is started first, and the
    /// promotion refused until it answers. The pivot.
    Promote {
        /// The host.
        host: HostName,
    },
    /// Keep the database on `host` from starting as master, whoever starts it.
    LeaveTombstone {
        /// The host.
        host: HostName,
    },
    /// Take the tombstone away again.
    LiftTombstone {
        /// The host.
        host: HostName,
    },
    /// Start a service of the application.
    StartService {
        /// The host.
        host: HostName,
        /// The service.
        service: ServiceName,
    },
    /// Stop a service of the application.
    StopService {
        /// The host.
        host: HostName,
        /// The service.
        service: ServiceName,
    },
    /// Restart a service of the application.
    RestartService {
        /// The host.
        host: HostName,
        /// The service.
        service: ServiceName,
    },
}

/// What happens to sessions open on a server that is taken out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sessions {
    /// They may finish.
    Finish,
    /// They are ended: the host is dead or must not be written to.
    End,
}

/// How a database is stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// In order, with a shutdown checkpoint.
    Clean,
    /// By SIGKILL: it answers nobody, or waiting would cost users.
    Kill,
}

/// What must be seen for a step to count as done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// Read back from the running proxy: no server of `host` takes sessions (or HAProxy is
    /// definitely not running there).
    IsOut {
        /// The proxy.
        proxy: ProxyName,
        /// The host.
        host: HostName,
    },
    /// Read back from the running proxy: every server of `host` takes sessions, and none of any
    /// other host does.
    IsIn {
        /// The proxy.
        proxy: ProxyName,
        /// The host.
        host: HostName,
    },
    /// Read back from the proxy's disk: the file lets only `master` in, and HAProxy accepts it.
    FileSays {
        /// The proxy.
        proxy: ProxyName,
        /// The host.
        master: HostName,
    },
    /// Read back from the proxy's disk: the file keeps `host` out.
    FileKeepsOut {
        /// The proxy.
        proxy: ProxyName,
        /// The host.
        host: HostName,
    },
    /// The database accepts no connection and its unit does not run.
    DatabaseStopped {
        /// The host.
        host: HostName,
    },
    /// The database answers queries.
    DatabaseAnswers {
        /// The host.
        host: HostName,
    },
    /// What the slave has received is near enough to the master's last known position.
    LossWithin {
        /// The slave.
        host: HostName,
        /// The master's last known position.
        reached: Lsn,
        /// How many bytes may be missing up to it.
        budget_bytes: u64,
    },
    /// The slave has replayed everything it received.
    ReplayedAll {
        /// The slave.
        host: HostName,
    },
    /// The database is a primary on a later timeline.
    IsPrimary {
        /// The host.
        host: HostName,
        /// The timeline it must have left behind.
        after: Timeline,
    },
    /// A row was committed, carrying the plan's epoch.
    CanWrite {
        /// The host.
        host: HostName,
    },
    /// The tombstone is there.
    TombstoneStands {
        /// The host.
        host: HostName,
    },
    /// There is no tombstone.
    NoTombstone {
        /// The host.
        host: HostName,
    },
    /// The service's unit is active and its readiness probe, if it has one, passes.
    ServiceReady {
        /// The host.
        host: HostName,
        /// The service.
        service: ServiceName,
    },
    /// The service's unit is not running.
    ServiceStopped {
        /// The host.
        host: HostName,
        /// The service.
        service: ServiceName,
    },
}

/// What to do when an effect's reply is lost and its proof does not show.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LostReply {
    /// Order it again: doing it twice changes nothing.
    Repeat,
    /// Only keep looking.
    LookOnly,
}

/// How a step is taken back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undo {
    /// It changed nothing that needs taking back.
    NothingToUndo,
    /// By this effect, proven by this proof.
    By {
        /// The effect that takes it back.
        effect: Effect,
        /// What must be seen afterwards.
        proof: Proof,
    },
    /// It cannot be taken back: the pivot, and what follows it.
    ForwardOnly,
}

/// What happens if a step does not succeed by its deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// Undo the plan.
    GiveUp,
    /// Say so and go on: what it adds is not needed for what follows.
    GoOn,
    /// Try until it succeeds: past the pivot there is no way back.
    Insist,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Look => f.write_str("look"),
            Effect::TakeOut { proxy, host, sessions: Sessions::Finish } => {
                write!(f, "take {host} out at {proxy}")
            }
            Effect::TakeOut { proxy, host, sessions: Sessions::End } => {
                write!(f, "take {host} out at {proxy} and end its sessions")
            }
            Effect::LetIn { proxy, host } => write!(f, "let users in to {host} at {proxy}"),
            Effect::Rewrite { proxy, master } => {
                write!(f, "make haproxy.cfg on {proxy} say {master}")
            }
            Effect::KeepOut { proxy, host } => {
                write!(f, "make haproxy.cfg on {proxy} keep {host} out")
            }
            Effect::LiftTombstone { host } => write!(f, "lift the tombstone on {host}"),
            Effect::StopDatabase { host, how: Stop::Clean } => write!(f, "stop database on {host}"),
            Effect::StopDatabase { host, how: Stop::Kill } => write!(f, "kill database on {host}"),
            Effect::StartDatabase { host } => write!(f, "start database on {host}"),
            Effect::RestartDatabase { host } => write!(f, "restart database on {host}"),
            Effect::Promote { host } => write!(f, "promote {host}"),
            Effect::LeaveTombstone { host } => write!(f, "leave tombstone on {host}"),
            Effect::StartService { host, service } => write!(f, "start {service} on {host}"),
            Effect::StopService { host, service } => write!(f, "stop {service} on {host}"),
            Effect::RestartService { host, service } => write!(f, "restart {service} on {host}"),
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proof::IsOut { proxy, host } => write!(f, "{proxy} sends no session to {host}"),
            Proof::IsIn { proxy, host } => write!(f, "{proxy} sends sessions to {host}"),
            Proof::FileSays { proxy, master } => {
                write!(f, "haproxy.cfg on {proxy} lets only {master} in")
            }
            Proof::FileKeepsOut { proxy, host } => {
                write!(f, "haproxy.cfg on {proxy} keeps {host} out")
            }
            Proof::NoTombstone { host } => write!(f, "no tombstone stands on {host}"),
            Proof::DatabaseStopped { host } => write!(f, "database on {host} is stopped"),
            Proof::DatabaseAnswers { host } => write!(f, "database on {host} answers"),
            Proof::LossWithin { host, reached, .. } => {
                write!(f, "{host} holds the log up to {reached}, within the loss budget")
            }
            Proof::ReplayedAll { host } => write!(f, "{host} has replayed all it received"),
            Proof::IsPrimary { host, after } => {
                write!(f, "{host} is primary on a timeline after {after}")
            }
            Proof::CanWrite { host } => write!(f, "{host} commits a row"),
            Proof::TombstoneStands { host } => write!(f, "tombstone stands on {host}"),
            Proof::ServiceReady { host, service } => write!(f, "{service} on {host} is ready"),
            Proof::ServiceStopped { host, service } => write!(f, "{service} on {host} is stopped"),
        }
    }
}
