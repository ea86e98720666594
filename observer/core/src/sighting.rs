//! What can be looked at, from where, and what may come back.
//!
//! A missing answer is a value with a reason, never a default. Nothing here says what an answer
//! *means* for the pair: that is `digest`'s work.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::files::FileSetReport;
use crate::mounts::MountReport;
use crate::policy::UsersGo;
use crate::words::{At, BouncerName, HostName, Lsn, MountName, ProxyName, ServiceName, Timeline};

/// A place we look from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vantage {
    /// The observer itself.
    Observer,
    /// Another host of the pair, through its SSH connection.
    Host(HostName),
}

impl fmt::Display for Vantage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Vantage::Observer => f.write_str("the observer"),
            Vantage::Host(host) => write!(f, "{host}"),
        }
    }
}

/// One question to the world. The vantage of those without a `from` is the observer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Look {
    /// The machine itself, over SSH: system state, units, tombstone.
    Machine(HostName),
    /// The database, by a query over SSH to its Unix socket.
    Database(HostName),
    /// Whether the database can commit: a write of the observer's own heartbeat row.
    Write(HostName),
    /// The room on the disks of the database's data and log.
    Disk(HostName),
    /// What the passes of the file sets have left on a host, and which run.
    Files(HostName),
    /// Sessions at the application's port of a host that others than our proxies keep open.
    Sessions(HostName),
    /// Whether a shared mount is there and can be used, tried on the host itself.
    Mount {
        /// The host looked at.
        host: HostName,
        /// The mount.
        mount: MountName,
    },
    /// Whether the external database takes connections from a host, asked on the host itself.
    External(HostName),
    /// Whether the port that stands for a host's life answers: its database's, by PostgreSQL's
    /// protocol; where it has none of its own, that of its sshd.
    Port {
        /// The host looked at.
        host: HostName,
        /// Where the connection starts.
        from: Vantage,
    },
    /// Whether the application's health answers over HTTP.
    Application {
        /// The host looked at.
        host: HostName,
        /// Where the connection starts.
        from: Vantage,
    },
    /// Whether the readiness probe of a service is satisfied, asked on the host itself.
    Readiness {
        /// The host looked at.
        host: HostName,
        /// The service.
        service: ServiceName,
    },
    /// The proxy's runtime table of servers, with its own checks' results.
    Proxy(ProxyName),
    /// What the proxy's configuration file would do at the next start.
    ProxyFile(ProxyName),
    /// The databases of a PgBouncer, by its admin console.
    Bouncer(BouncerName),
}

impl Look {
    /// Whether it may take far longer than others, so that its last answer says little of now: no
    /// judgement of a host waits for one.
    pub fn is_slow(&self) -> bool {
        matches!(self, Look::Readiness { .. } | Look::Mount { .. })
    }

    /// The host looked at, if it is a host and not a proxy.
    pub fn host(&self) -> Option<&HostName> {
        match self {
            Look::Machine(host)
            | Look::Database(host)
            | Look::Write(host)
            | Look::Disk(host)
            | Look::Files(host)
            | Look::Sessions(host)
            | Look::External(host)
            | Look::Mount { host, .. }
            | Look::Port { host, .. }
            | Look::Application { host, .. }
            | Look::Readiness { host, .. } => Some(host),
            Look::Proxy(_) | Look::ProxyFile(_) | Look::Bouncer(_) => None,
        }
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Look::Machine(host) => write!(f, "{host} over SSH"),
            Look::Database(host) => write!(f, "database query on {host}"),
            Look::Write(host) => write!(f, "write probe on {host}"),
            Look::Disk(host) => write!(f, "disk of {host}"),
            Look::Files(host) => write!(f, "file sets on {host}"),
            Look::Sessions(host) => write!(f, "sessions on {host}"),
            Look::External(host) => write!(f, "external database from {host}"),
            Look::Mount { host, mount } => write!(f, "mount {mount} on {host}"),
            Look::Port { host, from } => write!(f, "port of {host} from {from}"),
            Look::Application { host, from } => write!(f, "application on {host} from {from}"),
            Look::Readiness { host, service } => write!(f, "readiness of {service} on {host}"),
            Look::Proxy(proxy) => write!(f, "runtime table of {proxy}"),
            Look::ProxyFile(proxy) => write!(f, "haproxy.cfg of {proxy}"),
            Look::Bouncer(bouncer) => write!(f, "admin console of {bouncer}"),
        }
    }
}

