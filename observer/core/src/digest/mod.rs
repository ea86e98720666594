//! From a snapshot to facts: all thresholds, ages and arithmetic live here and nowhere else.
//!
//! It does not decide what to do. Beside the facts it returns the evidence in words and the few
//! names and numbers that a draft needs, so that nobody has to read the snapshot a second time.

mod boot;
mod commits;
mod disk;
mod external;
mod files;
mod history;
mod lease;
mod loss;
mod maintenance;
mod master;
mod monitors;
pub(crate) mod mounts;
mod proxies;
mod readiness;
mod sharing;
mod singletons;
mod slave;
mod votes;

pub use boot::EnabledUnit;
pub use files::{Age, FileStanding};
pub use loss::LossEstimate;
pub use master::DATABASE_UNIT;
pub use monitors::{DrainStanding, MonitorStanding};
pub use mounts::{MountStanding, MountState};
pub use readiness::Unready;
pub use sharing::ProxiedStanding;
pub use singletons::{Stray, Strayed};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::facts::{Facts, Loss, Master, Roles, Sight, Upkeep};
use crate::journal::Memory;
use crate::judge::Repair;
use crate::ledger::{Entry, Snapshot};
use crate::plan::Promise;
use crate::policy::{PairSpec, ServiceSpec, Store};
use crate::sighting::{
    Class, DatabaseReport, Look, MachineReport, Seen, Silent, SystemState, UnitState,
};
use crate::words::{At, HostName, ProxyName, Timeline};

/// What one round of looking comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// The judge's input.
    pub facts: Facts,
    /// The master by the journal.
    pub master: Option<HostName>,
    /// The only primary, where the journal knows none or another and all other hosts answered
    /// that they are none.
    pub adoptable: Option<HostName>,
    /// The only primary seen, whatever the other hosts answered: what a person may accept.
    pub only_primary: Option<HostName>,
    /// The best candidate.
    pub candidate: Option<HostName>,
    /// What a failover now would lose.
    pub loss: LossEstimate,
    /// What acknowledged commits were worth when the master was last seen.
    pub promise: Promise,
    /// Whether the master's SSH answers.
    pub master_ssh: Reach,
    /// Whether a tombstone keeps the journal's own master from starting as one.
    pub tombstone: Tombstone,
    /// The timeline a promotion must leave behind.
    pub timeline: Option<Timeline>,
    /// Hosts on which a lease runs.
    #[serde(default)]
    pub leased: Vec<HostName>,
    /// Stale primaries: hosts that were replaced and accept writes.
    pub stale: Vec<HostName>,
    /// The singletons that are not where they belong.
    #[serde(default)]
    pub strayed: Vec<Strayed>,
    /// The units that the observer starts, and that would start at boot by themselves.
    #[serde(default)]
    pub enabled: Vec<EnabledUnit>,
    /// The services that run and are not ready.
    #[serde(default)]
    pub unready: Vec<Unready>,
    /// The hosts that do not answer the observer, for as long as the policy asks.
    #[serde(default)]
    pub absent: Vec<HostName>,
    /// Since when the master has looked wrong.
    pub trouble_since: Option<At>,
    /// The hosts whose disk is nearly full, or soon will be.
    #[serde(default)]
    pub low_disks: Vec<DiskLow>,
    /// Every file set, as the candidate has it.
    #[serde(default)]
    pub files: Vec<FileStanding>,
    /// Every host's monitor file, where the pair has them.
    #[serde(default)]
    pub monitors: Vec<MonitorStanding>,
    /// Every host at the backends whose users may go to every host, where there are any.
    #[serde(default)]
    pub proxied: Vec<ProxiedStanding>,
    /// Whether a proxy says something else than who the master is, beside what monitor files say.
    #[serde(default)]
    pub proxies_drifted: bool,
    /// The proxies that lead users of some backend to the master alone.
    #[serde(default)]
    pub exclusive: Vec<ProxyName>,
    /// Every drain, and how far it has come.
    #[serde(default)]
    pub drains: Vec<DrainStanding>,
    /// Every mount on every host.
    #[serde(default)]
    pub mounts: Vec<MountStanding>,
    /// What stands out beside the master's condition, a sentence each.
    pub remarks: Vec<String>,
}

