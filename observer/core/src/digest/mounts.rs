//! How each declared mount stands on each host.
//!
//! What a mount shows says nothing of whether its host lives: a server that hangs, hangs all hosts
//! alike. So that it counts as what a failover would need, and never as a sign of a dead master.

use std::fmt;

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::{Inputs, disk, votes};
use crate::ledger::Entry;
use crate::mounts::{MountAccess, MountReport, MountRoom, MountSpec, MountStep, MountUse};
use crate::sighting::{Look, Seen, Silent};
use crate::validate::Severity;
use crate::words::{At, HostName, MountName, human_bytes, human_ms};

/// Looks that confirm that a mount cannot be used: a busy storage is late now and then. A probe
/// that has hung for as many deadlines needs no second look.
const UNUSABLE_LOOKS: u32 = 2;
/// With fewer free inodes than this, or than a share of all, there is room for few more files.
const INODES_LOW: u64 = 1_000;
const INODES_LOW_SHARE: u64 = 20;

/// One mount on one host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MountStanding {
    /// The mount.
    pub mount: MountName,
    /// Where it is mounted.
    pub path: String,
    /// The host.
    pub host: HostName,
    /// Whether the pair counts as protected while it is amiss on the slave.
    pub severity: Severity,
    /// What is mounted there, as the host last said.
    pub source: Option<String>,
    /// Its room, as the host last said.
    pub room: Option<MountRoom>,
    /// When it would be full, in milliseconds, were it to fill on as it lately did.
    pub full_in_ms: Option<u64>,
    /// How it stands.
    pub state: MountState,
    /// Since when it has been found so, where it cannot be used.
    pub since: Option<At>,
}

/// How a mount stands on a host.
#[derive(Clone, PartialEq, Eq, Debug, IntoStaticStr, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
#[strum(serialize_all = "kebab-case")]
pub enum MountState {
    /// It is what it must be and can be used.
    Well,
    /// It was not looked at yet, or its host does not answer now.
    NotSeen,
    /// It could not be used once, and is looked at again.
    Doubted,
    /// Its host answers, and the mount cannot be looked at.
    Unread {
        /// Why.
        why: String,
    },
    /// Nothing is mounted there.
    NotMounted,
    /// Something else is mounted than must be.
    OtherSource {
        /// What must be.
        wanted: String,
        /// Where that is mounted; none where it is configured.
        on: Option<HostName>,
    },
    /// Something that the service needs is refused.
    Unusable {
        /// What.
        step: MountStep,
        /// In whose words.
        why: String,
    },
    /// It answers nothing.
    Hung {
        /// What hangs, where that is known.
        step: Option<MountStep>,
    },
    /// It is nearly full, or soon will be.
    Low {
        /// How much is left.
        text: String,
    },
}

impl MountState {
    /// The stable name, as in events.
    pub fn name(&self) -> &'static str {
        self.into()
    }

    /// Whether something is to be mended.
    pub fn is_amiss(&self) -> bool {
        !matches!(self, MountState::Well | MountState::NotSeen | MountState::Doubted)
    }
}

impl fmt::Display for MountStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MountStanding { mount, path, host, source, state, .. } = self;
        write!(f, "mount {mount} ({path}) on {host} ")?;
        match state {
            MountState::Well => f.write_str("is well"),
            MountState::NotSeen => f.write_str("is not seen"),
            MountState::Doubted => f.write_str("is looked at again"),
            MountState::Unread { why } => write!(f, "cannot be looked at: {why}"),
            MountState::NotMounted => f.write_str("is not mounted"),
            MountState::OtherSource { wanted, on } => {
                let found = source.as_deref().unwrap_or("nothing");
                match on {
                    Some(other) => write!(f, "is {found}, and on {other} it is {wanted}"),
                    None => write!(f, "is {found}, and must be {wanted}"),
                }
            }
            MountState::Unusable { step, why } => write!(f, "cannot be used: {step} fails: {why}"),
            MountState::Hung { step: Some(step) } => write!(f, "hangs while {step}"),
            MountState::Hung { step: None } => f.write_str("hangs"),
            MountState::Low { text } => write!(f, "is low: {text}"),
        }
    }
}