/// One answer, or its silence with a reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sighting {
    /// What was asked.
    pub look: Look,
    /// When it was asked.
    pub asked_at: At,
    /// When the answer, or the decision that there is none, was there.
    pub at: At,
    /// The answer.
    pub seen: Result<Seen, Silent>,
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Silent {
    /// Nothing came back in time.
    Timeout,
    /// The network said there is no way there.
    NoRoute,
    /// The look goes over a connection that is not up (SSH to the host it starts from).
    NoWay,
    /// The machine offers another host key than the pinned one. A hard stop.
    HostKeyChanged {
        /// Fingerprint that was pinned at setup.
        pinned: String,
        /// Fingerprint offered now.
        offered: String,
    },
    /// The machine answered, and would not let us look; the text names the fix.
    Denied(String),
    /// What came back could not be read.
    Garbage(String),
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Silent::Timeout => f.write_str("no answer in time"),
            Silent::NoRoute => f.write_str("no route"),
            Silent::NoWay => f.write_str("no connection to look through"),
            Silent::HostKeyChanged { pinned, offered } => {
                write!(f, "host key changed: pinned {pinned}, offered {offered}")
            }
            Silent::Denied(why) => write!(f, "denied: {why}"),
            Silent::Garbage(what) => write!(f, "unreadable answer: {what}"),
        }
    }
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// The kernel there answered that nobody listens: definite.
    Refused,
    /// Answer to [`Look::Machine`].
    Machine(MachineReport),
    /// Answer to [`Look::Database`] by a database that takes queries.
    Database(DatabaseReport),
    /// Answer to [`Look::Database`] or [`Look::Port`]: it is there and takes no queries now.
    DatabaseBusy(DatabaseBusy),
    /// Answer to [`Look::Write`]: a row was committed, in this many milliseconds.
    Written {
        /// Commit latency in milliseconds.
        latency_ms: u64,
    },
    /// Answer to [`Look::Write`]: the database answers queries and cannot commit.
    CannotWrite(String),
    /// Answer to [`Look::Disk`]: the disk of the data and that of its log, which may be one.
    Disk(Vec<DiskRoom>),
    /// Answer to [`Look::Files`].
    Files(Vec<FileSetReport>),
    /// Answer to [`Look::Sessions`]: so many are open.
    Sessions(u64),
    /// Answer to [`Look::Mount`].
    Mount(MountReport),
    /// Answer to [`Look::Port`]: the postmaster takes new connections.
    PortOpen,
    /// Answer to [`Look::Application`]: healthy.
    ApplicationWell,
    /// Answer to [`Look::Application`]: it answers, and says it is not well.
    ApplicationIll(String),
    /// Answer to [`Look::Readiness`]: the probe is satisfied with what it saw.
    Ready(String),
    /// Answer to [`Look::Readiness`]: it is not, and what it saw.
    NotReady(String),
    /// Answer to [`Look::Proxy`].
    Proxy(ProxyReport),
    /// Answer to [`Look::ProxyFile`].
    ProxyFile(ProxyFileReport),
    /// Answer to [`Look::Bouncer`].
    Bouncer(BouncerReport),
}

/// A database that answers and takes no queries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseBusy {
    /// "the database system is starting up", or in crash recovery.
    StartingUp,
    /// "the database system is shutting down".
    ShuttingDown,
}

