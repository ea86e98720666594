//! The closed list of named causes, each with its meaning and what a person can do.
//!
//! A cause is what the on-call person reads first; its kebab-case name is stable and appears in
//! events, JSON and the runbook.

use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

/// Why the verdict is what it is.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    EnumIter,
    IntoStaticStr,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
#[expect(missing_docs, reason = "`meaning` is each variant's documentation, and users read it")]
pub enum Cause {
    Steady,
    SlaveDown,
    SlaveSilent,
    SlaveNotStreaming,
    SlaveLagging,
    SlaveCutOff,
    SlaveNotPromotable,
    HostInMaintenance,
    OldMasterBack,
    CommitsWait,
    DurabilityOwed,
    LeaseOwed,
    SingletonStrayed,
    StartsAtBoot,
    StorageUnwell,
    FilesBehind,
    ParityBroken,
    DiskLow,
    ProxyDown,
    ProxyDrifted,
    ProxyCutFromMaster,
    BouncerPaused,
    MasterSuspect,
    MasterRestarting,
    MasterDatabaseDead,
    MasterDatabaseHung,
    MasterApplicationDead,
    MasterHostDead,
    MasterCutFromDatabase,
    ExternalDatabaseAway,
    MasterStopped,
    MasterCannotWrite,
    MasterOutOfReach,
    MasterMoved,
    UsersServed,
    ObserverIsolated,
    HostKeyChanged,
    TwoMasters,
    StaleMaster,
    NoMaster,
    TimelinesDiverged,
    NoCandidate,
    CannotFence,
    LossOverBudget,
    LossUnknown,
    Flapping,
    JustFailed,
    Paused,
    ObserveOnly,
    PlanOpen,
    JournalFailing,
}

