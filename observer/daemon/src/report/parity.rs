//! What `parity` shows: each item with what every host has, and since when.

use observer_core::parity::{Compared, Standing};
use observer_core::words::{At, HostName, PairName};
use observer_world::parity::{Change, Copied};
use serde::{Deserialize, Serialize};

/// The answer to `parity`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ParityReport {
    /// The pair.
    pub(crate) pair: PairName,
    /// When it was compared.
    pub(crate) at: At,
    /// The master by the journal.
    pub(crate) master: Option<HostName>,
    /// Every item, in the configured order.
    pub(crate) items: Vec<ItemStatus>,
}

/// One item.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ItemStatus {
    /// What every host has.
    #[serde(flatten)]
    pub(crate) compared: Compared,
    /// Since when it stands like this.
    pub(crate) since: At,
    /// Since when not everything could be read.
    pub(crate) unread_since: Option<At>,
}

/// The part of `status`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ParityStatus {
    /// When it was compared.
    pub(crate) at: At,
    /// How many items there are.
    pub(crate) items: usize,
    /// What is not alike, by name.
    pub(crate) broken: Vec<String>,
    /// What could not be compared, by name.
    pub(crate) unread: Vec<String>,
}

impl ParityStatus {
    /// What the items show together; none where there is no item.
    pub(crate) fn of(at: At, items: &[Compared]) -> Option<Self> {
        let named = |wanted: fn(Standing) -> bool| {
            let these = items.iter().filter(|one| wanted(one.standing));
            these.map(|one| one.item.name.clone()).collect()
        };
        (!items.is_empty()).then(|| Self {
            at,
            items: items.len(),
            broken: named(Standing::is_broken),
            unread: named(|standing| standing == Standing::Unread),
        })
    }
}

/// The answer to `parity fix`, before and after.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct CopyReport {
    /// The item's name.
    pub(crate) item: String,
    /// True if no value may be shown.
    pub(crate) secret: bool,
    /// Whose value it is.
    pub(crate) from: HostName,
    /// The master by the journal.
    pub(crate) master: Option<HostName>,
    /// True if the master's own value would be overwritten.
    pub(crate) onto_master: bool,
    /// What would be changed; none where all is alike.
    pub(crate) changes: Vec<ChangeShown>,
    /// Stands for exactly these changes; to be sent with the order.
    pub(crate) seal: String,
    /// What was changed.
    pub(crate) copied: Vec<CopiedShown>,
}

/// What would be changed on one host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ChangeShown {
    /// The host.
    pub(crate) host: HostName,
    /// The file there.
    pub(crate) path: String,
    /// Lines that go and come; of a secret only that it differs.
    pub(crate) diff: Vec<String>,
}

/// What was changed on one host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct CopiedShown {
    /// The host.
    pub(crate) host: HostName,
    /// The file there.
    pub(crate) path: String,
    /// Where its content before is kept.
    pub(crate) kept: String,
}

impl From<Change> for ChangeShown {
    fn from(Change { host, path, diff }: Change) -> Self {
        Self { host, path, diff }
    }
}

impl From<Copied> for CopiedShown {
    fn from(Copied { host, path, kept }: Copied) -> Self {
        Self { host, path, kept }
    }
}
