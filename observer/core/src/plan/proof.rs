//! The closed list of what can be looked for as the proof of a step.
//!
//! A proof is a later observation; that an effect said it was done is none.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::effect::{Shared, unit};
use crate::files::PassKind;
use crate::sighting::Says;
use crate::words::{
    BouncerName, Epoch, FileSetName, HostName, Lsn, ProxyName, ServiceName, Timeline,
};

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
    /// Read back from the running proxy: no server of `host` takes sessions, and no HTTP request
    /// is still with one. Sessions that are no HTTP are not waited for.
    Drained {
        /// The proxy.
        proxy: ProxyName,
        /// The host.
        host: HostName,
    },
    /// Read back from the running proxy: no server takes sessions where users may go to every host,
    /// and no HTTP request is still with one.
    SharedDrained {
        /// The proxy.
        proxy: ProxyName,
    },
    /// Read back from the running proxy: every server of `host` takes sessions, and none of any
    /// other host does; where users may go to every host, those of `everywhere` and no others.
    IsIn {
        /// The proxy.
        proxy: ProxyName,
        /// The host.
        host: HostName,
        /// The hosts that take sessions where users may go to every host.
        #[serde(default)]
        everywhere: Vec<HostName>,
    },
    /// Read back from the proxy's disk: the file lets only `master` in, and `everywhere` where
    /// users may go to every host, and HAProxy accepts it.
    FileSays {
        /// The proxy.
        proxy: ProxyName,
        /// The host.
        master: HostName,
        /// The hosts that are let in where users may go to every host.
        #[serde(default)]
        everywhere: Vec<HostName>,
    },
    /// Read back from the proxy's disk: the file keeps `host` out.
    FileKeepsOut {
        /// The proxy.
        proxy: ProxyName,
        /// The host.
        host: HostName,
    },
    /// Read back from the PgBouncer: each of its databases is paused, and no connection to a server
    /// is left; or it is definitely not running, so that nobody comes through it.
    BouncerPaused {
        /// The PgBouncer.
        bouncer: BouncerName,
    },
    /// Read back from the PgBouncer: none of its databases is paused; or it is definitely not
    /// running, and starts unpaused.
    BouncerRuns {
        /// The PgBouncer.
        bouncer: BouncerName,
    },
    /// The database accepts no connection and its unit does not run.
    DatabaseStopped {
        /// The host.
        host: HostName,
    },
    /// The power fence says that the machine has no power.
    PoweredOff {
        /// The host.
        host: HostName,
    },
    /// The power fence says that the machine has power.
    PoweredOn {
        /// The host.
        host: HostName,
    },
    /// The database was shut down in order: its unit does not run, and its control file says so. A
    /// standby that runs will do: it takes no write.
    ShutDown {
        /// The host.
        host: HostName,
    },
    /// The last checkpoint is so near that a stop in order has little left to write; or there is
    /// no primary to stop.
    CheckpointNear {
        /// The host.
        host: HostName,
        /// How many bytes of log may lie between.
        bytes: u64,
    },
    /// The slave streams from `master` and is near enough to it, received and replayed; or there is
    /// no primary there to be near to.
    LagWithin {
        /// The slave.
        host: HostName,
        /// The master.
        master: HostName,
        /// How many bytes it may be behind.
        bytes: u64,
    },
    /// The slave has replayed the checkpoint with which `master` was shut down: it holds all there
    /// is. A slave that is a primary already had.
    ReplayedShutdown {
        /// The slave.
        host: HostName,
        /// The master that was shut down.
        master: HostName,
    },
    /// The database's files say that it is a standby of `upstream`.
    Follows {
        /// The host.
        host: HostName,
        /// The host it streams from.
        upstream: HostName,
    },
    /// It is a standby that streams from `upstream`, on its timeline, under its unit.
    Streams {
        /// The host.
        host: HostName,
        /// The host it streams from.
        upstream: HostName,
    },
    /// It streams from `upstream`, cloned or not; a clone that was ordered and has ended in vain is
    /// told as such.
    Cloned {
        /// The host.
        host: HostName,
        /// The host that is copied.
        upstream: HostName,
    },
    /// The slot stands.
    SlotStands {
        /// The host that keeps the log.
        host: HostName,
        /// The host that it is kept for.
        follower: HostName,
    },
    /// There is no such slot.
    NoSlot {
        /// The host that kept the log.
        host: HostName,
        /// The host that it was kept for.
        follower: HostName,
    },
    /// The database of `host` is set to let commits wait for `standby`, which holds them all; or
    /// for nobody.
    Synchronous {
        /// The host.
        host: HostName,
        /// The host whose database holds every acknowledged commit.
        standby: Option<HostName>,
    },
    /// The lease that the policy asks for runs on `host`.
    LeaseRuns {
        /// The host.
        host: HostName,
    },
    /// No lease runs on `host`.
    NoLease {
        /// The host.
        host: HostName,
    },
    /// The copy of what only `host` has lies there; or it has nothing that `source` has not.
    DivergedKept {
        /// The host.
        host: HostName,
        /// The host whose history it is to take over; none in plans of before this was asked.
        #[serde(default)]
        source: Option<HostName>,
    },
    /// The primary's control file is on the timeline it writes: before that a rewind takes two
    /// histories for one.
    TimelineSettled {
        /// The host.
        host: HostName,
    },
    /// What `host` holds is part of the history of `source`: it was shut down in order before the
    /// histories parted, or was rewound.
    OnHistoryOf {
        /// The host.
        host: HostName,
        /// The host whose history counts.
        source: HostName,
    },
    /// A pass of a file set that was ordered for this by a plan of this epoch has ended, and the
    /// host lacks nothing of it.
    PassClean {
        /// The host.
        host: HostName,
        /// The file set.
        set: FileSetName,
        /// What it is for.
        kind: PassKind,
        /// The plan's epoch.
        epoch: Epoch,
    },
    /// The monitor file of the host says so.
    MonitorSays {
        /// The host.
        host: HostName,
        /// What it says.
        says: Says,
    },
    /// Its monitor file says *out*, and nobody but our proxies has a session at the application's
    /// port.
    NoSessions {
        /// The host.
        host: HostName,
    },
    /// No pass of a file set runs on the host.
    NoPass {
        /// The host.
        host: HostName,
    },
    /// The database answers queries.
    DatabaseAnswers {
        /// The host.
        host: HostName,
    },
    /// The database's unit has settled: systemd starts, reloads and stops nothing there any more.
    ///
    /// A unit that is told to stop while its start is not through skips its own way of stopping:
    /// systemd ends every process of it at once, and the log's senders are gone before the last
    /// checkpoint is written, which then never reaches the slave (`service_stop` of systemd;
    /// Debian's start takes seconds longer than its server).
    UnitSettled {
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
    /// The machine answers and is up, and reaches the external database.
    CanServe {
        /// The host.
        host: HostName,
    },
    /// The journal says that the host is the master where the database is external: nothing was
    /// done that could be looked for elsewhere.
    Appointed {
        /// The host.
        host: HostName,
    },
    /// The database is stopped, and its control file says that it was a standby to the end: no
    /// promotion has come through, and none can any more.
    NotPromoted {
        /// The host.
        host: HostName,
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
    /// The service's unit is active, whatever its probe says: beside a standby it cannot be well.
    ServiceRuns {
        /// The host.
        host: HostName,
        /// The service.
        service: ServiceName,
    },
    /// systemd would not start the unit at boot.
    NotAtBoot {
        /// The host.
        host: HostName,
        /// The service; none for the database.
        service: Option<ServiceName>,
    },
    /// The service's unit is not running.
    ServiceStopped {
        /// The host.
        host: HostName,
        /// The service.
        service: ServiceName,
    },
}

impl Proof {
    /// True of what makes users wait from the moment that it is ordered.
    pub fn holds_users(&self) -> bool {
        matches!(self, Proof::Drained { .. } | Proof::SharedDrained { .. })
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proof::IsOut { proxy, host } => write!(f, "{proxy} sends no session to {host}"),
            Proof::Drained { proxy, host } => {
                write!(f, "{proxy} sends nothing to {host}, and no request is left there")
            }
            Proof::SharedDrained { proxy } => write!(f, "no user of every host works at {proxy}"),
            Proof::BouncerPaused { bouncer } => {
                write!(f, "clients of {bouncer} wait, and no transaction is open")
            }
            Proof::BouncerRuns { bouncer } => write!(f, "{bouncer} lets its clients work"),
            Proof::ShutDown { host } => write!(f, "database on {host} was shut down in order"),
            Proof::CheckpointNear { host, .. } => write!(f, "last checkpoint on {host} is near"),
            Proof::LagWithin { host, master, .. } => write!(f, "{host} is close behind {master}"),
            Proof::ReplayedShutdown { host, master } => {
                write!(f, "{host} has replayed the shutdown checkpoint of {master}")
            }
            Proof::Follows { host, upstream } => {
                write!(f, "files of {host} make it a standby of {upstream}")
            }
            Proof::Streams { host, upstream } => write!(f, "{host} streams from {upstream}"),
            Proof::Cloned { host, upstream } => write!(f, "{host} streams as a copy of {upstream}"),
            Proof::SlotStands { host, follower } => write!(f, "{follower}'s slot is on {host}"),
            Proof::NoSlot { host, follower } => write!(f, "no slot for {follower} is on {host}"),
            Proof::Synchronous { host, standby: Some(standby) } => {
                write!(f, "{standby} holds every commit that {host} acknowledges")
            }
            Proof::Synchronous { host, standby: None } => write!(f, "no commit on {host} waits"),
            Proof::LeaseRuns { host } => write!(f, "the lease on {host} runs"),
            Proof::NoLease { host } => write!(f, "no lease runs on {host}"),
            Proof::DivergedKept { host, .. } => write!(f, "what only {host} has is kept"),
            Proof::TimelineSettled { host } => write!(f, "timeline of {host} has a checkpoint"),
            Proof::OnHistoryOf { host, source } => {
                write!(f, "{host} holds nothing that {source} does not know")
            }
            Proof::IsIn { proxy, host, everywhere } => {
                write!(f, "{proxy} sends sessions to {host}{}", Shared(everywhere))
            }
            Proof::FileSays { proxy, master, everywhere } => {
                write!(f, "haproxy.cfg on {proxy} lets only {master} in{}", Shared(everywhere))
            }
            Proof::FileKeepsOut { proxy, host } => write!(f, "file on {proxy} keeps {host} out"),
            Proof::NoTombstone { host } => write!(f, "no tombstone stands on {host}"),
            Proof::DatabaseStopped { host } => write!(f, "database on {host} is stopped"),
            Proof::PoweredOff { host } => write!(f, "{host} is powered off"),
            Proof::PoweredOn { host } => write!(f, "{host} is powered on"),
            Proof::DatabaseAnswers { host } => write!(f, "database on {host} answers"),
            Proof::UnitSettled { host } => write!(f, "database's unit on {host} has settled"),
            Proof::LossWithin { host, reached, .. } => {
                write!(f, "{host} holds the log up to {reached}, within the loss budget")
            }
            Proof::ReplayedAll { host } => write!(f, "{host} has replayed all it received"),
            Proof::IsPrimary { host, after } => write!(f, "{host} writes past timeline {after}"),
            Proof::PassClean { host, set, .. } => write!(f, "{host} lacks nothing of files {set}"),
            Proof::MonitorSays { host, says } => write!(f, "monitor file of {host} says {says}"),
            Proof::NoSessions { host } => write!(f, "balancers have nobody left on {host}"),
            Proof::NoPass { host } => write!(f, "no pass of files runs on {host}"),
            Proof::CanServe { host } => write!(f, "{host} is up and reaches the database"),
            Proof::Appointed { host } => write!(f, "the journal says that {host} is the master"),
            Proof::NotPromoted { host } => write!(f, "{host} is stopped and was never promoted"),
            Proof::CanWrite { host } => write!(f, "{host} commits a row"),
            Proof::TombstoneStands { host } => write!(f, "tombstone stands on {host}"),
            Proof::NotAtBoot { host, service } => {
                write!(f, "a boot of {host} does not start {}", unit(service.as_ref()))
            }
            Proof::ServiceReady { host, service } => write!(f, "{service} on {host} is ready"),
            Proof::ServiceRuns { host, service } => write!(f, "{service} on {host} runs"),
            Proof::ServiceStopped { host, service } => write!(f, "{service} on {host} is stopped"),
        }
    }
}
