//! Keeps the latest answer to every look and how often in a row it was of that kind.
//!
//! It judges nothing. A snapshot is the ledger's content; every datum in it has an age.

use std::collections::{BTreeMap, VecDeque};

use crate::files::FileSetReport;
use crate::mounts::{MountRoom, MountUse};
use crate::policy::UsersGo;
use crate::sighting::{
    Admission, CheckResult, Class, DatabaseBusy, DatabaseReport, Look, Says, Seen, ServerReport,
    Sighting, SystemState,
};
use crate::words::{At, HostName, Lsn, MountName};

/// How many past positions of a master's log are kept: enough for the longest loss budget that
/// makes sense at the default pace.
const POSITIONS_KEPT: usize = 128;

/// How many past looks at a disk are kept: five minutes of them at the default pace.
const DISK_LOOKS_KEPT: usize = 60;
/// The disks that a host shows: that of its data, and that of its log.
const DISKS_KEPT: usize = 2;

/// The latest answer to one look, with its streak.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The latest answer.
    pub latest: Sighting,
    /// How that answer counts.
    pub class: Class,
    /// Answers of this class in a row, this one included.
    pub streak: u32,
    /// When the first answer of this streak came.
    pub since: At,
    /// The last database report, however old: the base of every loss estimate.
    pub last_report: Option<(At, DatabaseReport)>,
    /// For file sets: what was last said of them, however long ago.
    pub last_files: Option<(At, Vec<FileSetReport>)>,
    /// When this machine or database was last seen on its way down, which is by order; none once
    /// it has been seen up again.
    pub going_down_at: Option<At>,
    /// When this database was last seen to fall: gone, or starting, without having been stopped.
    pub fell_at: Option<At>,
    /// For a database: since when it has been a standby whose walreceiver does not stream.
    pub idle_since: Option<At>,
    /// For a primary: since when its commits have waited for a standby that is away.
    pub waits_since: Option<At>,
    /// The standby that holds every commit acknowledged since: asked to, and seen to, without a
    /// change in between.
    pub on_both: Option<String>,
    /// When they were last seen to wait.
    pub waited_at: Option<At>,
    /// For a PgBouncer: since when a database of it has been paused.
    pub paused_since: Option<At>,
    /// For a machine: since when its monitor file has said *out*.
    pub out_since: Option<At>,
    /// For sessions: since when there has been none.
    pub quiet_since: Option<At>,
    /// For a mount: since when it could not be used, and in how many looks in a row.
    pub unusable: Option<(At, u32)>,
    /// For a proxy's table: since when its checks of each host have failed without a break.
    pub failing_since: BTreeMap<HostName, At>,
    /// For a proxy's table: since when each host has been out of every backend whose users may go
    /// to every host.
    pub shut_since: BTreeMap<HostName, At>,
}

/// All latest answers of one pair: what `digest` reads.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    entries: BTreeMap<Look, Entry>,
    positions: BTreeMap<HostName, VecDeque<(At, Lsn)>>,
    free_bytes: BTreeMap<(HostName, usize), VecDeque<(At, u64)>>,
    mount_rooms: BTreeMap<(HostName, MountName), VecDeque<(At, MountRoom)>>,
}

impl Snapshot {
    /// The latest answer to `look`.
    pub fn get(&self, look: &Look) -> Option<&Entry> {
        self.entries.get(look)
    }

    /// The answer's content if the latest answer is not silence.
    pub fn seen(&self, look: &Look) -> Option<&Seen> {
        self.entries.get(look).and_then(|entry| entry.latest.seen.as_ref().ok())
    }

    /// All latest answers, in a stable order.
    pub fn entries(&self) -> impl Iterator<Item = (&Look, &Entry)> {
        self.entries.iter()
    }