/// A disk of a database that is nearly full, or soon will be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskLow {
    /// The host it belongs to.
    pub host: HostName,
    /// How much room is left where, and how soon it would be full if that can be told.
    pub text: String,
}

impl Digest {
    /// The hosts that users are to be let in to where they may go to every host.
    pub fn everywhere(&self) -> Vec<HostName> {
        let is_in = self.proxied.iter().filter(|standing| standing.is_in());
        is_in.map(|standing| standing.host.clone()).collect()
    }
}

impl fmt::Display for DiskLow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.host, self.text)
    }
}

/// Whether something answers us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// It answers.
    Answers,
    /// It does not.
    Silent,
}

/// Whether a tombstone stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tombstone {
    /// One stands.
    Stands,
    /// The database was started beside one: it runs as a standby.
    MadeStandby,
    /// None was seen.
    None,
}

/// Everything the digest reads, bundled for its parts.
#[derive(Clone, Copy)]
struct Inputs<'a> {
    snapshot: &'a Snapshot,
    spec: &'a PairSpec,
    memory: &'a Memory,
    now: At,
}

impl<'a> Inputs<'a> {
    /// The database report of `host` if its latest answer is one.
    fn report(self, host: &HostName) -> Option<&'a DatabaseReport> {
        match self.snapshot.seen(&Look::Database(host.clone())) {
            Some(Seen::Database(report)) => Some(report),
            _ => None,
        }
    }

    /// The last database report of `host`, however old.
    fn last_report(self, host: &HostName) -> Option<&'a DatabaseReport> {
        let entry = self.snapshot.get(&Look::Database(host.clone()))?;
        entry.last_report.as_ref().map(|(_, report)| report)
    }

    /// Whether `repair` was tried within the policy's window, and is not to be tried again.
    fn tried_lately(self, repair: Repair) -> bool {
        self.is_lately(self.memory.repairs.get(&repair).copied())
    }

    /// Whether `at` lies within that window.
    fn is_lately(self, at: Option<At>) -> bool {
        at.is_some_and(|at| self.now.since(at) < self.spec.policy.repair_window_ms)
    }

    fn is_primary(self, host: &HostName) -> bool {
        self.report(host).is_some_and(|report| !report.in_recovery)
    }

    /// True for a host that holds what the master does: a standby that streams; where the database
    /// is external, one that is back and runs no singleton.
    fn follows(self, host: &HostName) -> bool {
        if self.spec.has_external_database() {
            return external::has_returned(self, host);
        }
        self.report(host).is_some_and(|report| {
            report.in_recovery && report.walreceiver.as_ref().is_some_and(|one| one.streaming)
        })
    }
}

/// True for a host that is up beside the master and runs no singleton, where the database is
/// external.
pub(crate) fn runs_beside(
    snapshot: &Snapshot,
    spec: &PairSpec,
    memory: &Memory,
    host: &HostName,
) -> bool {
    external::has_returned(Inputs { snapshot, spec, memory, now: At::default() }, host)
}

