//! Proof that a slave's copy is whole: what is compared, how it is counted, and when a difference
//! is one.
//!
//! Pure: manifests and hashes are the world's. A difference is believed only after a second look
//! at it: a file that changes meanwhile is neither the same nor different.
//!
//! ```text
//!   manifests ──► same ────────────────┬──► (some) hashed ──► same
//!             └─► suspect ─┐           └───────────────────► suspect ─┐
//!                          └──► a pass later, looked at again ◄───────┘
//!                                └─► same · changing · differs, missing, extra, unreadable
//! ```

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::entry::{Aspect, Entry, Likeness, Owners};
use crate::words::{At, FileSetName, HostName, human_bytes};

/// Examples of each kind that a report holds.
pub const EXAMPLES_MAX: usize = 20;

/// By what files are compared. Everything else is always compared by what a manifest says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum By {
    /// Size and time alone.
    Metadata,
    /// A random part of the files also by their content.
    Sample {
        /// Their share, in percent.
        percent: u8,
        /// What the choice follows from: the same seed chooses the same files.
        seed: u64,
    },
    /// Every file also by its content.
    Content,
}

impl By {
    /// Whether the content of the file at `path` is compared.
    pub fn takes(self, path: &[u8]) -> bool {
        match self {
            By::Metadata => false,
            By::Content => true,
            By::Sample { percent, seed } => mixed(path, seed) % 100 < u64::from(percent),
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            By::Metadata => f.write_str("metadata"),
            By::Sample { percent, seed } => write!(f, "sample of {percent} % (seed {seed})"),
            By::Content => f.write_str("content"),
        }
    }
}

/// A number that is spread evenly over all names, another for each seed (FNV-1a, finished as
/// splitmix64 does).
fn mixed(path: &[u8], seed: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in path {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// What somebody wants to know of one set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifyOrder {
    /// The file set.
    pub set: FileSetName,
    /// Whose files they are.
    pub master: HostName,
    /// Who keeps the copy.
    pub slave: HostName,
    /// What for.
    pub purpose: Purpose,
}

/// What a comparison is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Proof: what differs is looked at twice, and the result is kept.
    Verify {
        /// By what files are compared.
        by: By,
        /// Whether the paths that the database names are looked for, too.
        database: Database,
    },
    /// What differs right now, below this path.
    Diff {
        /// Relative to the set's folder; empty for all of it.
        below: Vec<u8>,
    },
}

/// Whether the paths that a database names are looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Database {
    /// They are.
    Asked,
    /// They are not.
    #[default]
    Left,
}

/// How far a comparison is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Files and folders compared.
    pub entries: u64,
    /// Bytes hashed on each host.
    pub hashed_bytes: u64,
    /// Bytes to hash on each host, as far as they are known.
    pub of_bytes: u64,
}

/// The stages of a comparison, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, IntoStaticStr, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Stage {
    /// The database is asked which paths must exist.
    #[default]
    Asking,
    /// The manifests are compared.
    Comparing,
    /// Files are hashed.
    Hashing,
    /// A pass is waited for, so that what was on its way has arrived.
    Waiting,
    /// What differed is looked at again.
    LookingAgain,
}

/// What something turned out to be.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, IntoStaticStr, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Class {
    /// It is on both hosts and not the same.
    Differs,
    /// The slave has none.
    Missing,
    /// Only the slave has one.
    Extra,
    /// It changed while it was compared.
    Changing,
    /// It cannot be read.
    Unreadable,
}

impl Class {
    /// The stable word.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Something that is not the same.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// Its path, fit to be shown.
    pub path: String,
    /// In what it differs, or why it cannot be read.
    pub what: String,
}

/// What was counted.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// The same on both hosts.
    pub same: u64,
    /// Everything else, by what it turned out to be.
    pub counts: BTreeMap<Class, u64>,
    /// Examples of each.
    pub examples: BTreeMap<Class, Vec<Finding>>,
}

impl Tally {
    /// Counts something that is not the same; the first `keep` of a class are kept.
    pub fn add(&mut self, class: Class, keep: usize, finding: impl FnOnce() -> Finding) {
        *self.counts.entry(class).or_default() += 1;
        let examples = self.examples.entry(class).or_default();
        if examples.len() < keep {
            examples.push(finding());
        }
    }

    /// How many turned out so.
    pub fn count(&self, class: Class) -> u64 {
        self.counts.get(&class).copied().unwrap_or(0)
    }
}

/// Paths that the database names and that are not there.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct NamedPaths {
    /// How many it names.
    pub named: u64,
    /// How many of them the master lacks.
    pub missing_on_master: u64,
    /// How many of them the slave lacks.
    pub missing_on_slave: u64,
    /// Examples, with who lacks them.
    pub examples: Vec<Finding>,
}

impl NamedPaths {
    /// Whether every one is on both hosts.
    pub fn all_there(&self) -> bool {
        self.missing_on_master == 0 && self.missing_on_slave == 0
    }

    /// In a few words.
    pub fn text(&self) -> String {
        let Self { named, missing_on_master, missing_on_slave, .. } = self;
        match self.all_there() {
            true => format!("all {named} paths that the database names are there"),
            false => format!(
                "of {named} paths that the database names the master lacks {missing_on_master} \
                 and the slave {missing_on_slave}"
            ),
        }
    }
}