    /// Positions of `host`'s log while it was a primary, oldest first.
    pub fn positions(&self, host: &HostName) -> impl DoubleEndedIterator<Item = (At, Lsn)> + '_ {
        self.positions.get(host).into_iter().flatten().copied()
    }

    /// Bytes that were free on one of `host`'s disks, oldest first.
    pub fn free_bytes(
        &self,
        host: &HostName,
        disk: usize,
    ) -> impl DoubleEndedIterator<Item = (At, u64)> + '_ {
        self.free_bytes.get(&(host.clone(), disk)).into_iter().flatten().copied()
    }

    /// The room that was on one of `host`'s mounts, oldest first.
    pub fn mount_rooms(
        &self,
        host: &HostName,
        mount: &MountName,
    ) -> impl DoubleEndedIterator<Item = (At, MountRoom)> + '_ {
        let rooms = self.mount_rooms.get(&(host.clone(), mount.clone()));
        rooms.into_iter().flatten().copied()
    }

    /// True if there is no answer at all, only silence: the fault may be ours.
    pub fn is_blind(&self) -> bool {
        let mut entries = self.entries.iter().filter(|(look, _)| !look.is_slow());
        entries.all(|(_, entry)| entry.class == Class::Silent)
    }

    /// True if nothing on `host` answers anybody, and the machine itself has not for so many
    /// rounds.
    pub fn is_silent(&self, host: &HostName, rounds: u32) -> bool {
        let of_host = |look: &Look| look.host() == Some(host) && !look.is_slow();
        let mut entries = self.entries.iter().filter(|(look, _)| of_host(look));
        let machine = self.get(&Look::Machine(host.clone()));
        entries.all(|(_, entry)| entry.class == Class::Silent)
            && machine.is_some_and(|entry| entry.streak >= rounds)
    }

    /// Takes one answer in. Answers that are older than what is known are dropped.
    pub fn take(&mut self, sighting: Sighting) {
        let was_blind = self.is_blind() && !self.entries.is_empty();
        let class = sighting.class();
        let at = sighting.at;
        let report = match &sighting.seen {
            Ok(Seen::Database(report)) => Some((sighting.at, report.clone())),
            _ => None,
        };
        if let Some((at, report)) = &report
            && !report.in_recovery
            && let Some(host) = sighting.look.host()
        {
            self.note_position(host.clone(), *at, report.lsn);
        }
        let files = match &sighting.seen {
            Ok(Seen::Files(reports)) => Some((sighting.at, reports.clone())),
            _ => None,
        };
        let going_down_at = going_down(&sighting).then_some(sighting.at);
        self.note_free_bytes(&sighting);
        self.note_mount_room(&sighting);
        match self.entries.get_mut(&sighting.look) {
            Some(entry) if entry.latest.asked_at > sighting.asked_at => return,
            Some(entry) => {
                if falls(entry, &sighting) {
                    entry.fell_at = Some(sighting.at);
                }
                if entry.class == class {
                    entry.streak = entry.streak.saturating_add(1);
                } else {
                    entry.streak = 1;
                    entry.since = sighting.at;
                }
                entry.note(&sighting);
                entry.class = class;
                entry.last_report = report.or(entry.last_report.take());
                entry.last_files = files.or(entry.last_files.take());
                let still = entry.going_down_at.filter(|_| !is_up(&sighting));
                entry.going_down_at = going_down_at.or(still);
                entry.latest = sighting;
            }
            None => {
                let mut entry = Entry {
                    idle_since: None,
                    paused_since: None,
                    unusable: None,
                    waits_since: None,
                    waited_at: None,
                    on_both: None,
                    out_since: None,
                    quiet_since: None,
                    failing_since: BTreeMap::new(),
                    shut_since: BTreeMap::new(),
                    class,
                    streak: 1,
                    since: sighting.at,
                    last_report: report,
                    last_files: files,
                    going_down_at,
                    fell_at: None,
                    latest: sighting.clone(),
                };
                entry.note(&sighting);
                self.entries.insert(sighting.look, entry);
            }
        }
        if was_blind && class != Class::Silent {
            self.forget_silence(at);
        }
    }

    /// Puts back a position learned before a restart of the observer.
    pub fn note_position(&mut self, host: HostName, at: At, lsn: Lsn) {
        let positions = self.positions.entry(host).or_default();
        // What was learned before a start may come in any order; only the newest is the bound.
        if positions.back().is_some_and(|(last_at, _)| *last_at > at) {
            return;
        }
        // A primary's log only grows; a smaller position means another history has begun.
        if positions.back().is_some_and(|(_, last)| *last > lsn) {
            positions.clear();
        }
        if positions.len() == POSITIONS_KEPT {
            positions.pop_front();
        }
        positions.push_back((at, lsn));
    }

    fn note_free_bytes(&mut self, sighting: &Sighting) {
        let (Look::Disk(host), Ok(Seen::Disk(rooms))) = (&sighting.look, &sighting.seen) else {
            return;
        };
        for (index, room) in rooms.iter().take(DISKS_KEPT).enumerate() {
            let watched = self.free_bytes.entry((host.clone(), index)).or_default();
            if watched.back().is_some_and(|(last_at, _)| *last_at > sighting.at) {
                continue;
            }
            if watched.len() == DISK_LOOKS_KEPT {
                watched.pop_front();
            }
            watched.push_back((sighting.at, room.free_bytes));
        }
    }

    fn note_mount_room(&mut self, sighting: &Sighting) {
        let (Look::Mount { host, mount }, Ok(Seen::Mount(report))) =
            (&sighting.look, &sighting.seen)
        else {
            return;
        };
        let Some(room) = report.room else { return };
        let watched = self.mount_rooms.entry((host.clone(), mount.clone())).or_default();
        if watched.back().is_some_and(|(last_at, _)| *last_at > sighting.at) {
            return;
        }
        if watched.len() == DISK_LOOKS_KEPT {
            watched.pop_front();
        }
        watched.push_back((sighting.at, room));
    }

    /// Forgets looks that are no longer asked, after a change of roles.
    pub fn retain(&mut self, asked: &[Look]) {
        self.entries.retain(|look, _| asked.contains(look));
    }

    /// Silence counted while nothing at all could be seen says nothing about the others.
    fn forget_silence(&mut self, now: At) {
        for entry in self.entries.values_mut().filter(|entry| entry.class == Class::Silent) {
            entry.streak = 0;
            entry.since = now;
        }
    }
}

