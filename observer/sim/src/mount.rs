//! The shared mount of simulated hosts: one storage, and what each host sees of it.

use observer_core::mounts::{
    MountAccess, MountReport, MountRoom, MountSource, MountSpec, MountStep, MountUse,
};
use observer_core::sighting::Seen;
use observer_core::validate::Severity;
use observer_core::words::At;

/// What a host sees of the shared mount.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mount {
    /// It works.
    #[default]
    Works,
    /// It answers nothing since this moment.
    Hangs(At),
    /// Nothing is mounted.
    Absent,
    /// It may be read only.
    ReadOnly,
    /// Another storage is mounted.
    Other,
}

/// The mount that a pair with one has.
pub fn one_mount() -> MountSpec {
    MountSpec {
        name: "keys".into(),
        path: "/srv/keys".to_owned(),
        source: None,
        access: MountAccess::ReadWrite,
        low_bytes: 1 << 20,
        low_ms: 600_000,
        every_ms: 5_000,
        deadline_ms: 2_000,
        severity: Severity::Severe,
    }
}

impl Mount {
    /// The same as it is from this moment on.
    pub(crate) fn begun(self, now: At) -> Self {
        if matches!(self, Mount::Hangs(_)) { Mount::Hangs(now) } else { self }
    }

    /// The answer to a look at it.
    pub(crate) fn see(self, now: At) -> Seen {
        let name = if self == Mount::Other { "other:/keys" } else { "storage:/keys" };
        let used = match self {
            Mount::Works | Mount::Other => MountUse::Works,
            Mount::Hangs(since) => {
                MountUse::Hangs { step: Some(MountStep::Write), for_ms: now.since(since) }
            }
            Mount::Absent => {
                let (source, room) = (None, None);
                return Seen::Mount(MountReport { source, used: MountUse::NotMounted, room });
            }
            Mount::ReadOnly => {
                let why = "Read-only file system".to_owned();
                MountUse::Fails { step: MountStep::Write, why }
            }
        };
        let room = MountRoom {
            size_bytes: 100 << 30,
            free_bytes: 50 << 30,
            inodes: 1_000_000,
            free_inodes: 900_000,
        };
        let source = Some(MountSource { name: name.to_owned(), kind: "nfs4".to_owned() });
        let room = (!matches!(self, Mount::Hangs(_))).then_some(room);
        Seen::Mount(MountReport { source, used, room })
    }
}
