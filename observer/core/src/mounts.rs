//! Mounts that the hosts share: what is declared of one, and what a look at it shows.
//!
//! Nothing here says whether that is well: it is `digest`'s work. How a mount is tried without
//! hanging along with it is the world's.

use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};

use crate::policy::PROBE_WAY_MS;
use crate::validate::Severity;
use crate::words::{HostName, MountName};

/// One mount that every host has. The account that tries it is the world's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MountSpec {
    /// Name used in reports.
    pub name: MountName,
    /// Where it is mounted, the same on every host.
    pub path: String,
    /// What must be mounted there; where nothing is said, the same on all hosts.
    pub source: Option<String>,
    /// What the service needs of it.
    pub access: MountAccess,
    /// Free bytes below which it counts as low.
    pub low_bytes: u64,
    /// So does one that would be full within this time, in milliseconds, were it to fill on as it
    /// lately did.
    pub low_ms: u64,
    /// Pace of looks at it, in milliseconds.
    pub every_ms: u64,
    /// How long one probe may take on the host, in milliseconds.
    pub deadline_ms: u64,
    /// Whether the pair counts as protected while it is amiss on the slave.
    pub severity: Severity,
}

impl MountSpec {
    /// How long an answer to a look at it may take, in milliseconds: an earlier probe is waited
    /// for, and then there is its own.
    pub fn look_deadline_ms(&self) -> u64 {
        2 * self.deadline_ms + PROBE_WAY_MS
    }
}

/// What the service needs of a mount.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountAccess {
    /// Reading, writing, renaming and locking.
    ReadWrite,
    /// Reading alone.
    ReadOnly,
}

/// What a look at a mount on one host shows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MountReport {
    /// What is mounted there; none if nothing is.
    pub source: Option<MountSource>,
    /// What came of trying it.
    pub used: MountUse,
    /// Its room, where it said so.
    pub room: Option<MountRoom>,
}

/// What is mounted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MountSource {
    /// As the kernel names it, such as `storage:/export/desk`; a part of it stands in brackets.
    pub name: String,
    /// The kind of file system, such as `nfs4`.
    pub kind: String,
}

/// What came of trying a mount as the service uses it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountUse {
    /// Everything that the service needs works.
    Works,
    /// It was not tried: nothing is mounted, and what lies below is another disk.
    NotMounted,
    /// Something is refused.
    Fails {
        /// What.
        step: MountStep,
        /// In whose words.
        why: String,
    },
    /// It answers nothing.
    Hangs {
        /// What hangs, where that is known.
        step: Option<MountStep>,
        /// For how long the probe has hung, in milliseconds.
        for_ms: u64,
    },
}

/// One thing that a probe does, in this order.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, EnumIter, EnumString, IntoStaticStr, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum MountStep {
    /// Goes into the folder.
    Enter,
    /// Asks for free bytes and inodes.
    Room,
    /// Removes what an earlier probe left.
    Clean,
    /// Writes a file of its own, through to the storage.
    Write,
    /// Reads it back; of a mount that is only read, its first entry.
    Read,
    /// Renames it.
    Rename,
    /// Locks it.
    Lock,
    /// Removes it.
    Remove,
}

impl MountStep {
    /// The word that stands for it where the probe prints it.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

impl fmt::Display for MountStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MountStep::Enter => "entering it",
            MountStep::Room => "asking for its room",
            MountStep::Clean => "removing an old probe",
            MountStep::Write => "writing",
            MountStep::Read => "reading",
            MountStep::Rename => "renaming",
            MountStep::Lock => "locking",
            MountStep::Remove => "removing",
        })
    }
}

/// The room on a mount.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MountRoom {
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Bytes that the account may still write.
    pub free_bytes: u64,
    /// How many inodes it has; 0 where it counts none.
    pub inodes: u64,
    /// How many of them are free.
    pub free_inodes: u64,
}

/// What a validation found of a mount on one host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MountSurvey {
    /// What a look at it shows.
    pub report: MountReport,
    /// The hosts that have left a token there, and whether this one sees it; none where tokens were
    /// not tried.
    pub tokens: Option<Vec<(HostName, Token)>>,
}

/// Whether what one host has written is there for another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Token {
    /// It is.
    Seen,
    /// It is not: they do not share what lies below.
    NotSeen,
}