impl Cause {
    /// The stable name, as in events and JSON.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What it means, in one sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Cause::Steady => "The master serves, and a failover now would succeed.",
            Cause::SlaveDown => "The slave's database is not running; nothing could take over.",
            Cause::SlaveSilent => "The slave does not answer; nothing could take over.",
            Cause::SlaveNotStreaming => "The slave runs and no longer receives the master's log.",
            Cause::SlaveLagging => "The slave is further behind than the lag limit.",
            Cause::SlaveCutOff => "The network between master and slave is cut.",
            Cause::SlaveNotPromotable => "The slave is in a state that must not be promoted.",
            Cause::HostInMaintenance => "A person took the slave out of candidacy.",
            Cause::OldMasterBack => "A replaced master is back and not yet a slave of the new one.",
            Cause::CommitsWait => "Commits wait for a slave that is away.",
            Cause::DurabilityOwed => "Commits do not wait for the slave as the policy asks.",
            Cause::LeaseOwed => "The master's lease does not run as the policy asks.",
            Cause::SingletonStrayed => "A service runs where it must not, or not where it must.",
            Cause::StartsAtBoot => "A boot would start a unit that the observer starts by role.",
            Cause::StorageUnwell => "The slave cannot use a mount that the service needs.",
            Cause::FilesBehind => "Files on the slave are older than the limit.",
            Cause::ParityBroken => "The hosts differ in versions, secrets or settings.",
            Cause::DiskLow => "The disk of a database is nearly full, or soon will be.",
            Cause::ProxyDown => "A proxy does not serve or does not answer.",
            Cause::ProxyDrifted => {
                "A proxy or a monitor file sends users elsewhere than it should."
            }
            Cause::ProxyCutFromMaster => "A proxy cannot reach the master, which is well.",
            Cause::BouncerPaused => "A PgBouncer is paused, and its clients wait.",
            Cause::MasterSuspect => "The master looks wrong; the evidence is not enough to act.",
            Cause::MasterRestarting => "The master is being restarted; it has time to come back.",
            Cause::MasterDatabaseDead => "The master's database is not running.",
            Cause::MasterDatabaseHung => "The master's database takes connections, answers none.",
            Cause::MasterApplicationDead => "The application on the master does not serve.",
            Cause::MasterHostDead => "The master cannot be found alive from anywhere.",
            Cause::MasterCutFromDatabase => {
                "The master does not reach the external database; another host does."
            }
            Cause::ExternalDatabaseAway => "No host reaches the external database.",
            Cause::MasterStopped => "The master was stopped on purpose, by a person.",
            Cause::MasterCannotWrite => "The master's database answers and cannot commit.",
            Cause::MasterOutOfReach => "The master is alive; the observer cannot manage it.",
            Cause::MasterMoved => "Another host became master by other hands.",
            Cause::UsersServed => "The observer cannot see the master serve; the proxies can.",
            Cause::ObserverIsolated => "The observer sees nobody: it is itself the suspect.",
            Cause::HostKeyChanged => "A machine offers another host key than the pinned one.",
            Cause::TwoMasters => "Two hosts accept writes.",
            Cause::StaleMaster => "A replaced master accepts writes again.",
            Cause::NoMaster => "No host is known to be the master.",
            Cause::TimelinesDiverged => "The slave's history is not the master's.",
            Cause::NoCandidate => "The master does not serve and no slave answers.",
            Cause::CannotFence => "The old master cannot be proven out of users' reach.",
            Cause::LossOverBudget => "A failover would lose more than the loss budget.",
            Cause::LossUnknown => "It cannot be told what a failover would lose.",
            Cause::Flapping => "The master changed lately; a second change waits for a person.",
            Cause::JustFailed => "A plan failed a moment ago; it is tried again after 15 s.",
            Cause::Paused => "A person paused the observer: it watches and acts on nothing.",
            Cause::ObserveOnly => "The mode allows watching only.",
            Cause::PlanOpen => "A plan is being carried out.",
            Cause::JournalFailing => "The observer's journal cannot be written.",
        }
    }

    /// What the operator can do, as an instruction; the command comes first where there is one.
    pub fn advice(self) -> &'static str {
        match self {
            Cause::Steady => "Nothing to do.",
            Cause::SlaveDown => "`repair` starts it; see its unit's journal for why it is down.",
            Cause::SlaveSilent => "Check the slave's power, network and sshd.",
            Cause::SlaveNotStreaming => "`repair` tries again; else see the slave's log for why.",
            Cause::SlaveLagging => "Find what slows replay or the network; watch `status`.",
            Cause::SlaveCutOff => "Check cables, firewall and routes between the two hosts.",
            Cause::SlaveNotPromotable => "`why` says why: resume replay, mend access, or rebuild.",
            Cause::HostInMaintenance => "`maintenance --end`, or `undrain`, once that is done.",
            Cause::OldMasterBack => "Nothing if it rejoins by itself; else `rejoin`.",
            Cause::CommitsWait => "Bring the slave back; see `on_slave_lost` in the pair's file.",
            Cause::DurabilityOwed => "Nothing if it is set by itself; else see `events` for why.",
            Cause::LeaseOwed => "Nothing if it is set by itself; else see `events`, then `ack`.",
            Cause::SingletonStrayed => {
                "`why` names it: start it where it belongs, stop it elsewhere."
            }
            Cause::StartsAtBoot => "Nothing if it is disabled by itself; else `repair`.",
            Cause::StorageUnwell => "`why` names it; mend it there, or the storage's server.",
            Cause::FilesBehind => "Nothing while a pass gets on; `files` shows it, and what fails.",
            Cause::ParityBroken => "Bring the named items to the same value on both hosts.",
            Cause::DiskLow => "Make room on the disk that `why` names, or enlarge it.",
            Cause::ProxyDown => "Start HAProxy there, or bring the proxy's host back.",
            Cause::ProxyDrifted => "Nothing if it repairs itself; else `repair`; see `events`.",
            Cause::ProxyCutFromMaster => "Check the way to the master; `failover` if it stays cut.",
            Cause::BouncerPaused => "Nothing if it is resumed by itself; `pause` prevents that.",
            Cause::MasterSuspect => "Wait a few seconds; `why` shows what is missing.",
            Cause::MasterRestarting => "Wait, or look at the unit's journal if it takes long.",
            Cause::MasterDatabaseDead => "Look at PostgreSQL's log on the master.",
            Cause::MasterDatabaseHung => "Look at I/O and memory on the master.",
            Cause::MasterApplicationDead => {
                "Look at the application's log; `failover` moves users to the slave."
            }
            Cause::MasterHostDead => "Find out what happened to the machine before powering it on.",
            Cause::MasterCutFromDatabase => "Check the network from the master to the database.",
            Cause::ExternalDatabaseAway => "Bring the database back: no host can do without it.",
            Cause::MasterStopped => {
                "Start what was stopped if the maintenance is over; `failover` moves users instead."
            }
            Cause::MasterCannotWrite => "Free disk space, or `failover` to move users.",
            Cause::MasterOutOfReach => "Check sshd, firewall and the observer's key on the master.",
            Cause::MasterMoved => "`ack` to accept the new master, after checking it is right.",
            Cause::UsersServed => "Check sshd on the master, and the network from here to it.",
            Cause::ObserverIsolated => "Check the observer's own network.",
            Cause::HostKeyChanged => {
                "If it was rebuilt, pin its new key and reload; if not, treat it as an attack."
            }
            Cause::TwoMasters => "Stop the wrong one at once, then `ack`.",
            Cause::StaleMaster => "Nothing if it is stopped by itself; else stop it by hand.",
            Cause::NoMaster => {
                "`status` says what each host answers; if none does, check SSH and the key. `ack` \
                 accepts the only host that is seen to be one."
            }
            Cause::TimelinesDiverged => "`rejoin` rewinds or clones it, keeping what only it has.",
            Cause::NoCandidate => "Bring the master or the slave back; nothing else can help.",
            Cause::CannotFence => {
                "Bring the proxy back, or cut the old master's power and take the proxy out of use."
            }
            Cause::LossOverBudget | Cause::LossUnknown => {
                "`failover --accept-loss --reason TEXT` accepts it; the old master back loses none."
            }
            Cause::Flapping => "`ack` allows the next automatic failover.",
            Cause::JustFailed => "See `events` for what failed; it is tried again by itself.",
            Cause::Paused => "`resume` ends the pause.",
            Cause::ObserveOnly => "Set `mode = \"auto\"` once you trust what `events` shows.",
            Cause::PlanOpen => "`abort` takes it back before its pivot; `status`, `why` say more.",
            Cause::JournalFailing => "Free space on the observer's disk under its state directory.",
        }
    }
}
