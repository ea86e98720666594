//! How full the disks of the databases are, and how soon they would be full.
//!
//! What a full disk does to a master is judged by whether it can commit, in `master`.

use super::{DiskLow, Inputs};
use crate::sighting::{DiskRoom, Look, Seen};
use crate::words::{At, HostName, human_bytes, human_ms};

/// With less than one segment of log, the next one cannot be made: the server falls when it needs
/// it, and a promotion needs one at once.
const SEGMENT_BYTES: u64 = 16 << 20;

/// With less than this no checkpoint succeeds, for it makes small files: the server cannot even be
/// shut down in order.
const CHECKPOINT_BYTES: u64 = 1 << 20;

/// How long a disk must have been watched before it is told when it would be full.
const WATCHED_MS: u64 = 120_000;

/// The hosts whose disk is low by the policy, in configured order.
pub(super) fn low(inputs: Inputs<'_>) -> Vec<DiskLow> {
    let policy = &inputs.spec.policy;
    let mut found = Vec::new();
    for host in &inputs.spec.hosts {
        let rooms = rooms(inputs, host).iter().enumerate();
        let low = rooms.map(|(index, room)| (room, full_in_ms(inputs, host, index))).find(
            |(room, full_in_ms)| {
                let soon = full_in_ms.is_some_and(|ms| ms < policy.disk_low_ms);
                room.free_bytes < policy.disk_low_bytes || soon
            },
        );
        if let Some((room, full_in_ms)) = low {
            let (host, text) = (host.clone(), text(room, full_in_ms));
            found.push(DiskLow { host, text });
        }
    }
    found
}

/// True if a disk of `host` has no room for another segment of log.
pub(super) fn is_used_up(inputs: Inputs<'_>, host: &HostName) -> bool {
    rooms(inputs, host).iter().any(|room| room.free_bytes < SEGMENT_BYTES)
}

/// True if the disk of the data on `host` has no room for a last checkpoint.
pub(super) fn forbids_an_orderly_stop(inputs: Inputs<'_>, host: &HostName) -> bool {
    // The data's disk is shown first.
    rooms(inputs, host).first().is_some_and(|room| room.free_bytes < CHECKPOINT_BYTES)
}

/// What a look at a disk says, in words.
pub(super) fn describe(rooms: &[DiskRoom]) -> String {
    match rooms.iter().min_by_key(|room| room.free_bytes) {
        Some(room) => text(room, None),
        None => "answers".to_owned(),
    }
}

fn text(room: &DiskRoom, full_in_ms: Option<u64>) -> String {
    let (free, size) = (human_bytes(room.free_bytes), human_bytes(room.size_bytes));
    let soon = full_in_ms.map_or_else(String::new, |ms| format!(", full in {}", human_ms(ms)));
    format!("{free} of {size} free on {}{soon}", room.place)
}

fn rooms<'a>(inputs: Inputs<'a>, host: &HostName) -> &'a [DiskRoom] {
    match inputs.snapshot.seen(&Look::Disk(host.clone())) {
        Some(Seen::Disk(rooms)) => rooms,
        _ => &[],
    }
}

/// When the disk at `index` of `host`'s would be full, were it to fill on as it did since it is
/// watched; none where that is too short, or where it does not fill.
fn full_in_ms(inputs: Inputs<'_>, host: &HostName, index: usize) -> Option<u64> {
    filled_in_ms(inputs.snapshot.free_bytes(host, index))
}

/// When nothing would be left of what is watched, in milliseconds; none where it was not watched
/// for long enough, or does not grow less.
pub(super) fn filled_in_ms(mut watched: impl DoubleEndedIterator<Item = (At, u64)>) -> Option<u64> {
    let (from, before): (At, u64) = watched.next()?;
    let (until, now) = watched.next_back()?;
    let took_ms = until.since(from);
    let used = before.checked_sub(now).filter(|used| *used > 0)?;
    (took_ms >= WATCHED_MS).then(|| now.saturating_mul(took_ms) / used)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Memory;
    use crate::ledger::Snapshot;
    use crate::policy::{PairSpec, Policy};
    use crate::sighting::{Sighting, Silent};

    const GIB: u64 = 1 << 30;

    /// What is said of a disk of which so much was free at so many seconds.
    fn said(looks: &[(u64, u64)]) -> Vec<String> {
        let host: HostName = "node-a".into();
        let mut snapshot = Snapshot::default();
        for (seconds, free_bytes) in looks {
            let place = "/data".to_owned();
            let room = DiskRoom { place, size_bytes: 100 * GIB, free_bytes: *free_bytes };
            let at = At(seconds * 1_000);
            let seen = Ok(Seen::Disk(vec![room]));
            snapshot.take(Sighting { look: Look::Disk(host.clone()), asked_at: at, at, seen });
        }
        let spec = PairSpec {
            name: "desk".into(),
            hosts: vec![host],
            proxies: Vec::new(),
            store: crate::policy::Store::OnHosts,
            sharing: Vec::new(),
            bouncers: Vec::new(),
            files: Vec::new(),
            monitor: None,
            mounts: Vec::new(),
            services: Vec::new(),
            policy: Policy::default(),
        };
        let memory = Memory::default();
        let inputs = Inputs { snapshot: &snapshot, spec: &spec, memory: &memory, now: At(0) };
        low(inputs).into_iter().map(|low| low.text).collect()
    }

    #[test]
    fn little_room_is_low_at_once_and_much_only_while_it_shrinks_fast() {
        assert_eq!(said(&[]), [""; 0], "what is not seen is not judged");
        assert_eq!(said(&[(0, 40 * GIB)]), [""; 0]);
        assert_eq!(said(&[(0, GIB / 4)]), ["256.0 MiB of 100.0 GiB free on /data"]);
        let fast = [(0, 40 * GIB), (60, 30 * GIB), (120, 20 * GIB)];
        assert_eq!(said(&fast), ["20.0 GiB of 100.0 GiB free on /data, full in 2 min"]);
        assert_eq!(said(&fast[..2]), [""; 0], "not watched for long enough");
        assert_eq!(said(&[(0, 40 * GIB), (120, 39 * GIB)]), [""; 0], "slowly");
        assert_eq!(said(&[(0, 20 * GIB), (60, 10 * GIB), (120, 40 * GIB)]), [""; 0], "freed");
    }

    #[test]
    fn a_disk_that_is_no_longer_shown_is_no_longer_judged() {
        let host: HostName = "node-a".into();
        let mut snapshot = Snapshot::default();
        let room = DiskRoom { place: "/".to_owned(), size_bytes: GIB, free_bytes: 0 };
        for (at, seen) in [(At(1), Ok(Seen::Disk(vec![room]))), (At(2), Err(Silent::Timeout))] {
            snapshot.take(Sighting { look: Look::Disk(host.clone()), asked_at: at, at, seen });
        }
        let hosts = vec![host.clone()];
        let policy = Policy::default();
        let (proxies, services) = (Vec::new(), Vec::new());
        let spec = PairSpec {
            name: "desk".into(),
            hosts,
            proxies,
            store: crate::policy::Store::OnHosts,
            sharing: Vec::new(),
            bouncers: Vec::new(),
            files: Vec::new(),
            monitor: None,
            mounts: Vec::new(),
            services,
            policy,
        };
        let memory = Memory::default();
        let inputs = Inputs { snapshot: &snapshot, spec: &spec, memory: &memory, now: At(3) };
        assert!(!is_used_up(inputs, &host));
    }
}
