//! A simulated host: power, sshd, PostgreSQL with its log and timeline, services, tombstone.

use std::collections::{BTreeMap, BTreeSet};

use observer_core::sighting::{Branch, UnitState};
use observer_core::words::{At, HostName, Lsn, ServiceName, Timeline};

use crate::disk::Disk;
use crate::files::Files;
use crate::lease::Lease;
use crate::monitor::Monitor;
use crate::mount::Mount;

/// Bytes of log a simulated row takes: large, so that a minute of lag exceeds a loss budget.
pub const ROW_BYTES: u64 = 8_192;

/// How long a simulated crash recovery takes, in milliseconds.
const RECOVERY_MS: u64 = 400;
/// How long Debian's start of a database takes beyond its first answer, measured at two seconds.
const UNIT_SETTLES_MS: u64 = 2_000;

/// How long a database gets on with the log it has when there is room for no more.
const SEGMENT_LASTS_MS: u64 = 3_000;

/// A host.
#[derive(Clone, Debug)]
pub struct Machine {
    /// What the hardware does.
    pub power: Power,
    /// What its power switch does, which the power fence reaches.
    pub switch: Switch,
    /// When a slow switch takes its power away.
    pub loses_power_at: Option<At>,
    /// Whether sshd runs.
    pub sshd: Running,
    /// Whether it offers another host key than the pinned one.
    pub key_changed: bool,
    /// Whether what its commands print cannot be read.
    pub garbled: bool,
    /// All its processes are stopped (SIGSTOP); the kernel still takes connections.
    pub frozen: bool,
    /// Its sshd forbids forwarding: nothing can be reached from there.
    pub no_way_on: bool,
    /// A job of its boot never ends: systemd says "starting", and everything works.
    pub boots: bool,
    /// systemd answers nothing; everything else goes on.
    pub deaf: bool,
    /// Whether its application serves and says that it is not well.
    pub overloaded: bool,
    /// The database.
    pub database: Database,
    /// The application's services, true while running.
    pub services: BTreeMap<ServiceName, ServiceState>,
    /// What it takes for a service to be ready once its unit is started; at once where nothing is
    /// said.
    pub warmups: BTreeMap<ServiceName, Warmup>,
    /// The services that are not ready, and when each will be.
    pub warming: BTreeMap<ServiceName, Warmup>,
    /// Whether its services refuse to stop.
    pub stubborn: bool,
    /// What runs there for a while by itself, and what became of the last.
    pub job: Job,
    /// How often a rewind was ordered and refused because a clone ran.
    pub rewinds_beside_clone: u32,
    /// Whether a tombstone keeps the database from starting as master.
    pub tombstone: bool,
    /// The lease that runs there.
    pub lease: Option<Lease>,
    /// The services that a boot starts; none is the database.
    pub enabled: BTreeSet<Option<ServiceName>>,
    /// What balancers are told, and who is there.
    pub monitor: Monitor,
    /// The files that its slave copies, or that it has copied.
    pub files: Files,
    /// What it sees of the shared mount.
    pub mount: Mount,
}

/// Something that takes its time on a host: a rewind or a clone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Job {
    /// None was ordered since the machine booted.
    #[default]
    None,
    /// One runs until this moment.
    Running(Task, At),
    /// The last one succeeded.
    Done(Task),
    /// The last one failed.
    Failed(Task, &'static str),
}

/// What a job does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Task {
    /// Takes back what was written since the histories parted.
    Rewind(HostName),
    /// Copies the database of another host.
    Clone(HostName),
}

/// What a standby does when its promotion is ordered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnPromote {
    /// It becomes a primary.
    Obeys,
    /// It says no.
    Refuses,
    /// It says yes and stays what it is.
    Ignores,
}

/// What the hardware does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Power {
    /// Up.
    On,
    /// The operating system died and its address still answers that nobody listens.
    Crashed,
    /// Off: silence.
    Off,
}

/// What a power switch does when it is told to switch its host on or off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Switch {
    /// It switches, and says so.
    Works,
    /// It says so at once, and switches off after a while.
    Slow,
    /// It says so, and does nothing.
    Deaf,
    /// It cannot be reached.
    Broken,
}

/// Whether a process runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Running {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// A service's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServiceState {
    /// Running.
    Up,
    /// Died.
    Failed,
    /// Stopped in order.
    Stopped,
    /// Not started since the machine booted.
    NeverStarted,
    /// Dies again whenever it is started.
    Broken,
    /// systemd starts it again and again (Restart=always): "activating (auto-restart)".
    Looping,
    /// systemd knows no such unit.
    Gone,
}

impl ServiceState {
    /// False for one that no order brings into another state.
    fn obeys(self) -> bool {
        !matches!(self, ServiceState::Broken | ServiceState::Looping | ServiceState::Gone)
    }
}

/// What it takes for a service to be ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Warmup {
    /// So many milliseconds from its start; or, once it was started, until that moment.
    Until(At),
    /// It never is.
    Never,
}

