//! The disk that a simulated database and its log lie on.

use observer_core::sighting::DiskRoom;
use observer_core::words::At;

const SIZE_BYTES: u64 = 100 << 30;
const ROOMY_BYTES: u64 = 50 << 30;
const LOW_BYTES: u64 = 100 << 20;
/// So fast a filling disk fills, per millisecond.
const FILLS_BYTES: u64 = 100 << 10;

/// Records that find room on the observer's full disk: more than a plan writes, unless it is stuck
/// for long; then even the reserve is used up.
pub const RESERVED: u32 = 100;

/// How much room there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disk {
    /// Plenty.
    Roomy,
    /// Little; nothing fails yet.
    Low,
    /// It has filled steadily since this moment.
    Filling(At),
    /// None: nothing can be committed.
    Full,
    /// Plenty, and every write fails.
    Failing,
    /// None for the log: commits succeed until its next segment is needed, which the database
    /// does not survive.
    LogFull,
}

impl Disk {
    /// True if nothing can be committed on it.
    pub fn refuses_commits(self) -> bool {
        matches!(self, Disk::Full | Disk::Failing)
    }

    /// True if no file can grow.
    pub fn is_used_up(self) -> bool {
        matches!(self, Disk::Full | Disk::LogFull)
    }

    /// As a look at it shows it: the disk of the data, and that of its log.
    pub(crate) fn rooms(self, now: At) -> Vec<DiskRoom> {
        let (data, log) = match self {
            Disk::Roomy | Disk::Failing => (ROOMY_BYTES, ROOMY_BYTES),
            Disk::Low => (LOW_BYTES, LOW_BYTES),
            Disk::Filling(since) => {
                let left = ROOMY_BYTES.saturating_sub(now.since(since) * FILLS_BYTES);
                (left, left)
            }
            Disk::Full => (0, 0),
            Disk::LogFull => (ROOMY_BYTES, 0),
        };
        let room = |place: &str, free_bytes| DiskRoom {
            place: place.to_owned(),
            size_bytes: SIZE_BYTES,
            free_bytes,
        };
        vec![room("/data", data), room("/data/pg_wal", log)]
    }
}
