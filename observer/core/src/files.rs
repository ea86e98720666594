//! Sets of files that a slave keeps a copy of: what a pass is, and what is seen of one.
//!
//! A pass runs on the slave by itself and fetches from the master. Nothing here says whether a set
//! is behind: that is `digest`'s work. How files are copied is the world's.

pub mod entry;
pub mod exclude;
pub mod verify;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::words::{Epoch, FileSetName, HostName};

/// What a pass is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PassKind {
    /// It keeps the slave's copy near, at the set's pace.
    Routine,
    /// It comes right before users are held for a switchover, so that the last one is short.
    Near,
    /// It comes while users wait and nothing changes any more, and must find nothing left.
    Last,
}

impl PassKind {
    /// The word that stands for it where the pass can read it.
    pub fn word(self) -> &'static str {
        match self {
            PassKind::Routine => "routine",
            PassKind::Near => "near",
            PassKind::Last => "last",
        }
    }

    /// The kind of such a word.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Routine, Self::Near, Self::Last].into_iter().find(|kind| kind.word() == word)
    }
}

impl fmt::Display for PassKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How many files a pass may delete on the slave.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deletions {
    /// As many as the set's limits allow.
    #[default]
    Limited,
    /// This many: a person has seen the number and allowed it, once.
    Allowed(u64),
}

/// One pass that is to begin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PassOrder {
    /// The host that fetches: a slave.
    pub host: HostName,
    /// The host it fetches from: the master.
    pub source: HostName,
    /// The file set.
    pub set: FileSetName,
    /// What it is for.
    pub kind: PassKind,
    /// How many files it may delete.
    pub deletions: Deletions,
    /// The epoch in which these are master and slave.
    pub epoch: Epoch,
}

/// What a host says of the passes of one file set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileSetReport {
    /// The file set.
    pub set: FileSetName,
    /// How far the pass that runs has come, if one runs.
    pub running: Option<String>,
    /// The last pass that left nothing behind.
    pub clean: Option<CleanPass>,
    /// Why the last pass left something behind, if it did.
    pub trouble: Option<PassTrouble>,
}

/// A pass that left nothing behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CleanPass {
    /// What it was for.
    pub kind: PassKind,
    /// The epoch it was ordered in.
    pub epoch: Epoch,
    /// How long ago it began, in milliseconds: what changed after that may be missing.
    pub began_ms_ago: u64,
    /// What it took, in milliseconds.
    pub took_ms: u64,
    /// Files whose content it brought.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Files that were deleted, and kept aside.
    pub deleted: u64,
    /// Files and folders of the set.
    pub total: u64,
}

/// Why a pass left something behind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PassTrouble {
    /// It brought everything, and would have deleted more files than the limits allow.
    TooManyDeletions {
        /// How many it would have deleted.
        deletions: u64,
        /// How many files and folders the set has on the master.
        of: u64,
    },
    /// It brought everything that is there, which lacks files that are declared by name. The
    /// slave's copies of these were left alone.
    Missing {
        /// Their names.
        files: Vec<String>,
    },
    /// It failed; its last words.
    Failed(String),
}

impl CleanPass {
    /// The age that the oldest change reaches which the slave may lack, while passes take what this
    /// one took and follow each other at once: one that came right behind a look is brought by the
    /// next pass.
    pub fn lags_ms(&self) -> u64 {
        self.took_ms.saturating_mul(2)
    }
}

impl fmt::Display for PassTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PassTrouble::TooManyDeletions { deletions, of } => write!(
                f,
                "the master lacks {deletions} files that the slave has, more than the limit; it \
                 has {of}"
            ),
            PassTrouble::Missing { files } => write!(
                f,
                "the master lacks {}, declared by name; the slave's copy is left as it is",
                files.join(", ")
            ),
            PassTrouble::Failed(why) => f.write_str(why),
        }
    }
}
