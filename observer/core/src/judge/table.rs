//! The verdict table.
//!
//! Rows overlap nowhere and leave no world uncovered, so their order is free; a test walks every
//! world and demands exactly one row. Ids are stable: they appear in the journal, the events, the
//! output of `why` and `rules`, and the runbook. A row that is no longer wanted leaves its id
//! unused.

use super::cause::Cause;
use super::external::EXTERNAL;
use super::rules::{Repair, Rule, Verdict, When, joined};
use super::upkeep::UPKEEP;
use super::worlds::{
    ANY, APPLICATIONLESS, COSTLY, DEAD, FENCEABLE, HEIR, IN_ORDER, LEASED, LETHAL, MENDABLE,
    NO_HEIR, ONE, OPEN, PLACED, SAFE, SEEING, SERVING, SWITCHABLE, UNBLOCKED, UNFENCEABLE, USABLE,
    WELL, WHOLE,
};
use crate::facts::{
    Commits, Fence, Lease, Loss, Master, Proxies, Roles, Sight, Singletons, Slave, Upkeep,
};

/// The table.
pub const RULES: &[Rule] = &joined::<{ OF_HOSTS.len() + EXTERNAL.len() }>(OF_HOSTS, EXTERNAL);

const OF_HOSTS: &[Rule] = &joined::<{ ROWS.len() + UPKEEP.len() }>(ROWS, UPKEEP);