/// Digests a snapshot at the moment `now`, against the policy and what the journal says.
pub fn digest(snapshot: &Snapshot, spec: &PairSpec, memory: &Memory, now: At) -> Digest {
    let inputs = Inputs { snapshot, spec, memory, now };
    let master = memory.master.clone();
    let (roles, stale) = roles(inputs);
    let candidate = candidate(inputs);
    let mut remarks = Vec::new();
    let (condition, trouble_since) = condition(inputs, master.as_ref(), candidate.as_ref());
    let seen = slave::assess(inputs, master.as_ref(), candidate.as_ref(), condition);
    let (slave, of_database, why) = maintenance::assess(inputs, candidate.as_ref(), seen);
    remarks.extend(why);
    let proxied = sharing::standings(inputs);
    let (seen, fence, why) = proxies::assess(inputs, master.as_ref(), condition, &proxied);
    remarks.extend(sharing::told(&proxied, master.as_ref()).chain(why));
    let (proxies, proxies_drifted, monitors) = monitors::beside(inputs, seen, &mut remarks);
    let (lease, why) = lease::assess(inputs, master.as_ref());
    remarks.extend(why.into_iter().chain(commits::told(inputs, master.as_ref())));
    let (strayed, enabled) = (singletons::strayed(inputs, master.as_ref()), boot::enabled(inputs));
    let unready = readiness::unready(inputs, master.as_ref());
    remarks.extend(of_units(&strayed, &unready, &enabled));
    let files = files::standings(inputs, master.as_ref(), candidate.as_ref());
    remarks.extend(files::told(&files));
    remarks.extend(external::told(inputs, master.as_ref(), candidate.as_ref()));
    let loss = loss::estimate(inputs, master.as_ref(), candidate.as_ref(), &files);
    let promise = commits::promise(inputs, master.as_ref(), candidate.as_ref());
    let (low_disks, mounts) = (disk::low(inputs), mounts::standings(inputs, master.as_ref()));
    remarks.extend(low_disks.iter().map(DiskLow::to_string).chain(mounts::told(&mounts)));
    remarks.extend(distrust(snapshot).chain(claims(inputs)));
    let upkeep = upkeep(&files, &low_disks, mounts::is_unwell(&mounts, candidate.as_ref()));
    let facts = Facts {
        sight: sight(inputs),
        roles,
        master: condition,
        slave,
        loss: lost(&loss, promise, spec),
        proxies,
        fence,
        commits: commits::assess(inputs, master.as_ref(), candidate.as_ref(), of_database),
        lease,
        singletons: singletons::assess(&strayed),
        upkeep: boot::beside(upkeep, inputs, &enabled),
    };
    Digest {
        facts,
        adoptable: adoptable(inputs),
        only_primary: only_primary(inputs),
        timeline: timeline(inputs, [master.as_ref(), candidate.as_ref()]),
        candidate,
        loss,
        promise,
        master_ssh: master.as_ref().map_or(Reach::Silent, |name| reach(inputs, name)),
        tombstone: tombstone(inputs),
        leased: lease::leased(inputs),
        stale,
        strayed,
        enabled,
        unready,
        absent: votes::absent(inputs),
        trouble_since,
        low_disks,
        files,
        monitors,
        proxied,
        proxies_drifted,
        exclusive: proxies::exclusive(inputs),
        drains: monitors::drains(inputs),
        mounts,
        remarks,
        master,
    }
}

fn of_units<'a>(
    strayed: &'a [Strayed],
    unready: &'a [Unready],
    enabled: &'a [EnabledUnit],
) -> impl Iterator<Item = String> + 'a {
    let strayed = strayed.iter().map(Strayed::to_string);
    let unready = unready.iter().map(Unready::to_string);
    strayed.chain(unready).chain(enabled.iter().map(EnabledUnit::to_string))
}

/// The best candidate, where a master is known.
fn candidate(inputs: Inputs<'_>) -> Option<HostName> {
    let master = inputs.memory.master.as_ref()?;
    match inputs.spec.store {
        Store::OnHosts => history::candidate(inputs, master),
        Store::External => external::candidate(inputs, master),
    }
}

/// The master's condition, and since when it has looked wrong.
fn condition(
    inputs: Inputs<'_>,
    master: Option<&HostName>,
    candidate: Option<&HostName>,
) -> (Master, Option<At>) {
    let Some(name) = master else { return (Master::Suspect, None) };
    let assessed = master::assess(inputs, name, candidate);
    (assessed.condition, assessed.since)
}

/// What would be lost of what users were told is safe.
fn lost(loss: &LossEstimate, promise: Promise, spec: &PairSpec) -> Loss {
    match promise {
        Promise::OnBoth | Promise::Elsewhere => loss.of_files_against(&spec.policy),
        Promise::OnMaster => loss.against(&spec.policy),
    }
}

fn unit_state(inputs: Inputs<'_>, host: &HostName, service: &ServiceSpec) -> Option<UnitState> {
    machine(inputs, host)?.unit(&service.unit).map(|unit| unit.state)
}

