//! What the operator allows and where things are: the pair's members and the thresholds.
//!
//! It never says who is master now: that is observed. Reading it from a file is the daemon's work.

use serde::{Deserialize, Serialize};

use crate::mounts::MountSpec;
use crate::words::{BouncerName, FileSetName, HostName, PairName, ProxyName, ServiceName};

/// One pair: its members and its policy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PairSpec {
    /// The pair's name.
    pub name: PairName,
    /// The hosts, in configured order.
    pub hosts: Vec<HostName>,
    /// Where the application keeps its data.
    #[serde(default)]
    pub store: Store,
    /// The proxies in front of them.
    pub proxies: Vec<ProxyName>,
    /// Those of the proxies that have backends whose users may go to every host.
    #[serde(default)]
    pub sharing: Vec<ProxyName>,
    /// The PgBouncers that lead to these proxies.
    #[serde(default)]
    pub bouncers: Vec<BouncerName>,
    /// The application's services, in start order.
    pub services: Vec<ServiceSpec>,
    /// The sets of files that a slave keeps a copy of.
    #[serde(default)]
    pub files: Vec<FileSetSpec>,
    /// The monitor file that each host shows to balancers which are not the observer's, where
    /// they check one.
    #[serde(default)]
    pub monitor: Option<MonitorSpec>,
    /// The mounts that the hosts share.
    #[serde(default)]
    pub mounts: Vec<MountSpec>,
    /// Thresholds and permissions.
    pub policy: Policy,
}

impl PairSpec {
    /// The services that have a readiness probe of their own, and must be ready on `host`.
    ///
    /// Not those that run on every host: beside a standby such a one need not be.
    pub fn probed_on<'a>(
        &'a self,
        host: &'a HostName,
        master: &'a HostName,
    ) -> impl Iterator<Item = &'a ServiceSpec> {
        self.services.iter().filter(move |service| {
            service.readiness.is_some()
                && match service.placement {
                    Placement::All | Placement::Master => host == master,
                    Placement::Slave => host != master,
                }
        })
    }

    /// True where the hosts keep no database of their own: the master is then the host that runs
    /// the singletons, and the others may serve beside it.
    pub fn has_external_database(&self) -> bool {
        self.store == Store::External
    }

    /// The services that run on the master and nowhere else, in start order.
    pub fn singletons(&self) -> impl DoubleEndedIterator<Item = &ServiceSpec> {
        self.services.iter().filter(|service| service.placement == Placement::Master)
    }

    /// The services that the observer starts and stops by the host's role, so that a boot must not
    /// start them. Where the database is external, what runs on every host may start there by
    /// itself.
    pub fn started_by_role(&self) -> impl Iterator<Item = &ServiceSpec> {
        let all = !self.has_external_database();
        self.services.iter().filter(move |one| all || one.placement == Placement::Master)
    }

    /// The services that run on a host that is not the master, in start order.
    pub fn services_beside(&self) -> impl DoubleEndedIterator<Item = &ServiceSpec> {
        self.services.iter().filter(|service| service.placement != Placement::Master)
    }

    /// True where users can be kept away from one host while they go on at another.
    pub fn can_drain(&self) -> bool {
        self.monitor.is_some() || !self.sharing.is_empty()
    }

    /// True where users may go to the master and nowhere else, whichever way they come.
    pub fn users_go_to_the_master_alone(&self) -> bool {
        self.sharing.is_empty()
            && self.monitor.is_none_or(|monitor| monitor.users == UsersGo::Master)
    }

    /// The hosts other than `host`.
    pub fn others<'a>(
        &'a self,
        host: &'a HostName,
    ) -> impl DoubleEndedIterator<Item = &'a HostName> {
        self.hosts.iter().filter(move |other| *other != host)
    }
}

/// Where the application keeps its data.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Store {
    /// In a PostgreSQL on each host: one is the primary, the others are its standbys.
    #[default]
    OnHosts,
    /// In a database of its own, which is redundant by itself: the hosts only reach it.
    External,
}

