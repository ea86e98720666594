//! What a validation reads of each host and each proxy: plain data, gathered by `world`.
//!
//! It judges nothing. Every datum is there or says why it is not: unknown is not absent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::mounts::MountSurvey;
use crate::parity::ItemReading;
use crate::policy::PairSpec;
use crate::sighting::{FileServer, LeaseSeen, ServerReport, UnitState};
use crate::words::{BouncerName, HostName, MountName, ProxyName, ServiceName};

/// Something that was read, or the reason why it was not.
pub type Datum<T> = Result<T, Unread>;

/// Why something was not read, in words for a person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unread(pub String);

/// Who is what while the pair is surveyed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Roles {
    /// The master by the journal.
    pub master: HostName,
    /// The other hosts, in configured order.
    pub slaves: Vec<HostName>,
}

impl Roles {
    /// The roles in `spec` while `master` is the master.
    pub fn of(spec: &PairSpec, master: &HostName) -> Self {
        Self { master: master.clone(), slaves: spec.others(master).cloned().collect() }
    }
}

/// Everything that was read, of all machines at about the same time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Survey {
    /// Every host.
    pub hosts: BTreeMap<HostName, HostSurvey>,
    /// Every proxy.
    pub proxies: BTreeMap<ProxyName, ProxySurvey>,
    /// Every PgBouncer; none where it is definitely not running.
    #[serde(default)]
    pub bouncers: BTreeMap<BouncerName, Datum<Option<BouncerSurvey>>>,
    /// What was read of each item of parity, on every host.
    #[serde(default)]
    pub parity: Vec<ItemReading>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Survey {
    /// The same without what was read of hosts that do not belong to the pair now.
    #[must_use]
    pub fn of_the_present(mut self, spec: &PairSpec) -> Self {
        self.hosts.retain(|host, _| spec.hosts.contains(host));
        for reading in &mut self.parity {
            reading.hosts.retain(|host, _| spec.hosts.contains(host));
        }
        self
    }
}

/// One host.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HostSurvey {
    /// What the machine says of itself over SSH.
    pub machine: Datum<MachineSurvey>,
    /// Its clock beside the observer's.
    pub clock: Datum<ClockSurvey>,
    /// What its database says.
    pub database: Datum<DatabaseSurvey>,
    /// What lies in each of its databases; of the master only.
    pub contents: Datum<Vec<DatabaseContents>>,
    /// What it answers to a replication login from each other host, by that host.
    pub replication_logins: BTreeMap<HostName, Datum<ReplicationLogin>>,
    /// Whether it reaches the external database; none where there is no such.
    #[serde(default)]
    pub external: Option<Datum<Reached>>,
    /// What its application answers; none where no probe is configured.
    pub application: Option<Datum<Health>>,
    /// What the services answer that have a readiness probe of their own, and must be ready there.
    #[serde(default)]
    pub services: BTreeMap<ServiceName, Datum<ServiceAnswer>>,
    /// What its mounts show.
    #[serde(default)]
    pub mounts: BTreeMap<MountName, Datum<MountSurvey>>,
    /// What the power fence says of it; none where there is no power fence.
    #[serde(default)]
    pub power: Option<Datum<Power>>,
}

/// Whether a connection to the external database was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reached {
    /// It was.
    Connects,
    /// It was refused: nobody listens.
    Refused,
}

/// What a service's readiness probe saw.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceAnswer {
    /// It is ready.
    Ready(String),
    /// It is not.
    NotReady(String),
}

/// Whether a machine has power.
#[derive(Clone, Copy, PartialEq, Eq, Debug, IntoStaticStr, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Power {
    /// It has.
    On,
    /// It has none.
    Off,
}