/// Every mount on every host, in configured order.
pub(super) fn standings(inputs: Inputs<'_>, master: Option<&HostName>) -> Vec<MountStanding> {
    let of =
        |mount| inputs.spec.hosts.iter().map(move |host| standing(inputs, master, mount, host));
    inputs.spec.mounts.iter().flat_map(of).collect()
}

/// What stands out of them, a sentence each.
pub(super) fn told(standings: &[MountStanding]) -> impl Iterator<Item = String> {
    standings.iter().filter(|one| one.state.is_amiss()).map(MountStanding::to_string)
}

/// Whether a mount that the service cannot do without is amiss on the host that would take over.
pub(super) fn is_unwell(standings: &[MountStanding], candidate: Option<&HostName>) -> bool {
    standings.iter().any(|one| {
        Some(&one.host) == candidate && one.severity == Severity::Severe && one.state.is_amiss()
    })
}

/// What a look at a mount says, in words.
pub(super) fn describe(report: &MountReport) -> String {
    let source = report.source.as_ref().map_or("nothing", |source| source.name.as_str());
    match &report.used {
        MountUse::Works => format!("{source} can be used"),
        MountUse::NotMounted => "nothing is mounted".to_owned(),
        MountUse::Fails { step, why } => format!("{source}: {step} fails: {why}"),
        MountUse::Hangs { for_ms, .. } => format!("{source} hangs for {}", human_ms(*for_ms)),
    }
}

fn standing(
    inputs: Inputs<'_>,
    master: Option<&HostName>,
    mount: &MountSpec,
    host: &HostName,
) -> MountStanding {
    let look = Look::Mount { host: host.clone(), mount: mount.name.clone() };
    let entry = inputs.snapshot.get(&look);
    let report = entry.and_then(report);
    let rooms = || inputs.snapshot.mount_rooms(host, &mount.name);
    let full_in_ms = [
        disk::filled_in_ms(rooms().map(|(at, room)| (at, room.free_bytes))),
        disk::filled_in_ms(rooms().map(|(at, room)| (at, room.free_inodes))),
    ];
    let full_in_ms = full_in_ms.into_iter().flatten().min();
    let mut standing = MountStanding {
        mount: mount.name.clone(),
        path: mount.path.clone(),
        host: host.clone(),
        severity: mount.severity,
        source: report.and_then(source).map(str::to_owned),
        room: report.and_then(|report| report.room),
        full_in_ms,
        state: MountState::NotSeen,
        since: None,
    };
    let Some(entry) = entry else { return standing };
    standing.state = match (&entry.latest.seen, report) {
        (Err(silent), _) => unread(inputs, host, entry, silent),
        (Ok(_), Some(report)) => state(inputs, master, mount, &standing, report),
        (Ok(_), None) => MountState::NotSeen,
    };
    if let (Some((since, looks)), Some(report), true) =
        (entry.unusable, report, entry.latest.seen.is_ok())
    {
        // A probe that hangs knows since when, whoever watched.
        let began = match report.used {
            MountUse::Hangs { for_ms, .. } => At(entry.latest.at.0.saturating_sub(for_ms)),
            _ => since,
        };
        standing.since = Some(since.min(began));
        let long_ms = u64::from(UNUSABLE_LOOKS) * mount.deadline_ms;
        let hangs_long = matches!(report.used, MountUse::Hangs { for_ms, .. } if for_ms >= long_ms);
        if looks < UNUSABLE_LOOKS && !hangs_long {
            standing.state = MountState::Doubted;
        }
    }
    standing
}

fn report(entry: &Entry) -> Option<&MountReport> {
    match &entry.latest.seen {
        Ok(Seen::Mount(report)) => Some(report),
        _ => None,
    }
}

fn source(report: &MountReport) -> Option<&str> {
    report.source.as_ref().map(|source| source.name.as_str())
}