/// What a host that answers says of itself.
fn machine<'a>(inputs: Inputs<'a>, host: &HostName) -> Option<&'a MachineReport> {
    match inputs.snapshot.seen(&Look::Machine(host.clone()))? {
        Seen::Machine(report) => Some(report),
        _ => None,
    }
}

/// systemd's state of a host that answers. One job of a boot that never ends leaves a machine
/// "starting" for ever: after the grace it is judged by what runs there, like any other.
fn system(inputs: Inputs<'_>, host: &HostName) -> Option<SystemState> {
    let entry = inputs.snapshot.get(&Look::Machine(host.clone()))?;
    let Ok(Seen::Machine(report)) = &entry.latest.seen else { return None };
    let lasts = inputs.now.since(entry.since) >= inputs.spec.policy.restart_grace_ms;
    let is_up = report.system == SystemState::Starting && lasts;
    Some(if is_up { SystemState::Running } else { report.system })
}

fn upkeep(files: &[FileStanding], low_disks: &[DiskLow], storage_is_unwell: bool) -> Upkeep {
    if storage_is_unwell {
        Upkeep::StorageUnwell
    } else if files.iter().any(|one| one.age == Age::Stale) {
        Upkeep::FilesBehind
    } else if low_disks.is_empty() {
        Upkeep::Good
    } else {
        Upkeep::DiskLow
    }
}

/// The newest timeline that master and candidate were last seen on. What the candidate follows will
/// do where the master's own was never seen: promoting it must leave that behind.
fn timeline(inputs: Inputs<'_>, known: [Option<&HostName>; 2]) -> Option<Timeline> {
    let reports = known.into_iter().flatten().filter_map(|name| inputs.last_report(name));
    reports.map(|report| report.timeline).max()
}

fn reach(inputs: Inputs<'_>, host: &HostName) -> Reach {
    match votes::ssh(inputs, host) {
        votes::Vote::Alive => Reach::Answers,
        _ => Reach::Silent,
    }
}

fn tombstone(inputs: Inputs<'_>) -> Tombstone {
    let master = inputs.memory.master.as_ref();
    if master.is_some_and(|name| is_standby(inputs, name)) {
        return Tombstone::MadeStandby;
    }
    let look = master.cloned().map(Look::Machine);
    match look.and_then(|look| inputs.snapshot.seen(&look)) {
        Some(Seen::Machine(report)) if report.tombstone => Tombstone::Stands,
        _ => Tombstone::None,
    }
}

/// What each vantage says of the master, and what else stands out, a sentence each. Apart from
/// [`digest`] because it is needed only when somebody is told.
pub fn evidence(
    snapshot: &Snapshot,
    spec: &PairSpec,
    memory: &Memory,
    digest: &Digest,
    now: At,
) -> Vec<String> {
    let inputs = Inputs { snapshot, spec, memory, now };
    let mut said = match &digest.master {
        Some(master) => master::evidence(inputs, master, digest.candidate.as_ref()),
        None => Vec::new(),
    };
    said.extend(digest.remarks.iter().cloned());
    said
}

/// Looks that belong to the pair: whether a host that is left out of it answers is another matter.
fn of_the_pair(inputs: Inputs<'_>) -> impl Iterator<Item = (&Look, &Entry)> {
    let known = |host: &HostName| inputs.spec.hosts.contains(host);
    inputs.snapshot.entries().filter(move |(look, _)| look.host().is_none_or(known))
}

fn sight(inputs: Inputs<'_>) -> Sight {
    let changed = |entry: &Entry| matches!(entry.latest.seen, Err(Silent::HostKeyChanged { .. }));
    if of_the_pair(inputs).any(|(_, entry)| changed(entry)) {
        Sight::Distrusted
    } else if inputs.snapshot.is_blind() {
        Sight::Blind
    } else {
        Sight::Clear
    }
}