impl Power {
    /// The word, as in the output and in JSON.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// What a machine says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MachineSurvey {
    /// The database's unit; none where the database is external.
    pub database_unit: Option<UnitSurvey>,
    /// The services' units, in the pair's order.
    pub service_units: Vec<UnitSurvey>,
    /// What sudo says of the privileged commands.
    pub rights: CommandRights,
    /// Version of the C library, on which the order of texts in indexes rests.
    pub c_library: Datum<String>,
    /// logind's `RemoveIPC`: whether a user's shared memory goes when the user logs out.
    pub remove_ipc: Datum<IpcRemoval>,
    /// Number of the account that owns the data directory.
    pub database_owner: Datum<u32>,
    /// The file system of the data directory or of its log, whichever has less room.
    pub disk: Datum<DiskSurvey>,
    /// Which of the programs that a rejoin needs are missing.
    pub missing_programs: Vec<String>,
    /// The drop-in that keeps the database from starting as a second master.
    pub guard: Datum<GuardSurvey>,
    /// The lease that runs there.
    pub lease: LeaseSeen,
    /// How many ports of other machines answer it, of those that may renew a lease; none where the
    /// policy asks for no lease.
    pub renewers: Option<Datum<usize>>,
}

/// The guard's drop-in, held against the one that is printed now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuardSurvey {
    /// It is the same, and systemd has read it.
    InPlace,
    /// It is the same, and systemd has not read it.
    NotRead,
    /// It is another one.
    Differs,
    /// There is none.
    Missing,
}

/// logind's `RemoveIPC`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IpcRemoval {
    /// Shared memory of a normal user goes when the user logs out.
    AtLogout,
    /// It stays.
    Never,
}

/// One systemd unit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UnitSurvey {
    /// Its name.
    pub unit: String,
    /// Its state; none where systemd knows no such unit.
    pub state: Option<UnitState>,
    /// What `systemctl is-enabled` says.
    pub at_boot: String,
}

/// What sudo says of the privileged commands, asked without running any.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CommandRights {
    /// How many were asked about.
    pub asked: usize,
    /// Each that would be refused.
    pub refused: Vec<RefusedCommand>,
}

/// A privileged command that would be refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefusedCommand {
    /// The command.
    pub line: String,
    /// What sudo says of it.
    pub said: String,
}

/// A file system.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DiskSurvey {
    /// Where it is mounted.
    pub place: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// What an unprivileged account can still write, in bytes.
    pub free_bytes: u64,
}

/// A machine's clock beside the observer's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClockSurvey {
    /// How far it is ahead of the observer's, in milliseconds; negative if it is behind.
    pub ahead_ms: i64,
    /// Half of the time the question took: the true value may be off by so much.
    pub doubt_ms: u64,
}

/// What a database says of itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DatabaseSurvey {
    /// True on a standby.
    pub in_recovery: bool,
    /// `server_version_num`.
    pub version: u32,
    /// Identifies the cluster: equal on all copies of one database.
    pub system_identifier: String,
    /// The timeline it writes, or has received.
    pub timeline: u32,
    /// The settings that matter, by name; those it does not know are left out.
    pub settings: BTreeMap<String, String>,
    /// End of the log written (primary) or received (standby), in bytes.
    pub lsn: u64,
    /// End of the log replayed, in bytes; on a primary equal to `lsn`.
    pub replayed_lsn: u64,
    /// Whether somebody paused the replay.
    pub replay_paused: bool,
    /// The process that receives the log, if one runs.
    pub walreceiver: Option<WalreceiverSurvey>,
    /// The connected standbys and base backups.
    pub walsenders: Vec<WalsenderSurvey>,
    /// The replication slots.
    pub slots: Vec<SlotSurvey>,
    /// The role that a standby here logs in as, from its `primary_conninfo`.
    pub replication_user: Option<String>,
    /// The rights that the observer's role lacks.
    pub missing_rights: Vec<String>,
    /// Transactions of clients that are open, the oldest first.
    pub open_transactions: Vec<TransactionSurvey>,
    /// Prepared transactions that nobody has ended.
    pub prepared_transactions: u64,
    /// Base backups under way.
    pub base_backups: u64,
    /// How archiving goes; none where it is off.
    pub archiving: Option<ArchivingSurvey>,
    /// Log written per second on the average since statistics began; none before version 14, and
    /// while they are too young to say anything.
    pub wal_bytes_per_second: Option<f64>,
    /// Every extension version that could be created here, as `name version`.
    pub available_extensions: Vec<String>,
    /// The databases that take connections.
    pub databases: Vec<String>,
}