/// What the postmaster does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Postmaster {
    /// Takes queries.
    Running,
    /// Starts until this moment.
    Starting(At),
    /// Takes connections and answers nothing.
    Hung,
    /// Was stopped in order.
    Stopped,
    /// Was killed.
    Crashed,
    /// Is killed again whenever it is started.
    Broken,
    /// Was not started since the machine booted.
    NeverStarted,
}

/// Whether a database that was stopped could send its last checkpoint to its standby.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastWords {
    /// In order: its senders end last.
    Sent,
    /// Its unit was still starting, and systemd ended all of its processes at once.
    Unsent,
}

/// A database: rows are its log, their number its position.
#[derive(Clone, Debug)]
pub struct Database {
    /// What the postmaster does.
    pub postmaster: Postmaster,
    /// When systemd sees its unit as started, which is later than its server takes queries.
    pub settles_at: Option<At>,
    /// What became of the checkpoint that it was last stopped with.
    pub last_words: LastWords,
    /// True for a standby.
    pub in_recovery: bool,
    /// The timeline it writes or follows.
    pub timeline: Timeline,
    /// The timelines before, and where each was left.
    pub history: Vec<Branch>,
    /// Every row it holds, in order.
    pub rows: Vec<u64>,
    /// The room that it has.
    pub disk: Disk,
    /// When it falls for want of room for its log; none while it has enough.
    pub falls_at: Option<At>,
    /// True if somebody paused replay.
    pub replay_paused: bool,
    /// True if its walreceiver is stopped by a fault.
    pub stalled: bool,
    /// The host it streams from when it is a standby.
    pub upstream: Option<HostName>,
    /// The hosts it keeps log for.
    pub slots: BTreeSet<HostName>,
    /// The host that commits wait for.
    pub waits_for: Option<HostName>,
    /// True if log that a rewind needs is gone.
    pub log_gone: bool,
    /// True if it cannot log in at the other host.
    pub locked_out: bool,
    /// What it does when its promotion is ordered.
    pub on_promote: OnPromote,
    /// True if what only it had was kept.
    pub kept: bool,
    /// True if it was rewound since it last ran.
    pub rewound: bool,
    /// When its walreceiver last heard from a primary; none while it does not stream.
    pub heard_at: Option<At>,
}

impl Database {
    /// Its position.
    pub fn lsn(&self) -> Lsn {
        Lsn(self.rows.len() as u64 * ROW_BYTES)
    }

    /// True if it is up as a primary and can be written to.
    pub fn accepts_writes(&self) -> bool {
        self.postmaster == Postmaster::Running && !self.in_recovery && !self.disk.refuses_commits()
    }
}

impl Machine {
    /// A running host with a primary or a standby.
    pub fn new(in_recovery: bool, services: BTreeMap<ServiceName, ServiceState>) -> Self {
        Self {
            power: Power::On,
            switch: Switch::Works,
            loses_power_at: None,
            sshd: Running::Yes,
            key_changed: false,
            garbled: false,
            frozen: false,
            no_way_on: false,
            boots: false,
            deaf: false,
            overloaded: false,
            database: Database {
                postmaster: Postmaster::Running,
                settles_at: None,
                last_words: LastWords::Sent,
                in_recovery,
                timeline: Timeline(1),
                history: Vec::new(),
                rows: Vec::new(),
                disk: Disk::Roomy,
                falls_at: None,
                replay_paused: false,
                stalled: false,
                upstream: None,
                slots: BTreeSet::new(),
                waits_for: None,
                log_gone: false,
                locked_out: false,
                on_promote: OnPromote::Obeys,
                kept: false,
                rewound: false,
                heard_at: None,
            },
            services,
            warmups: BTreeMap::new(),
            warming: BTreeMap::new(),
            stubborn: false,
            job: Job::None,
            rewinds_beside_clone: 0,
            tombstone: in_recovery,
            lease: None,
            enabled: BTreeSet::new(),
            monitor: Monitor::default(),
            files: Files::default(),
            mount: Mount::default(),
        }
    }

    /// True while the operating system runs.
    pub fn is_up(&self) -> bool {
        self.power == Power::On
    }

    /// Cuts the power or crashes the system: everything that ran is gone.
    pub fn lose_power(&mut self, power: Power) {
        self.power = power;
        self.database.postmaster = Postmaster::NeverStarted;
        self.database.heard_at = None;
        self.job = Job::None;
        self.lease = None;
        self.files.pass = None;
        for state in self.services.values_mut() {
            *state = ServiceState::NeverStarted;
        }
    }

    /// Boots the machine. Managed units do not start by themselves.
    pub fn boot(&mut self) {
        self.power = Power::On;
        self.sshd = Running::Yes;
    }