const ROWS: &[Rule] = &[
    // Blindness outranks every symptom: a dead link looks exactly like two dead hosts.
    Rule {
        id: "B1",
        when: When { sight: &[Sight::Blind], ..ANY },
        cause: Cause::ObserverIsolated,
        verdict: Verdict::Hold,
        why: "nothing answers the observer, so the fault may be its own",
    },
    // A machine that is not the one we know may say anything.
    Rule {
        id: "B2",
        when: When { sight: &[Sight::Distrusted], ..ANY },
        cause: Cause::HostKeyChanged,
        verdict: Verdict::Hold,
        why: "a machine does not prove to be the one that was pinned at setup",
    },
    Rule {
        id: "R1",
        when: When { roles: &[Roles::None], ..SEEING },
        cause: Cause::NoMaster,
        verdict: Verdict::Hold,
        why: "no host is known to be the master, and guessing one could lose data",
    },
    Rule {
        id: "R2",
        when: When { roles: &[Roles::Two], ..SEEING },
        cause: Cause::TwoMasters,
        verdict: Verdict::Hold,
        why: "two hosts accept writes and the journal cannot tell which is right",
    },
    // The journal replaced it, so whatever it writes is already lost to users: the sooner it
    // stops, the less there is to reconcile.
    Rule {
        id: "R3",
        when: When { roles: &[Roles::Stale], ..SEEING },
        cause: Cause::StaleMaster,
        verdict: Verdict::Repair(Repair::StopStaleMaster),
        why: "a host that was replaced accepts writes again",
    },
    Rule {
        id: "R4",
        when: When { roles: &[Roles::Moved], ..SEEING },
        cause: Cause::MasterMoved,
        verdict: Verdict::Hold,
        why: "the master was changed by other hands than the observer's",
    },
    Rule {
        id: "F1",
        when: When { master: &[Master::HostGone], ..SAFE },
        cause: Cause::MasterHostDead,
        verdict: Verdict::FailOver,
        why: "every vantage lost the master, and a slave can take over within the loss budget",
    },
    Rule {
        id: "F2",
        when: When { master: &[Master::DatabaseDead], ..SAFE },
        cause: Cause::MasterDatabaseDead,
        verdict: Verdict::FailOver,
        why: "the master's database is not running and starting it in place is no way out",
    },
    Rule {
        id: "F3",
        when: When { master: &[Master::DatabaseHung], ..SAFE },
        cause: Cause::MasterDatabaseHung,
        verdict: Verdict::FailOver,
        why: "the master's database answers nobody and the slave holds enough of its log",
    },
    Rule {
        id: "F4",
        when: When { loss: &[Loss::OverBudget], ..FENCEABLE },
        cause: Cause::LossOverBudget,
        verdict: Verdict::Hold,
        why: "promoting the slave would lose more than the loss budget",
    },
    Rule {
        id: "F5",
        when: When { loss: &[Loss::Unknown], ..FENCEABLE },
        cause: Cause::LossUnknown,
        verdict: Verdict::Hold,
        why: "it cannot be told what promoting the slave would lose",
    },
    Rule {
        id: "F6",
        when: When { fence: &[Fence::Impossible], ..HEIR },
        cause: Cause::CannotFence,
        verdict: Verdict::Hold,
        why: "the old master cannot be proven out of users' reach",
    },
    Rule {
        id: "F7",
        when: When { slave: &[Slave::Down, Slave::Startable, Slave::Silent], ..LETHAL },
        cause: Cause::NoCandidate,
        verdict: Verdict::Hold,
        why: "the master does not serve and no slave answers",
    },
    Rule {
        id: "F8",
        when: When { slave: &[Slave::Diverged], ..LETHAL },
        cause: Cause::TimelinesDiverged,
        verdict: Verdict::Hold,
        why: "the slave holds another history than the master",
    },
    Rule {
        id: "F9",
        when: When {
            slave: &[
                Slave::NotPromotable,
                Slave::NotStreaming,
                Slave::Resumable,
                Slave::Rejoinable,
                Slave::CutOff,
                Slave::Lagging,
            ],
            ..LETHAL
        },
        cause: Cause::SlaveNotPromotable,
        verdict: Verdict::Hold,
        why: "the slave was not in a state to be promoted when the master died",
    },
    Rule {
        id: "F14",
        when: When { slave: &[Slave::InMaintenance], ..LETHAL },
        cause: Cause::HostInMaintenance,
        verdict: Verdict::Hold,
        why: "the master does not serve, and a person took the slave out of candidacy",
    },
    // Where nobody else may serve, the dead database is tried again: it is the only way left.
    Rule {
        id: "F10",
        when: When { master: &[Master::DatabaseDead], ..NO_HEIR },
        cause: Cause::NoCandidate,
        verdict: Verdict::Repair(Repair::StartDatabase),
        why: "the master's database is not running and no slave can take over",
    },
    Rule {
        id: "F11",
        when: When {
            slave: &[Slave::Ready],
            fence: &[Fence::Possible],
            loss: &[Loss::OverBudget],
            ..DEAD
        },
        cause: Cause::LossOverBudget,
        verdict: Verdict::Repair(Repair::StartDatabase),
        why: "promoting the slave would lose more than the loss budget; starting loses nothing",
    },
    Rule {
        id: "F12",
        when: When {
            slave: &[Slave::Ready],
            fence: &[Fence::Possible],
            loss: &[Loss::Unknown],
            ..DEAD
        },
        cause: Cause::LossUnknown,
        verdict: Verdict::Repair(Repair::StartDatabase),
        why: "it cannot be told what promoting the slave would lose; starting loses nothing",
    },
    Rule {
        id: "F13",
        when: When { slave: &[Slave::Ready], fence: &[Fence::Impossible], ..DEAD },
        cause: Cause::CannotFence,
        verdict: Verdict::Repair(Repair::StartDatabase),
        why: "the old master cannot be proven out of users' reach, so only it can serve",
    },
    // Starting a crashed database loses nothing, even when replication is asynchronous.
    Rule {
        id: "D1",
        when: When { master: &[Master::DatabaseCrashed], ..ONE },
        cause: Cause::MasterDatabaseDead,
        verdict: Verdict::Repair(Repair::StartDatabase),
        why: "the master's database crashed, and starting it in place loses nothing",
    },
    Rule {
        id: "D2",
        when: When { master: &[Master::ApplicationCrashed], proxies: OPEN, ..ONE },
        cause: Cause::MasterApplicationDead,
        verdict: Verdict::Repair(Repair::RestartApplication),
        why: "the application does not serve while its host and database are well",
    },
    Rule {
        id: "D3",
        when: When { master: &[Master::ApplicationDead], proxies: OPEN, ..NO_HEIR },
        cause: Cause::MasterApplicationDead,
        verdict: Verdict::Hold,
        why: "the application does not serve, restarting it did not help, and no slave is ready",
    },
    Rule {
        id: "D4",
        when: When { master: &[Master::CannotWrite], ..NO_HEIR },
        cause: Cause::MasterCannotWrite,
        verdict: Verdict::Hold,
        why: "the master's database answers and cannot commit, and no slave is ready",
    },
    Rule {
        id: "D5",
        when: When { master: &[Master::StoppedOnPurpose], ..ONE },
        cause: Cause::MasterStopped,
        verdict: Verdict::Hold,
        why: "what serves the master's users was stopped in order, which a person does on purpose",
    },
    Rule {
        id: "D6",
        when: When { master: &[Master::Restarting], ..ONE },
        cause: Cause::MasterRestarting,
        verdict: Verdict::Suspect,
        why: "restarting is not dead",
    },
    Rule {
        id: "D7",
        when: When { master: &[Master::Suspect], ..ONE },
        cause: Cause::MasterSuspect,
        verdict: Verdict::Suspect,
        why: "something looks wrong and the evidence is not enough",
    },
    // If users still reach the master, the fault is elsewhere, and promoting would make two.
    Rule {
        id: "D8",
        when: When { master: &[Master::UsersServed], ..ONE },
        cause: Cause::UsersServed,
        verdict: Verdict::Hold,
        why: "the proxies still reach the master, so the fault lies elsewhere",
    },
    Rule {
        id: "D9",
        when: When { master: &[Master::OutOfReach], ..ONE },
        cause: Cause::MasterOutOfReach,
        verdict: Verdict::Hold,
        why: "the master is alive and the observer cannot manage it",
    },
    // Database and host are well, so that moving users loses nothing.
    Rule {
        id: "D10",
        when: When { master: &[Master::ApplicationDead], proxies: OPEN, ..UNFENCEABLE },
        cause: Cause::CannotFence,
        verdict: Verdict::Hold,
        why: "the application does not serve, and the master cannot be kept from users",
    },
    Rule {
        id: "D11",
        when: When { upkeep: USABLE, proxies: OPEN, ..APPLICATIONLESS },
        cause: Cause::MasterApplicationDead,
        verdict: Verdict::SwitchOver,
        why: "the application does not serve, restarting it did not help, and a slave is ready",
    },
    Rule {
        id: "D12",
        when: When { master: &[Master::ApplicationStuck], proxies: OPEN, ..ONE },
        cause: Cause::MasterApplicationDead,
        verdict: Verdict::Hold,
        why: "the application does not serve, and neither a restart nor a switchover has helped",
    },
    Rule {
        id: "D13",
        when: When { master: &[Master::CannotWrite], ..UNFENCEABLE },
        cause: Cause::CannotFence,
        verdict: Verdict::Hold,
        why: "the master cannot commit, and it cannot be kept from users",
    },
    Rule {
        id: "D14",
        when: When { master: &[Master::CannotWrite], ..SWITCHABLE },
        cause: Cause::MasterCannotWrite,
        verdict: Verdict::SwitchOver,
        why: "the master's database answers and cannot commit, and a slave is ready",
    },
    // It does not stop in order, so that it is treated as what it is to users: dead.
    Rule {
        id: "D15",
        when: When { master: &[Master::WriteStuck], ..SAFE },
        cause: Cause::MasterCannotWrite,
        verdict: Verdict::FailOver,
        why: "the master cannot commit, nor be shut down in order, and a slave is ready",
    },
    Rule {
        id: "D16",
        when: When { master: &[Master::WriteStuck], ..NO_HEIR },
        cause: Cause::MasterCannotWrite,
        verdict: Verdict::Hold,
        why: "the master's database answers and cannot commit, and no slave is ready",
    },
    Rule {
        id: "D17",
        when: When { master: &[Master::WriteStuck], ..UNFENCEABLE },
        cause: Cause::CannotFence,
        verdict: Verdict::Hold,
        why: "the master cannot commit, and it cannot be kept from users",
    },
    Rule {
        id: "D18",
        when: When { master: &[Master::WriteStuck], ..COSTLY },
        cause: Cause::MasterCannotWrite,
        verdict: Verdict::Hold,
        why: "the master cannot commit, and promoting the slave may lose more than the budget",
    },
    Rule {
        id: "D19",
        when: When { master: &[Master::LeftStopped], ..SAFE },
        cause: Cause::MasterStopped,
        verdict: Verdict::FailOver,
        why: "the master was shut down and not started again within the grace the policy gives",
    },
    Rule {
        id: "D20",
        when: When { master: &[Master::LeftStopped], ..NO_HEIR },
        cause: Cause::MasterStopped,
        verdict: Verdict::Hold,
        why: "the master was shut down and not started again, and no slave is ready",
    },
    Rule {
        id: "D21",
        when: When { master: &[Master::LeftStopped], ..UNFENCEABLE },
        cause: Cause::CannotFence,
        verdict: Verdict::Hold,
        why: "the master was shut down and not started again, and cannot be kept from users",
    },
    Rule {
        id: "D22",
        when: When { master: &[Master::LeftStopped], ..COSTLY },
        cause: Cause::MasterStopped,
        verdict: Verdict::Hold,
        why: "the master was shut down, and promoting the slave may lose more than the budget",
    },
    Rule {
        id: "S1",
        when: When { upkeep: &[Upkeep::Good], ..IN_ORDER },
        cause: Cause::Steady,
        verdict: Verdict::Steady,
        why: "the master serves and the slave could take over",
    },
    // Users first: a proxy that leads to the wrong host outranks a weak slave.
    Rule {
        id: "P1",
        when: When { proxies: &[Proxies::Drifted], ..WELL },
        cause: Cause::ProxyDrifted,
        verdict: Verdict::Repair(Repair::CorrectProxies),
        why: "a proxy's table or file, or a monitor file, does not say where users are to go",
    },
    Rule {
        id: "P6",
        when: When { proxies: &[Proxies::LeftDrifted], ..WELL },
        cause: Cause::ProxyDrifted,
        verdict: Verdict::Hold,
        why: "a proxy or monitor file sends users elsewhere, which the policy leaves to a person",
    },
    Rule {
        id: "P2",
        when: When { proxies: &[Proxies::Stopped, Proxies::Unreachable], ..WELL },
        cause: Cause::ProxyDown,
        verdict: Verdict::Hold,
        why: "a proxy does not serve, and a failover could not be proven at it",
    },
    Rule {
        id: "P3",
        when: When { proxies: &[Proxies::CutFromMaster], ..WELL },
        cause: Cause::ProxyCutFromMaster,
        verdict: Verdict::Hold,
        why: "a proxy cannot reach a master that is well",
    },
    Rule {
        id: "P4",
        when: When { proxies: &[Proxies::Parked], ..WELL },
        cause: Cause::BouncerPaused,
        verdict: Verdict::Repair(Repair::ResumeBouncers),
        why: "a PgBouncer is paused, and no plan of the observer's is at it",
    },
    // An application whose sessions go through it can not answer before they do.
    Rule {
        id: "P5",
        when: When {
            master: &[
                Master::ApplicationCrashed,
                Master::ApplicationDead,
                Master::ApplicationStuck,
            ],
            proxies: &[Proxies::Parked],
            ..ONE
        },
        cause: Cause::BouncerPaused,
        verdict: Verdict::Repair(Repair::ResumeBouncers),
        why: "the application does not serve, and a PgBouncer that it may wait for is paused",
    },
    Rule {
        id: "S2",
        when: When { slave: &[Slave::Down], proxies: &[Proxies::True], ..WELL },
        cause: Cause::SlaveDown,
        verdict: Verdict::Hold,
        why: "the slave's database is not running",
    },
    Rule {
        id: "S3",
        when: When { slave: &[Slave::Silent], proxies: &[Proxies::True], ..WELL },
        cause: Cause::SlaveSilent,
        verdict: Verdict::Hold,
        why: "the slave does not answer the observer",
    },
    Rule {
        id: "S4",
        when: When { slave: &[Slave::NotStreaming], proxies: &[Proxies::True], ..WELL },
        cause: Cause::SlaveNotStreaming,
        verdict: Verdict::Hold,
        why: "the slave does not receive the master's log",
    },
    Rule {
        id: "S5",
        when: When { slave: &[Slave::CutOff], proxies: &[Proxies::True], ..WELL },
        cause: Cause::SlaveCutOff,
        verdict: Verdict::Hold,
        why: "master and slave cannot reach one another",
    },
    Rule {
        id: "S6",
        when: When { slave: &[Slave::Lagging], proxies: &[Proxies::True], ..WELL },
        cause: Cause::SlaveLagging,
        verdict: Verdict::Hold,
        why: "the slave is further behind than the lag limit",
    },
    Rule {
        id: "S7",
        when: When { slave: &[Slave::Diverged], proxies: &[Proxies::True], ..WELL },
        cause: Cause::TimelinesDiverged,
        verdict: Verdict::Hold,
        why: "the slave holds another history than the master",
    },
    Rule {
        id: "S8",
        when: When { slave: &[Slave::NotPromotable], proxies: &[Proxies::True], ..WELL },
        cause: Cause::SlaveNotPromotable,
        verdict: Verdict::Hold,
        why: "the slave must not be promoted in its present state",
    },
    Rule {
        id: "S9",
        when: When { slave: &[Slave::Startable], proxies: &[Proxies::True], ..UNBLOCKED },
        cause: Cause::SlaveDown,
        verdict: Verdict::Repair(Repair::StartSlave),
        why: "the slave's database is down and nobody stopped it on purpose",
    },
    Rule {
        id: "S10",
        when: When { slave: &[Slave::Resumable], proxies: &[Proxies::True], ..UNBLOCKED },
        cause: Cause::SlaveNotStreaming,
        verdict: Verdict::Repair(Repair::ResumeReplication),
        why: "the slave runs and has not received the master's log for a while",
    },
    Rule {
        id: "S11",
        when: When { slave: &[Slave::Rejoinable], proxies: &[Proxies::True], ..UNBLOCKED },
        cause: Cause::OldMasterBack,
        verdict: Verdict::Repair(Repair::Rejoin),
        why: "a replaced master is back and does not follow the new one",
    },
    Rule {
        id: "S12",
        when: When { slave: &[Slave::InMaintenance], proxies: &[Proxies::True], ..WELL },
        cause: Cause::HostInMaintenance,
        verdict: Verdict::Hold,
        why: "a person took the slave out of candidacy",
    },
    // Users wait at every commit: this outranks whatever else is wrong beside a serving master.
    Rule {
        id: "Y1",
        when: When { commits: &[Commits::Blocked], ..SERVING },
        cause: Cause::CommitsWait,
        verdict: Verdict::Repair(Repair::DropSynchrony),
        why: "commits wait for a slave that is away for longer than the policy lets them",
    },
    Rule {
        id: "Y2",
        when: When {
            slave: &[
                Slave::Ready,
                Slave::Lagging,
                Slave::NotStreaming,
                Slave::CutOff,
                Slave::Down,
                Slave::Silent,
                Slave::Diverged,
                Slave::NotPromotable,
                Slave::InMaintenance,
            ],
            commits: &[Commits::Waiting],
            ..PLACED
        },
        cause: Cause::CommitsWait,
        verdict: Verdict::Hold,
        why: "commits wait for a slave that is away, as the policy wants",
    },
    Rule {
        id: "Y4",
        when: When {
            proxies: &[
                Proxies::Drifted,
                Proxies::LeftDrifted,
                Proxies::Parked,
                Proxies::Stopped,
                Proxies::CutFromMaster,
                Proxies::Unreachable,
            ],
            commits: &[Commits::Waiting],
            ..MENDABLE
        },
        cause: Cause::CommitsWait,
        verdict: Verdict::Hold,
        why: "commits wait for a slave that is away, and a proxy is not as it should be",
    },
    Rule {
        id: "Y3",
        when: When {
            slave: &[Slave::Ready],
            proxies: &[Proxies::True],
            commits: &[Commits::Owed],
            ..PLACED
        },
        cause: Cause::DurabilityOwed,
        verdict: Verdict::Repair(Repair::SetSynchrony),
        why: "commits do not wait for whom the policy asks, and could",
    },
    // One that nobody asks for must go whatever else is wrong; setting one takes a moment.
    Rule {
        id: "L1",
        when: When {
            commits: &[Commits::AsAsked, Commits::Owed, Commits::Waiting],
            lease: &[Lease::Owed],
            ..SERVING
        },
        cause: Cause::LeaseOwed,
        verdict: Verdict::Repair(Repair::SetLease),
        why: "the lease does not run as the policy asks",
    },
    Rule {
        id: "L2",
        when: When { lease: &[Lease::Amiss], ..WHOLE },
        cause: Cause::LeaseOwed,
        verdict: Verdict::Hold,
        why: "the lease does not run as the policy asks, and setting it did not help",
    },
    // Work that is done twice, or by nobody, does harm whatever the slave is like.
    Rule {
        id: "U4",
        when: When {
            commits: &[Commits::AsAsked, Commits::Owed, Commits::Waiting],
            singletons: &[Singletons::Owed],
            ..LEASED
        },
        cause: Cause::SingletonStrayed,
        verdict: Verdict::Repair(Repair::PlaceSingletons),
        why: "a service runs where it must not, or does not run where it must",
    },
    Rule {
        id: "U5",
        when: When { lease: &[Lease::AsAsked], singletons: &[Singletons::Amiss], ..WHOLE },
        cause: Cause::SingletonStrayed,
        verdict: Verdict::Hold,
        why: "a service is not where it belongs, and putting it there was not wanted or in vain",
    },
];