/// The standby's end of the replication connection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WalreceiverSurvey {
    /// `streaming` when all is well.
    pub status: String,
    /// The slot it uses.
    pub slot: Option<String>,
}

/// One connection that the server sends its log through.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WalsenderSurvey {
    /// Its `application_name`.
    pub name: String,
    /// `streaming`, `catchup`, `backup`, …
    pub state: Option<String>,
    /// How long a commit takes to be on the standby's disk, in milliseconds; none while idle.
    pub flush_lag_ms: Option<u64>,
    /// How long a commit takes to be replayed there, in milliseconds; none while idle.
    pub replay_lag_ms: Option<u64>,
}

/// One replication slot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlotSurvey {
    /// Its name.
    pub name: String,
    /// `physical` or `logical`.
    pub kind: String,
    /// Whether somebody uses it now.
    pub active: bool,
    /// `reserved`, `extended`, `unreserved` or `lost`.
    pub wal_status: Option<String>,
}

/// A transaction that is open.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransactionSurvey {
    /// The server process.
    pub pid: u32,
    /// The role.
    pub user: String,
    /// `active`, `idle in transaction`, …
    pub state: String,
    /// Since when it is open, in seconds.
    pub age_s: u64,
}

/// How archiving goes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ArchivingSurvey {
    /// Whether the last try failed.
    pub last_failed: bool,
    /// Files that wait; none where the role may not count them.
    pub waiting_files: Option<u64>,
}

/// What lies in one database of the cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DatabaseContents {
    /// The database.
    pub database: String,
    /// Its created extensions, as `name version`; or why they were not read.
    pub extensions: Datum<Vec<String>>,
    /// Its unlogged tables and sequences; or why they were not read.
    pub unlogged: Datum<Vec<String>>,
    /// Its sequences that have used up nine tenths of their numbers; or why they were not read.
    pub nearly_used_up: Datum<Vec<String>>,
    /// How many sequences the observer's role may not look at.
    #[serde(default)]
    pub unread_sequences: u64,
}

/// What a server answers to the first packet of a replication login.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplicationLogin {
    /// It lets the role in without a password.
    LetIn,
    /// It asks for a password: the address, the role and the network are right.
    AsksPassword,
    /// It refuses, in these words.
    Refused(String),
    /// Nobody listens at the address and port that are configured.
    NobodyListens,
}

/// What an application answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// The answer that means well.
    Well,
    /// Another answer.
    Ill(String),
    /// Nobody listens.
    Refused,
}

/// One proxy.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ProxySurvey {
    /// The pair's servers as the running process has them.
    pub running: Datum<Vec<ServerReport>>,
    /// The pair's servers as the files that it loads have them.
    pub file: Datum<Vec<FileServer>>,
    /// Which files it loads, beside those that are checked and changed.
    #[serde(default = "unread")]
    pub files: Datum<ProxyFiles>,
    /// What the linter finds in the files.
    pub findings: Datum<Vec<LintFinding>>,
    /// What HAProxy itself says of the file.
    pub check: Datum<FileCheck>,
    /// What sudo says of the privileged commands.
    pub rights: Datum<CommandRights>,
    /// What `systemctl is-enabled` says of HAProxy's unit.
    pub at_boot: Datum<String>,
    /// Its clock.
    pub clock: Datum<ClockSurvey>,
    /// What the application answers through each of its plain HTTP frontends, by the listener;
    /// none where no probe is configured or the file has no such frontend.
    pub application: Vec<(String, Datum<Health>)>,
}

fn unread<T>() -> Datum<T> {
    Err(Unread("it was not asked".to_owned()))
}