/// What a machine says of itself over SSH.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MachineReport {
    /// systemd's state of the whole machine.
    pub system: SystemState,
    /// State of the database's unit and of each service's unit.
    pub units: Vec<UnitReport>,
    /// True if a tombstone keeps the database from starting as master.
    pub tombstone: bool,
    /// The lease that runs there, if one does.
    #[serde(default)]
    pub lease: LeaseSeen,
    /// What its monitor file says; none where there is none, or where it cannot be told.
    #[serde(default)]
    pub monitor: Option<Says>,
}

/// What a monitor file says to the balancers that check it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Says {
    /// Send users here.
    In,
    /// Send nobody here.
    Out,
}

impl fmt::Display for Says {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Says::In => "in",
            Says::Out => "out",
        })
    }
}

/// The lease of a machine, held against the one that would be set there now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeaseSeen {
    /// None runs.
    #[default]
    None,
    /// The one that would be set now: of this length, renewed by these machines.
    AsAsked,
    /// Another one: of another length, renewed by others, or where none is asked for.
    Other,
}

impl MachineReport {
    /// The report on `unit`, if it was asked for and systemd knows it.
    pub fn unit(&self, unit: &str) -> Option<&UnitReport> {
        self.units.iter().find(|report| report.unit == unit)
    }
}

/// The room on one disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DiskRoom {
    /// Where it is mounted.
    pub place: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Bytes that the database may still write.
    pub free_bytes: u64,
}

/// systemd's state of a machine (`systemctl is-system-running`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SystemState {
    /// Booting.
    Starting,
    /// Up, with or without failed units.
    Running,
    /// Going down or rebooting.
    Stopping,
}

/// systemd's state of one unit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UnitReport {
    /// The unit's name.
    pub unit: String,
    /// Its state.
    pub state: UnitState,
    /// True if it has just died, and systemd is about to start it again by itself.
    #[serde(default)]
    pub loops: bool,
    /// True if systemd would start it at boot.
    #[serde(default)]
    pub at_boot: bool,
}

/// What systemd says of a unit, reduced to what tells a crash from an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitState {
    /// Running.
    Active,
    /// On the way up.
    Activating,
    /// On the way down, by somebody's order.
    Deactivating,
    /// Not running, and its last run ended well by somebody's order in this boot.
    Stopped,
    /// Not running, and not started since the machine booted.
    NeverStarted,
    /// Ended badly: exit code, signal, timeout.
    Failed,
}

impl fmt::Display for UnitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UnitState::Active => "running",
            UnitState::Activating => "starting",
            UnitState::Deactivating => "stopping",
            UnitState::Stopped => "stopped",
            UnitState::NeverStarted => "not started since the boot",
            UnitState::Failed => "failed",
        })
    }
}

/// What a database says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DatabaseReport {
    /// True for a standby.
    pub in_recovery: bool,
    /// Timeline it writes (primary) or follows (standby).
    pub timeline: Timeline,
    /// PostgreSQL's system identifier; equal on all copies of one database.
    pub system_id: u64,
    /// Last WAL written (primary) or received (standby).
    pub lsn: Lsn,
    /// Last WAL replayed (standby); equal to `lsn` on a primary.
    pub replayed: Lsn,
    /// True if somebody paused replay on the standby.
    pub replay_paused: bool,
    /// The standby's walreceiver, if one runs.
    pub walreceiver: Option<Walreceiver>,
    /// Whom the primary's commits wait for.
    #[serde(default)]
    pub synchrony: Synchrony,
    /// The timelines before its own, oldest first; none while that is not read.
    #[serde(default)]
    pub history: Option<Vec<Branch>>,
}

/// A timeline, and where it was left for the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Branch {
    /// The timeline that was left.
    pub timeline: Timeline,
    /// Where in its log.
    pub left_at: Lsn,
}

/// Whom a primary's commits wait for, by the names under which the standbys connect.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Synchrony {
    /// The names in `synchronous_standby_names`; empty if commits wait for nobody.
    pub asked: Vec<String>,
    /// Those of them that are connected and hold what is acknowledged.
    pub held: Vec<String>,
}