    /// Starts the database in the role its files say.
    pub fn start_database(&mut self, now: At) {
        if !self.is_up() {
            return;
        }
        match self.database.postmaster {
            Postmaster::Stopped | Postmaster::Crashed | Postmaster::NeverStarted => {
                self.database.postmaster = Postmaster::Starting(now.plus(RECOVERY_MS));
                self.database.in_recovery = self.tombstone;
                self.database.rewound = false;
            }
            Postmaster::Broken
            | Postmaster::Running
            | Postmaster::Starting(_)
            | Postmaster::Hung => {}
        }
    }

    /// Ends the database, in order or not.
    pub fn end_database(&mut self, how: Postmaster) {
        if self.is_up() && self.database.postmaster != Postmaster::NeverStarted {
            let broken = self.database.postmaster == Postmaster::Broken;
            let unsettled = self.database_unit() == UnitState::Activating;
            self.database.last_words = if unsettled { LastWords::Unsent } else { LastWords::Sent };
            self.database.settles_at = None;
            self.database.postmaster = if broken { Postmaster::Broken } else { how };
            self.database.heard_at = None;
        }
    }

    /// Ends recovery.
    pub fn promote(&mut self) {
        let willing = self.database.on_promote == OnPromote::Obeys;
        let standby = self.database.postmaster == Postmaster::Running && self.database.in_recovery;
        if standby && willing && self.database.disk.is_used_up() {
            // It has no room for the first segment of its new timeline.
            self.database.postmaster = Postmaster::Crashed;
        } else if standby && willing {
            self.database.in_recovery = false;
            let (timeline, left_at) = (self.database.timeline, self.database.lsn());
            self.database.history.push(Branch { timeline, left_at });
            self.database.timeline = Timeline(timeline.0 + 1);
            self.database.heard_at = None;
            self.tombstone = false;
        }
    }

    /// Lets time do its part.
    pub fn pass(&mut self, now: At) {
        if self.loses_power_at.is_some_and(|at| at <= now) {
            self.loses_power_at = None;
            self.lose_power(Power::Off);
        }
        if let Postmaster::Starting(until) = self.database.postmaster
            && until <= now
        {
            self.database.postmaster = Postmaster::Running;
            self.database.settles_at = Some(now.plus(UNIT_SETTLES_MS));
        }
        self.database.settles_at = self.database.settles_at.filter(|at| *at > now);
        self.warming.retain(|_, warmup| !matches!(warmup, Warmup::Until(at) if *at <= now));
        self.fall_for_want_of_room(now);
    }

    /// A primary that needs another segment of log, and has no room for it, recovers from a crash.
    fn fall_for_want_of_room(&mut self, now: At) {
        let database = &mut self.database;
        let needs_log = database.postmaster == Postmaster::Running && !database.in_recovery;
        if !needs_log || database.disk != Disk::LogFull {
            database.falls_at = None;
        } else if *database.falls_at.get_or_insert(now.plus(SEGMENT_LASTS_MS)) <= now {
            database.postmaster = Postmaster::Starting(now.plus(RECOVERY_MS));
        }
    }

    /// The database unit's state as systemd would tell it.
    pub fn database_unit(&self) -> UnitState {
        match self.database.postmaster {
            Postmaster::Running | Postmaster::Hung if self.database.settles_at.is_none() => {
                UnitState::Active
            }
            Postmaster::Running | Postmaster::Hung | Postmaster::Starting(_) => {
                UnitState::Activating
            }
            Postmaster::Stopped => UnitState::Stopped,
            Postmaster::Crashed | Postmaster::Broken => UnitState::Failed,
            Postmaster::NeverStarted => UnitState::NeverStarted,
        }
    }

    /// True if `service` runs.
    pub fn runs(&self, service: &ServiceName) -> bool {
        self.services.get(service) == Some(&ServiceState::Up)
    }

    /// True if `service` runs and its readiness probe is satisfied.
    pub fn is_ready(&self, service: &ServiceName) -> bool {
        self.runs(service) && !self.warming.contains_key(service)
    }

    /// Starts a service, unless it runs.
    pub fn start_service(&mut self, service: &ServiceName, now: At) {
        if !self.runs(service) {
            self.restart_service(service, now);
        }
    }

    /// Starts or restarts a service.
    pub fn restart_service(&mut self, service: &ServiceName, now: At) {
        if !self.is_up() {
            return;
        }
        if let Some(state) = self.services.get_mut(service)
            && state.obeys()
        {
            *state = ServiceState::Up;
            let warming = self.warmups.get(service).map(|warmup| match warmup {
                Warmup::Until(At(ms)) => Warmup::Until(now.plus(*ms)),
                Warmup::Never => Warmup::Never,
            });
            self.warming.remove(service);
            self.warming.extend(warming.map(|warming| (service.clone(), warming)));
        }
    }

    /// Stops a service in order.
    pub fn stop_service(&mut self, service: &ServiceName) {
        if let Some(state) = self.services.get_mut(service)
            && state.obeys()
            && !self.stubborn
        {
            *state = ServiceState::Stopped;
        }
    }
}