impl Entry {
    /// Takes note of since when what an answer tells of has been so.
    fn note(&mut self, sighting: &Sighting) {
        note_failing(&mut self.failing_since, sighting);
        note_shut(&mut self.shut_since, sighting);
        note_idle(&mut self.idle_since, sighting);
        note_waiting(&mut self.waits_since, sighting);
        note_paused(&mut self.paused_since, sighting);
        note_on_both(&mut self.on_both, sighting);
        note_out(&mut self.out_since, sighting);
        note_quiet(&mut self.quiet_since, sighting);
        note_unusable(&mut self.unusable, sighting);
        if self.waits_since.is_some() {
            self.waited_at = Some(sighting.at);
        }
    }
}

fn note_out(out_since: &mut Option<At>, sighting: &Sighting) {
    // Silence says nothing of the file.
    let Ok(Seen::Machine(report)) = &sighting.seen else { return };
    match report.monitor {
        Some(Says::Out) => *out_since = out_since.or(Some(sighting.at)),
        Some(Says::In) | None => *out_since = None,
    }
}

fn note_quiet(quiet_since: &mut Option<At>, sighting: &Sighting) {
    match &sighting.seen {
        Ok(Seen::Sessions(0)) => *quiet_since = quiet_since.or(Some(sighting.at)),
        _ => *quiet_since = None,
    }
}

fn note_failing(failing_since: &mut BTreeMap<HostName, At>, sighting: &Sighting) {
    let Ok(Seen::Proxy(report)) = &sighting.seen else { return };
    let failing = |server: &&ServerReport| server.check == CheckResult::Failing;
    let now: Vec<&HostName> = report.servers.iter().filter(failing).map(|s| &s.host).collect();
    failing_since.retain(|host, _| now.contains(&host));
    for host in now {
        failing_since.entry(host.clone()).or_insert(sighting.at);
    }
}

fn note_shut(shut_since: &mut BTreeMap<HostName, At>, sighting: &Sighting) {
    let Ok(Seen::Proxy(report)) = &sighting.seen else { return };
    let shared = || report.servers.iter().filter(|row| row.users == UsersGo::EveryHost);
    let is_open = |host: &HostName| {
        shared().any(|row| row.host == *host && row.admission != Admission::TakenOut)
    };
    shut_since.retain(|host, _| !is_open(host) && shared().any(|row| row.host == *host));
    for row in shared().filter(|row| !is_open(&row.host)) {
        shut_since.entry(row.host.clone()).or_insert(sighting.at);
    }
}

fn note_idle(idle_since: &mut Option<At>, sighting: &Sighting) {
    // Silence says nothing of the walreceiver.
    let Ok(seen) = &sighting.seen else { return };
    let streams = |report: &DatabaseReport| {
        report.walreceiver.as_ref().is_some_and(|receiver| receiver.streaming)
    };
    match seen {
        Seen::Database(report) if report.in_recovery && !streams(report) => {
            idle_since.get_or_insert(sighting.at);
        }
        _ => *idle_since = None,
    }
}

fn note_waiting(waits_since: &mut Option<At>, sighting: &Sighting) {
    let Ok(seen) = &sighting.seen else { return };
    match seen {
        Seen::Database(report)
            if !report.synchrony.asked.is_empty() && report.synchrony.held.is_empty() =>
        {
            waits_since.get_or_insert(sighting.at);
        }
        _ => *waits_since = None,
    }
}

fn note_paused(paused_since: &mut Option<At>, sighting: &Sighting) {
    let Ok(seen) = &sighting.seen else { return };
    match seen {
        Seen::Bouncer(report) if report.paused().next().is_some() => {
            paused_since.get_or_insert(sighting.at);
        }
        _ => *paused_since = None,
    }
}

fn note_on_both(on_both: &mut Option<String>, sighting: &Sighting) {
    let Ok(Seen::Database(report)) = &sighting.seen else { return };
    let [asked] = &report.synchrony.asked[..] else {
        *on_both = None;
        return;
    };
    if report.synchrony.held.contains(asked) {
        *on_both = Some(asked.clone());
    } else if on_both.as_ref() != Some(asked) {
        // Asked and never seen to hold: commits of before may still be on their way there.
        *on_both = None;
    }
}

