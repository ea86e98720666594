//! The versions of the proxies' files and what became of an order to change them, as they are
//! sent and shown.

use observer_core::words::At;
use serde::{Deserialize, Serialize};

use super::proxy::Proposed;

/// What is to be done to the proxies' files.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub(crate) enum Change {
    /// What `proxy import` proposes: its first steps, or all.
    Import {
        /// How many.
        steps: Option<usize>,
    },
    /// What is safe to mend.
    Fix,
    /// An older version.
    RollBack {
        /// Its number.
        version: u64,
    },
}

/// What became of an order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ChangeReport {
    /// In one word.
    pub(crate) state: ChangeState,
    /// Each proxy's file.
    pub(crate) files: Vec<ChangedFile>,
    /// How to repair what was left; none where nothing was.
    pub(crate) repair: Option<String>,
}

/// In one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ChangeState {
    /// Only shown: nothing was touched.
    Shown,
    /// Every file is as ordered, loaded and proven.
    Applied,
    /// Nothing was changed, or what was is back and loaded.
    NotApplied,
    /// Some proxies run with the new content and others with the old, or it is not known.
    Partly,
}

/// One proxy's part of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ChangedFile {
    /// What was to be changed.
    pub(crate) proposed: Proposed,
    /// Its version's number, where one was begun.
    pub(crate) version: Option<u64>,
    /// What became of it: `loaded`, `refused`, `rolled-back` or `unsettled`; none where it was not
    /// begun.
    pub(crate) state: Option<String>,
    /// What was seen.
    pub(crate) note: String,
}

/// The versions of one proxy's file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ProxyHistory {
    /// The proxy.
    pub(crate) proxy: String,
    /// What stands in the file now, by these versions.
    pub(crate) now: String,
    /// Newest first.
    pub(crate) versions: Vec<VersionView>,
}

/// One version.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct VersionView {
    /// Its number.
    pub(crate) number: u64,
    /// Since when.
    pub(crate) at: At,
    /// The pair's epoch then.
    pub(crate) epoch: u64,
    /// Why.
    pub(crate) reason: String,
    /// By whom.
    pub(crate) by: String,
    /// What became of it.
    pub(crate) state: String,
    /// What was seen then.
    pub(crate) note: String,
    /// Its checksum.
    pub(crate) checksum: String,
}

/// A difference of two contents.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct DiffReport {
    /// The proxy.
    pub(crate) proxy: String,
    /// Which two.
    pub(crate) title: String,
    /// As a unified diff; empty where there is none.
    pub(crate) diff: String,
}

impl ChangeReport {
    /// The report of an order whose files went so far.
    pub(crate) fn of(files: Vec<ChangedFile>) -> Self {
        let is = |file: &ChangedFile, state: &str| file.state.as_deref() == Some(state);
        let wanted = |file: &&ChangedFile| file.state.is_some() || !file.is_done();
        let loaded = files.iter().filter(|file| is(file, "loaded")).count();
        let unsettled = files.iter().any(|file| is(file, "unsettled"));
        let state = if files.iter().filter(wanted).count() == loaded {
            ChangeState::Applied
        } else if loaded > 0 || unsettled {
            ChangeState::Partly
        } else {
            ChangeState::NotApplied
        };
        let repair = match state {
            ChangeState::Partly if unsettled => Some(
                "look at the proxy itself (`systemctl status`, `haproxy -c -f`); `ha-observer \
                 proxy history` has every content, and `proxy rollback N` puts one back and \
                 loads it"
                    .to_owned(),
            ),
            ChangeState::Partly => Some(
                "each proxy serves the same master, with another file: mend what is named and \
                 give the order again, which passes what is done; or take the changed ones back \
                 with `ha-observer proxy rollback N --proxy NAME`"
                    .to_owned(),
            ),
            _ => None,
        };
        Self { state, files, repair }
    }
}

impl ChangedFile {
    /// Nothing was begun, since nothing is to be changed.
    fn is_done(&self) -> bool {
        self.proposed.steps.is_empty()
    }
}