fn distrust(snapshot: &Snapshot) -> impl Iterator<Item = String> + '_ {
    snapshot.entries().filter_map(|(look, entry)| match &entry.latest.seen {
        Err(silent @ Silent::HostKeyChanged { .. }) => Some(format!("{look}: {silent}")),
        _ => None,
    })
}

/// Holds who is a primary against what the journal says.
fn roles(inputs: Inputs<'_>) -> (Roles, Vec<HostName>) {
    let Inputs { spec, memory, .. } = inputs;
    let Some(master) = &memory.master else { return (Roles::None, Vec::new()) };
    if spec.has_external_database() {
        let moved = external::moved(inputs, master);
        return (if moved { Roles::Moved } else { Roles::One }, Vec::new());
    }
    let others: Vec<HostName> =
        spec.others(master).filter(|host| inputs.is_primary(host)).cloned().collect();
    if spec.others(master).any(|host| may_serve_unseen(inputs, host)) {
        return (Roles::Moved, Vec::new());
    }
    if others.is_empty() {
        let demoted = is_standby(inputs, master) && !was_demoted_by_us(inputs, master);
        return (if demoted { Roles::None } else { Roles::One }, Vec::new());
    }
    if others.iter().all(|host| memory.replaced.contains(host)) {
        return (Roles::Stale, others);
    }
    if inputs.is_primary(master) { (Roles::Two, others) } else { (Roles::Moved, others) }
}

fn is_standby(inputs: Inputs<'_>, host: &HostName) -> bool {
    inputs.report(host).is_some_and(|report| report.in_recovery)
}

/// True for a master that a plan of ours had stopped, and that somebody started before that plan's
/// tombstone could be lifted: a standby by no person's wish, beside others that are standbys, too.
fn was_demoted_by_us(inputs: Inputs<'_>, master: &HostName) -> bool {
    inputs.memory.left_stopped && inputs.spec.others(master).all(|other| is_standby(inputs, other))
}

/// True for a host whose database we do not see, while a proxy finds it serving users: other hands
/// may have made it the master, and nothing may be done that takes that for impossible.
fn may_serve_unseen(inputs: Inputs<'_>, host: &HostName) -> bool {
    inputs.report(host).is_none()
        && matches!(
            votes::proxies(inputs, host),
            votes::ProxyWord::UsersServed | votes::ProxyWord::Connects
        )
}

/// The only primary seen.
fn only_primary(inputs: Inputs<'_>) -> Option<HostName> {
    if inputs.spec.has_external_database() {
        return external::only_carrier(inputs);
    }
    let mut primaries = inputs.spec.hosts.iter().filter(|host| inputs.is_primary(host));
    let only = primaries.next()?;
    primaries.next().is_none().then(|| only.clone())
}

/// The only primary, if every other host answered that it is a standby.
fn adoptable(inputs: Inputs<'_>) -> Option<HostName> {
    if inputs.spec.has_external_database() {
        return if inputs.memory.master.is_none() { external::adoptable(inputs) } else { None };
    }
    let only = only_primary(inputs)?;
    let others_answered = inputs.spec.others(&only).all(|host| is_no_primary(inputs, host));
    others_answered.then_some(only)
}

fn is_no_primary(inputs: Inputs<'_>, host: &HostName) -> bool {
    let entry = inputs.snapshot.get(&Look::Database(host.clone()));
    entry.is_some_and(|entry| entry.class != Class::Silent) && inputs.report(host).is_some()
}

/// While no master is known: what each host says it is.
fn claims(inputs: Inputs<'_>) -> impl Iterator<Item = String> + '_ {
    let asked = inputs.spec.hosts.iter().filter(move |_| inputs.memory.master.is_none());
    asked.map(move |host| match inputs.report(host) {
        _ if inputs.spec.has_external_database() => external::claim(inputs, host),
        Some(report) if report.in_recovery => format!("{host}: is a standby"),
        Some(_) => format!("{host}: is a primary"),
        None if inputs
            .snapshot
            .get(&Look::Database(host.clone()))
            .is_some_and(|entry| entry.class == Class::Dead) =>
        {
            format!("{host}: its database is not running")
        }
        None => format!("{host}: does not answer, so it may be a primary"),
    })
}