/// A host that answers otherwise and keeps silent of a mount hides something.
fn unread(inputs: Inputs<'_>, host: &HostName, entry: &Entry, silent: &Silent) -> MountState {
    let lasts = entry.streak >= inputs.spec.policy.failures;
    if lasts && votes::ssh(inputs, host) == votes::Vote::Alive {
        MountState::Unread { why: silent.to_string() }
    } else {
        MountState::NotSeen
    }
}

fn state(
    inputs: Inputs<'_>,
    master: Option<&HostName>,
    mount: &MountSpec,
    standing: &MountStanding,
    report: &MountReport,
) -> MountState {
    match &report.used {
        MountUse::NotMounted => return MountState::NotMounted,
        MountUse::Hangs { step, .. } => return MountState::Hung { step: *step },
        MountUse::Works | MountUse::Fails { .. } => {}
    }
    // What is refused may well be refused because it is another one.
    if let Some(other) = other_source(inputs, master, mount, &standing.host, report) {
        return other;
    }
    // A full one is refused in many words, not all of them plain.
    match (&report.used, low(mount, standing)) {
        (MountUse::Fails { step, why }, Some(text)) => {
            MountState::Low { text: format!("{text}; {step} fails: {why}") }
        }
        (MountUse::Fails { step, why }, None) => {
            MountState::Unusable { step: *step, why: why.clone() }
        }
        (_, Some(text)) => MountState::Low { text },
        (_, None) => MountState::Well,
    }
}

/// What must be mounted where something else is: by the configuration, or as the master has it.
fn other_source(
    inputs: Inputs<'_>,
    master: Option<&HostName>,
    mount: &MountSpec,
    host: &HostName,
    report: &MountReport,
) -> Option<MountState> {
    let found = source(report)?;
    if let Some(wanted) = &mount.source {
        let differs = wanted != found;
        return differs.then(|| MountState::OtherSource { wanted: wanted.clone(), on: None });
    }
    let first = inputs.spec.hosts.first();
    let other = master.or(first).filter(|other| *other != host)?;
    let look = Look::Mount { host: other.clone(), mount: mount.name.clone() };
    let wanted = source(report_of(inputs, &look)?)?;
    let on = Some(other.clone());
    (wanted != found).then(|| MountState::OtherSource { wanted: wanted.to_owned(), on })
}

fn report_of<'a>(inputs: Inputs<'a>, look: &Look) -> Option<&'a MountReport> {
    match inputs.snapshot.seen(look) {
        Some(Seen::Mount(report)) => Some(report),
        _ => None,
    }
}

/// How much is left where that is little; what is only read needs no room.
fn low(mount: &MountSpec, standing: &MountStanding) -> Option<String> {
    let room = standing.room.filter(|_| mount.access == MountAccess::ReadWrite)?;
    let soon = standing.full_in_ms.filter(|ms| *ms < mount.low_ms);
    let bytes = room.free_bytes < mount.low_bytes;
    (soon.is_some() || bytes || has_few_inodes(&room)).then(|| room_text(&room, soon))
}

/// Whether there is room for few more files, however small.
pub(crate) fn has_few_inodes(room: &MountRoom) -> bool {
    room.inodes > 0 && room.free_inodes < INODES_LOW.min(room.inodes / INODES_LOW_SHARE)
}

/// The room in words, and when it would be full if that is told.
pub(crate) fn room_text(room: &MountRoom, full_in_ms: Option<u64>) -> String {
    let (free, size) = (human_bytes(room.free_bytes), human_bytes(room.size_bytes));
    let soon = full_in_ms.map_or_else(String::new, |ms| format!(", full in {}", human_ms(ms)));
    let inodes = match room.inodes {
        0 => String::new(),
        all => format!(", {} of {all} inodes", room.free_inodes),
    };
    format!("{free} of {size}{inodes} free{soon}")
}

#[cfg(test)]
#[path = "mounts_tests.rs"]
mod tests;