fn note_unusable(unusable: &mut Option<(At, u32)>, sighting: &Sighting) {
    // Silence says nothing of the mount.
    let Ok(Seen::Mount(report)) = &sighting.seen else { return };
    *unusable = match (&report.used, &unusable) {
        (MountUse::Works, _) => None,
        (_, Some((since, looks))) => Some((*since, looks.saturating_add(1))),
        (_, None) => Some((sighting.at, 1)),
    };
}

/// Whether a database that took queries is found gone or starting, with no word of a stop between.
fn falls(entry: &Entry, sighting: &Sighting) -> bool {
    matches!(entry.latest.seen, Ok(Seen::Database(_)))
        && matches!(sighting.seen, Ok(Seen::Refused | Seen::DatabaseBusy(DatabaseBusy::StartingUp)))
}

fn going_down(sighting: &Sighting) -> bool {
    match &sighting.seen {
        Ok(Seen::Machine(report)) => report.system == SystemState::Stopping,
        Ok(Seen::DatabaseBusy(busy)) => *busy == DatabaseBusy::ShuttingDown,
        _ => false,
    }
}

/// Whether what went down is up again, so that the order is done with. A single session that was
/// ended from outside says *shutting down* too, and the next one tells otherwise.
fn is_up(sighting: &Sighting) -> bool {
    match &sighting.seen {
        Ok(Seen::Machine(report)) => report.system == SystemState::Running,
        Ok(Seen::Database(_)) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sighting::{LeaseSeen, MachineReport, Silent, Vantage};

    fn port(host: &str) -> Look {
        Look::Port { host: host.into(), from: Vantage::Observer }
    }

    fn sighting(look: Look, at: u64, seen: Result<Seen, Silent>) -> Sighting {
        Sighting { look, asked_at: At(at), at: At(at), seen }
    }

    #[test]
    fn a_streak_counts_answers_of_one_class() {
        let mut snapshot = Snapshot::default();
        for at in 1..=3 {
            snapshot.take(sighting(port("a"), at, Ok(Seen::Refused)));
        }
        let entry = snapshot.get(&port("a")).unwrap();
        assert_eq!((entry.class, entry.streak, entry.since), (Class::Dead, 3, At(1)));
        snapshot.take(sighting(port("a"), 4, Ok(Seen::PortOpen)));
        assert_eq!(snapshot.get(&port("a")).unwrap().streak, 1);
    }

    #[test]
    fn silence_counted_while_blind_is_forgotten_when_sight_returns() {
        let mut snapshot = Snapshot::default();
        for at in 1..=5 {
            snapshot.take(sighting(port("a"), at, Err(Silent::Timeout)));
            snapshot.take(sighting(port("b"), at, Err(Silent::Timeout)));
        }
        assert!(snapshot.is_blind());
        snapshot.take(sighting(port("b"), 6, Ok(Seen::PortOpen)));
        assert_eq!(snapshot.get(&port("a")).unwrap().streak, 0, "that silence was our own");
    }

    /// A session ended by hand says *shutting down* as an administrator's stop does. The next one
    /// is answered, and what dies soon after is dead, not being restarted.
    #[test]
    fn what_is_up_again_is_no_longer_on_its_way_down() {
        let machine = |at, system| {
            let (units, lease) = (Vec::new(), LeaseSeen::None);
            let report = MachineReport { system, units, tombstone: false, lease, monitor: None };
            sighting(Look::Machine("a".into()), at, Ok(Seen::Machine(report)))
        };
        let mut snapshot = Snapshot::default();
        let going_down_at = |snapshot: &Snapshot| {
            snapshot.get(&Look::Machine("a".into())).and_then(|entry| entry.going_down_at)
        };
        snapshot.take(machine(1, SystemState::Stopping));
        snapshot.take(sighting(Look::Machine("a".into()), 2, Err(Silent::Timeout)));
        assert_eq!(going_down_at(&snapshot), Some(At(1)), "silence is no word of an end");
        snapshot.take(machine(3, SystemState::Running));
        assert_eq!(going_down_at(&snapshot), None);
    }

    #[test]
    fn a_late_answer_does_not_replace_a_newer_one() {
        let mut snapshot = Snapshot::default();
        snapshot.take(sighting(port("a"), 9, Err(Silent::Timeout)));
        snapshot.take(sighting(port("b"), 9, Ok(Seen::PortOpen)));
        snapshot.take(sighting(port("b"), 3, Err(Silent::Timeout)));
        assert_eq!(snapshot.get(&port("b")).unwrap().class, Class::Good);
    }
}