/// What came of a comparison.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Verification {
    /// The file set.
    pub set: FileSetName,
    /// Whose files they are.
    pub master: HostName,
    /// Who keeps the copy.
    pub slave: HostName,
    /// By what files were compared.
    #[serde(flatten)]
    pub by: By,
    /// Milliseconds from the beginning to this.
    pub took_ms: u64,
    /// Files and folders on the master.
    pub entries: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Files that were hashed on both hosts.
    pub hashed_files: u64,
    /// Their bytes.
    pub hashed_bytes: u64,
    /// How many were looked at a second time.
    pub looked_twice: u64,
    /// What was counted.
    pub tally: Tally,
    /// What the database names; none where it was not asked.
    pub database: Option<NamedPaths>,
}

impl Verification {
    /// Whether the copy is whole, as far as it was compared. What is changing is not held against
    /// it: the next pass brings it.
    pub fn is_whole(&self) -> bool {
        let against = [Class::Differs, Class::Missing, Class::Extra, Class::Unreadable];
        against.iter().all(|class| self.tally.count(*class) == 0)
            && self.database.as_ref().is_none_or(NamedPaths::all_there)
    }

    /// The same as a word of its own.
    pub fn wholeness(&self) -> Wholeness {
        if self.is_whole() { Wholeness::Whole } else { Wholeness::NotWhole }
    }

    /// The counts on one line.
    pub fn text(&self) -> String {
        let Self { tally, by, hashed_files, hashed_bytes, .. } = self;
        let mut text = format!("by {by}: {} the same", tally.same);
        for (class, count) in &tally.counts {
            let words = match class {
                Class::Differs => "differ",
                Class::Missing => "missing on the slave",
                Class::Extra => "only on the slave",
                Class::Changing => "changing meanwhile",
                Class::Unreadable => "unreadable",
            };
            text.push_str(&format!(", {count} {words}"));
        }
        if *hashed_files > 0 {
            let size = human_bytes(*hashed_bytes);
            text.push_str(&format!("; {hashed_files} files hashed, {size}"));
        }
        match &self.database {
            Some(named) => format!("{text}; {}", named.text()),
            None => text,
        }
    }
}

/// Whether a copy is whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wholeness {
    /// It is, as far as it was compared.
    Whole,
    /// It is not.
    NotWhole,
}

/// The last verification of a set, as it is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Verified {
    /// When it ended.
    pub at: At,
    /// Who ordered it.
    pub by: String,
    /// What came of it.
    pub result: Verification,
}

/// The last verification of each set, and the last that asked the database.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LastVerified {
    /// The last of all.
    pub last: Option<Verified>,
    /// The last that asked the database.
    pub database: Option<Verified>,
}

impl LastVerified {
    /// Takes a new one in.
    pub fn take(&mut self, verified: &Verified) {
        if verified.result.database.is_some() {
            self.database = Some(verified.clone());
        }
        self.last = Some(verified.clone());
    }
}

/// What both hosts say of one path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sides {
    /// The master.
    pub master: Option<Entry>,
    /// The slave.
    pub slave: Option<Entry>,
}

/// What two manifests say of one path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Compared {
    /// The same, as far as they say.
    Same,
    /// Not the same, in these.
    Differs(Vec<Aspect>),
    /// On this host it cannot be read, so that it cannot be copied or compared.
    Unreadable(&'static str),
}

impl Sides {
    /// Compares what both say.
    pub fn compare(&self, like: impl Into<Likeness>) -> Compared {
        match (&self.master, &self.slave) {
            (None, None) => Compared::Same,
            (None, Some(_)) => Compared::Differs(vec![Aspect::Extra]),
            (Some(own), _) if cannot_read(own) => Compared::Unreadable("the master"),
            (Some(_), None) => Compared::Differs(vec![Aspect::Missing]),
            (Some(_), Some(copy)) if cannot_read(copy) => Compared::Unreadable("the slave"),
            (Some(own), Some(copy)) => match own.differs(copy, like) {
                aspects if aspects.is_empty() => Compared::Same,
                aspects => Compared::Differs(aspects),
            },
        }
    }

    /// Whether both hosts say the same of it as before.
    pub fn is_as_before(&self, again: &Self) -> bool {
        !moved(&self.master, &again.master) && !moved(&self.slave, &again.slave)
    }

    /// What something is that differed when it was looked at first, now that it was again.
    pub fn settle(first: &Self, again: &Self, like: impl Into<Likeness>) -> Settled {
        match again.compare(like) {
            Compared::Same => Settled::Same,
            _ if !first.is_as_before(again) => Settled::Changing,
            Compared::Unreadable(host) => Settled::Unreadable(host),
            Compared::Differs(aspects) => Settled::Differs(class(&aspects), aspects),
        }
    }
}

/// Whether one host says something else of it than before.
fn moved(before: &Option<Entry>, now: &Option<Entry>) -> bool {
    match (before, now) {
        (Some(before), Some(now)) => {
            let written = before.is_file() && before.time != now.time;
            written || !before.differs(now, Owners::Compared).is_empty()
        }
        (before, now) => before.is_some() != now.is_some(),
    }
}

fn cannot_read(entry: &Entry) -> bool {
    !entry.readable && (entry.is_file() || entry.is_folder())
}

fn class(aspects: &[Aspect]) -> Class {
    match aspects.first() {
        Some(Aspect::Missing) => Class::Missing,
        Some(Aspect::Extra) => Class::Extra,
        _ => Class::Differs,
    }
}

/// What a second look says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Settled {
    /// It had only been on its way.
    Same,
    /// It is still not the same, and not what it was.
    Changing,
    /// It stays different, in these.
    Differs(Class, Vec<Aspect>),
    /// It cannot be read on this host.
    Unreadable(&'static str),
}

/// The aspects as one text.
pub fn aspects_text(aspects: &[Aspect]) -> String {
    let words: Vec<&str> = aspects.iter().map(|aspect| aspect.name()).collect();
    words.join(", ")
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