/// The monitor file of each host. Where it lies, and what its presence means, is the world's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MonitorSpec {
    /// The hosts that users may be sent to.
    pub users: UsersGo,
    /// How long a balancer may take to notice that the file says something else, in milliseconds.
    pub settle_ms: u64,
}

/// The hosts that users may be sent to while all is well.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UsersGo {
    /// The master only.
    #[default]
    Master,
    /// Every host on which the application is well.
    EveryHost,
}

/// One set of files that a slave keeps a copy of. Where it lies is the world's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileSetSpec {
    /// Name used in plans and reports.
    pub name: FileSetName,
    /// Pace of passes while no plan is open, in milliseconds.
    pub every_ms: u64,
    /// How old the newest change that the slave may lack can be for it to count as behind, in
    /// milliseconds.
    pub stale_after_ms: u64,
    /// How long a pass before users are held may take, in milliseconds.
    pub near_deadline_ms: u64,
    /// How long the last pass of a switchover may take while users wait, in milliseconds.
    pub last_deadline_ms: u64,
    /// Share of the files whose content a verification by sample compares, in percent.
    pub verify_percent: u8,
    /// Whether a database names paths that must exist in it.
    pub named: Naming,
    /// Files that are declared by name: each must be on the master, and is never deleted on a
    /// slave. Empty for a set that is a whole folder.
    #[serde(default)]
    pub must_exist: Vec<String>,
}

/// Whether a database names the paths that must exist in a file set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Naming {
    /// It does, by a configured query.
    ByQuery,
    /// Nothing does.
    None,
}

/// One service of the application.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Name used in plans and reports.
    pub name: ServiceName,
    /// The systemd unit.
    pub unit: String,
    /// Where it runs.
    pub placement: Placement,
    /// Whether the application's health answers for it.
    pub probed: Probed,
    /// A readiness probe of its own, where it has one.
    #[serde(default)]
    pub readiness: Option<ReadinessSpec>,
    /// Whether users are let in to a new master before it is ready there.
    #[serde(default)]
    pub users: UserWait,
    /// How long starting may take, in milliseconds.
    pub start_deadline_ms: u64,
    /// How long stopping may take, in milliseconds; none where each plan says it by itself.
    #[serde(default)]
    pub stop_deadline_ms: Option<u64>,
}

/// A readiness probe of a service's own. What it asks is the world's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReadinessSpec {
    /// How long one answer may take, in milliseconds: [`PROBE_MAX_MS`] at most.
    pub deadline_ms: u64,
}

/// The longest that one answer of a readiness probe may take, in milliseconds: a look that hangs
/// must end long before the deadline of a start.
pub const PROBE_MAX_MS: u64 = 10_000;
/// How much longer than the probe the look at it may take, in milliseconds: for the way there, and
/// for the end of a command that has to be killed.
pub const PROBE_WAY_MS: u64 = 2_000;

/// Whether users are let in to a new master before a service is ready there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserWait {
    /// They are let in once it is ready, or once its start has taken too long.
    Wait,
    /// They do not need it.
    #[default]
    GoOn,
}

/// On which hosts a service runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// On every host, whatever its role.
    All,
    /// On the master only: a singleton.
    Master,
    /// On slaves only.
    Slave,
}

/// Whether the application's health answers for a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probed {
    /// The application's HTTP health answers for it.
    Health,
    /// Only systemd's word for it.
    Unit,
}

/// What the observer may do by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Judge and act.
    Auto,
    /// Judge fully, record what it would have done, act on nothing.
    ObserveOnly,
    /// Only show what is seen.
    Off,
}

/// How surely the old master must be kept from users before a promotion.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FenceGrade {
    /// Users cannot reach it through any proxy, proven by reading each proxy back.
    ProxiedOff,
    /// Also its database is proven stopped; where it does not answer, it is proven powered off.
    Stopped,
    /// Also the machine is proven powered off, by the power fence.
    PoweredOff,
}