/// A standby's walreceiver: the fourth vantage on the master.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Walreceiver {
    /// True while it streams.
    pub streaming: bool,
    /// Age of the last message from the master's walsender, in milliseconds.
    pub last_message_ms: u64,
}

/// A proxy's runtime view of the pair's servers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProxyReport {
    /// One row per server of the pair, in every backend that serves it.
    pub servers: Vec<ServerReport>,
    /// Id of the process that answered, where it says so: a reload begins another.
    #[serde(default)]
    pub process: Option<u32>,
}

/// One server line of one backend, as the running proxy sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServerReport {
    /// Backend name.
    pub backend: String,
    /// Server name.
    pub server: String,
    /// The pair's host it leads to.
    pub host: HostName,
    /// The hosts to which its backend's users may go.
    #[serde(default)]
    pub users: UsersGo,
    /// Whether the proxy lets sessions in, by order.
    pub admission: Admission,
    /// What the proxy's own check says.
    pub check: CheckResult,
    /// Sessions open now.
    pub sessions: u64,
}

/// Whether a server may receive traffic by order (not by health).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Admission {
    /// In rotation if healthy.
    LetIn,
    /// In maintenance: no session, whatever its health.
    TakenOut,
    /// Draining: only clients that stick to it.
    Draining,
}

/// Result of a proxy's own health check.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckResult {
    /// An application-level check passed last time.
    Well,
    /// Only the TCP connection was checked, and it passed.
    Connects,
    /// Failing, or on its way down.
    Failing,
    /// The proxy does not check it, or not now.
    Unchecked,
}

/// What a proxy's configuration file says, whatever runs now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProxyFileReport {
    /// The pair's servers, by the file.
    pub servers: Vec<FileServer>,
}

/// One server line of the file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileServer {
    /// Backend name.
    pub backend: String,
    /// Server name.
    pub server: String,
    /// The pair's host it leads to.
    pub host: HostName,
    /// The hosts to which its backend's users may go.
    #[serde(default)]
    pub users: UsersGo,
    /// `LetIn`, or `TakenOut` for a line with `disabled`.
    pub admission: Admission,
}

/// What a PgBouncer says of the databases it leads to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BouncerReport {
    /// Those that a switchover pauses.
    pub databases: Vec<PooledDatabase>,
}

impl BouncerReport {
    /// The names of those that are paused.
    pub fn paused(&self) -> impl Iterator<Item = &str> {
        self.databases.iter().filter(|database| database.paused).map(|one| one.name.as_str())
    }
}

/// One database of a PgBouncer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PooledDatabase {
    /// Its name, as clients give it.
    pub name: String,
    /// True if its clients are made to wait.
    pub paused: bool,
    /// Connections to the server that are open.
    pub connections: u64,
}

/// How an answer counts as evidence of life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Alive and well.
    Good,
    /// Alive, and not taking work now: starting, stopping, ill.
    Busy,
    /// Definitely not serving.
    Dead,
    /// No answer.
    Silent,
}

impl Sighting {
    /// How this answer counts.
    pub fn class(&self) -> Class {
        match &self.seen {
            Err(_) => Class::Silent,
            Ok(Seen::Refused) => Class::Dead,
            Ok(
                Seen::DatabaseBusy(_)
                | Seen::ApplicationIll(_)
                | Seen::CannotWrite(_)
                | Seen::NotReady(_),
            ) => Class::Busy,
            Ok(Seen::Machine(report)) if report.system != SystemState::Running => Class::Busy,
            Ok(
                Seen::Machine(_)
                | Seen::Database(_)
                | Seen::Written { .. }
                | Seen::Disk(_)
                | Seen::Files(_)
                | Seen::Sessions(_)
                | Seen::Mount(_)
                | Seen::PortOpen
                | Seen::ApplicationWell
                | Seen::Ready(_)
                | Seen::Proxy(_)
                | Seen::ProxyFile(_)
                | Seen::Bouncer(_),
            ) => Class::Good,
        }
    }
}