/// The files that a HAProxy loads, beside those that are checked and changed for it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProxyFiles {
    /// Its unit.
    pub unit: String,
    /// What the running process was told to load; none where processes are hidden from us, or
    /// something else than HAProxy runs.
    pub runs: Option<Sources>,
    /// What its unit tells it to load at the next start; none where the unit does not say.
    pub starts: Option<Sources>,
    /// What HAProxy is told to load for the check of a change.
    pub checked: Sources,
    /// The file that is changed.
    pub changed: String,
    /// Where the pair's servers stand, in the order in which the files are loaded.
    pub servers: Vec<ServerPlace>,
    /// Servers of the pair of which another file says whether they are let in (`default-server`).
    pub turned_elsewhere: Vec<ServerPlace>,
    /// Variables in the files that HAProxy and the check do not have from the same place.
    pub variables: Vec<MissingVariable>,
    /// Why the file cannot be changed where it lies, such as behind a symbolic link; none where it
    /// can.
    pub obstacle: Option<String>,
}

/// What stands behind `-f` on a command line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sources {
    /// As it is written: files and folders.
    pub named: Vec<String>,
    /// Every file, folders opened, in the order in which they are loaded.
    pub opened: Vec<String>,
    /// The folder that HAProxy changes to first (`-C`), to which names in the files are relative.
    #[serde(default)]
    pub directory: Option<String>,
    /// The name of this HAProxy among peers (`-L`), on which its files may depend.
    #[serde(default)]
    pub local_peer: Option<String>,
}

/// Where a server of the pair stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServerPlace {
    /// The server, as `BACKEND/SERVER`.
    pub server: String,
    /// The file.
    pub file: String,
    /// The line in it, counted from 1.
    pub line: usize,
}

/// A variable that HAProxy's files ask for, and that HAProxy and the check of a change do not have
/// from the same place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MissingVariable {
    /// Its name. Its value is nobody's business.
    pub name: String,
    /// The file that asks for it first.
    pub file: String,
    /// The line in it, counted from 1.
    pub line: usize,
    /// Who sets it for HAProxy.
    pub set_by: SetBy,
}

/// Who sets a variable for HAProxy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetBy {
    /// This environment file of its unit, or possibly this one where it cannot be read.
    File(String),
    /// The unit itself, by `Environment=`.
    Unit,
    /// Nobody: only the check has it, from this file.
    CheckOnly(String),
}

/// HAProxy's own word on the file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileCheck {
    /// It would load it.
    Passes,
    /// It would not, for this reason.
    Rejected(String),
}

/// A finding of haproxy.cfg's linter.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LintFinding {
    /// Its rule.
    pub rule: String,
    /// How much it matters.
    pub weight: LintWeight,
    /// Whether the waiting room is what it is about.
    pub about: LintSubject,
    /// What is found and where, in one line.
    pub text: String,
    /// What to write instead.
    pub fix: String,
}

/// How much a finding matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LintWeight {
    /// A change of master cannot be done, loses data, or harms users.
    Error,
    /// Some requests fail.
    Warning,
}

/// What a finding is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LintSubject {
    /// The waiting room.
    WaitingRoom,
    /// Anything else.
    Rest,
}

/// One PgBouncer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BouncerSurvey {
    /// What it calls itself.
    pub version: String,
    /// Its settings, by name.
    pub settings: BTreeMap<String, String>,
    /// The account with which the observer enters.
    pub user: String,
    /// The databases that lead to the pair.
    pub databases: Vec<BouncerDatabase>,
    /// Databases that are configured to lead to the pair, and that it does not list.
    pub missing: Vec<String>,
}

/// One database of a PgBouncer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BouncerDatabase {
    /// Its name, as clients give it.
    pub name: String,
    /// Whether its clients are made to wait.
    pub paused: bool,
    /// How long a client keeps a connection: `session`, `transaction` or `statement`.
    pub pool_mode: String,
    /// The host of the pair that it leads to past the proxies.
    pub past_proxies: Option<HostName>,
}