/// The power fence: a command on the observer that takes a host's power away. Its words are the
/// world's; what plans depend on is here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PowerFence {
    /// How long taking the power away and seeing it gone may take together, in milliseconds.
    pub deadline_ms: u64,
    /// What becomes of a host that was powered off by a plan that is taken back.
    pub when_undone: WhenUndone,
}

/// What becomes of a host that was powered off by a plan that is taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenUndone {
    /// It stays off until a person switches it on.
    StaysOff,
    /// It is switched on again.
    SwitchOn,
}

/// What to do first when the database has crashed and its host lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDatabaseCrash {
    /// Start it in place within a deadline, then fail over. Loses nothing.
    Start,
    /// Fail over at once.
    FailOver,
}

/// What to do about a master whose database was shut down in order by a person.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnCleanShutdown {
    /// Hold, and say so: a person does that on purpose.
    Ask,
    /// Fail over once the grace period has passed.
    FailOver,
}

/// What a commit that was acknowledged is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// It is on the master's disk; the slave follows a moment later. Whoever set
    /// `synchronous_standby_names` to other than our hosts is left alone.
    Async,
    /// It is on the slave's disk, too: a failover loses no acknowledged row.
    Sync,
}

/// What to do when commits wait for a slave that is away (durability *sync*).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnSlaveLost {
    /// Go on without it after a while, say so, and return to it by itself.
    Async,
    /// Let commits wait until it is back.
    Wait,
}

/// What to do about a replaced master that is back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnReturn {
    /// Make it a slave of the new master, keeping what only it has.
    Rejoin,
    /// Hold, and say so: `rejoin` is a person's order.
    Ask,
}

/// What to do about a proxy that a person, or an older file, made to say something else.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDrift {
    /// Make its runtime table and its file say who the master is; all else in it stays.
    #[default]
    Repair,
    /// Show it, and hold: `repair` is a person's order.
    Show,
}

/// What to do about a unit that the observer starts, and that systemd would start at boot.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnEnabled {
    /// Disable it: a boot knows no roles.
    #[default]
    Disable,
    /// Show it, and hold: `repair` is a person's order.
    Show,
    /// Nothing; a validation tells it all the same.
    Leave,
}

/// Thresholds and permissions of one pair. Times in milliseconds, sizes in bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Policy {
    /// What the observer may do by itself.
    pub mode: Mode,
    /// Pace of rounds while all is well.
    pub interval_ms: u64,
    /// Pace of rounds while something looks wrong.
    pub suspect_interval_ms: u64,
    /// How long one look may take before it counts as silence.
    pub timeout_ms: u64,
    /// Silent looks in a row before silence counts.
    pub failures: u32,
    /// How long a silent master is given before it counts as dead, however many looks it missed; 0
    /// where that is left to `failures`.
    #[serde(default)]
    pub detection_ms: u64,
    /// How long a restarting machine, database or service is given before it counts as dead.
    pub restart_grace_ms: u64,
    /// What to do first when the database crashed and the host lives.
    pub on_database_crash: OnDatabaseCrash,
    /// How long starting the database in place may take.
    pub database_start_deadline_ms: u64,
    /// What to do about a master whose database was shut down in order.
    pub on_clean_shutdown: OnCleanShutdown,
    /// How long a master shut down in order is waited for before it is failed over.
    pub clean_shutdown_grace_ms: u64,
    /// Free bytes below which a disk of a database counts as low.
    pub disk_low_bytes: u64,
    /// So does one that would be full within this time, were it to fill on as it lately did.
    pub disk_low_ms: u64,
    /// How long a master must be unable to commit before users are moved off it.
    pub cannot_write_grace_ms: u64,
    /// What an acknowledged commit is worth.
    pub durability: Durability,
    /// What to do when commits wait for a slave that is away.
    pub on_slave_lost: OnSlaveLost,
    /// How long commits may wait for it before that is done.
    pub sync_patience_ms: u64,
    /// What to do about a replaced master that is back.
    pub on_return: OnReturn,
    /// What to do about a proxy that says something else than who the master is.
    #[serde(default)]
    pub on_drift: OnDrift,
    /// What to do about a unit that the observer starts, and that systemd would start at boot.
    #[serde(default)]
    pub on_enabled: OnEnabled,
    /// How long a master whom nobody reaches goes on before it stops itself, in milliseconds; none
    /// if it goes on for ever.
    #[serde(default)]
    pub lease_ms: Option<u64>,
    /// Pace at which the items of parity are compared, in milliseconds.
    #[serde(default = "parity_interval_ms")]
    pub parity_interval_ms: u64,
    /// A second crash within this time of a repair is not repaired again.
    pub repair_window_ms: u64,
    /// The fence a promotion needs.
    pub fence: FenceGrade,
    /// The power fence, where one is configured.
    #[serde(default)]
    pub power_fence: Option<PowerFence>,
    /// Loss budget: acknowledged WAL that a failover may lose.
    pub loss_budget_bytes: u64,
    /// Loss budget: time during which commits may have been acknowledged and lost.
    pub loss_budget_ms: u64,
    /// Loss budget: age of the oldest change of a file that a failover may lose, in milliseconds.
    #[serde(default = "loss_budget_files_ms")]
    pub loss_budget_files_ms: u64,
    /// Replication lag above which the slave counts as lagging.
    pub lag_limit_bytes: u64,
    /// How old the walreceiver's last message may be for it to count as hearing the master.
    pub walreceiver_fresh_ms: u64,
    /// How long the slave may take to replay what it has received before promotion.
    pub replay_deadline_ms: u64,
    /// How long promotion may take.
    pub promote_deadline_ms: u64,
    /// How long one proxy command may take to be proven.
    pub proxy_deadline_ms: u64,
    /// How long requests in flight, and transactions at a PgBouncer, may take to finish when users
    /// are held for a switchover.
    pub drain_deadline_ms: u64,
    /// How long users may be held, in all, before a switchover is taken back: less than the waiting
    /// room keeps a request.
    pub hold_limit_ms: u64,
    /// How long a service or the database may take to stop in order.
    pub stop_deadline_ms: u64,
    /// How long `pg_rewind` may take.
    pub rewind_deadline_ms: u64,
    /// How long cloning the master's database may take.
    pub clone_deadline_ms: u64,
}

fn parity_interval_ms() -> u64 {
    600_000
}

fn loss_budget_files_ms() -> u64 {
    900_000
}

impl Default for Policy {
    /// The shipped defaults; the commented default file of the daemon shows the same numbers.
    fn default() -> Self {
        Self {
            mode: Mode::Auto,
            interval_ms: 1_000,
            suspect_interval_ms: 250,
            timeout_ms: 500,
            failures: 3,
            detection_ms: 0,
            restart_grace_ms: 60_000,
            on_database_crash: OnDatabaseCrash::Start,
            database_start_deadline_ms: 20_000,
            on_clean_shutdown: OnCleanShutdown::Ask,
            clean_shutdown_grace_ms: 120_000,
            disk_low_bytes: 512 << 20,
            disk_low_ms: 600_000,
            cannot_write_grace_ms: 5_000,
            durability: Durability::Async,
            on_slave_lost: OnSlaveLost::Async,
            sync_patience_ms: 5_000,
            on_return: OnReturn::Rejoin,
            on_drift: OnDrift::Repair,
            on_enabled: OnEnabled::Disable,
            lease_ms: None,
            parity_interval_ms: parity_interval_ms(),
            repair_window_ms: 600_000,
            fence: FenceGrade::ProxiedOff,
            power_fence: None,
            loss_budget_bytes: 16 << 20,
            loss_budget_ms: 10_000,
            loss_budget_files_ms: loss_budget_files_ms(),
            lag_limit_bytes: 16 << 20,
            walreceiver_fresh_ms: 1_500,
            replay_deadline_ms: 60_000,
            promote_deadline_ms: 30_000,
            proxy_deadline_ms: 5_000,
            drain_deadline_ms: 10_000,
            hold_limit_ms: 30_000,
            stop_deadline_ms: 20_000,
            rewind_deadline_ms: 1_800_000,
            clone_deadline_ms: 43_200_000,
        }
    }
}
